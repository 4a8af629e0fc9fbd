import process from "node:process";
import { fileURLToPath } from "node:url";
import { demoCommand } from "./commands/demo.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { processIo } from "./commands/process-io.ts";
import { runProgram } from "./commands/program.ts";
import { sandboxdCommand } from "./commands/sandboxd.ts";
import { serveCommand } from "./commands/serve.ts";

/*
 * The `mayfly` command. The only file that sees every provider: it hands them to the commands that need them.
 */
const io = processIo();
const version = "0.1.0";
const main = fileURLToPath(import.meta.url);
const catalogue = async () => (await import("../providers/catalogue.ts")).catalogue;
const processes = [
  serveCommand(io, { catalogue, version, program: [process.execPath, ...process.execArgv, main] }),
  sandboxdCommand(io),
  doctorCommand(io),
  demoCommand(io, main),
];
await runProgram(io, process.argv.slice(2), { version, types: catalogue, processes });
