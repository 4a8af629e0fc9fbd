import process from "node:process";
import { fileURLToPath } from "node:url";
import { processIo } from "./commands/process-io.ts";
import { type LoadVerb, runProgram } from "./commands/program.ts";

/*
 * The `mayfly` command. The only file that sees every provider: it hands them to the commands that need them.
 */
const io = processIo();
const version = "0.1.0";
const main = fileURLToPath(import.meta.url);
const catalogue = async () => (await import("../providers/catalogue.ts")).catalogue;
const program = [process.execPath, ...process.execArgv, main];
const processes: Readonly<Record<string, LoadVerb>> = {
  serve: async () => (await import("./commands/serve.ts")).serveCommand(io, { catalogue, version, program }),
  sandboxd: async () => (await import("./commands/sandboxd.ts")).sandboxdCommand(io),
  doctor: async () => (await import("./commands/doctor.ts")).doctorCommand(io),
  demo: async () => (await import("./commands/demo.ts")).demoCommand(io, main),
};
await runProgram(io, process.argv.slice(2), { version, types: catalogue, processes });
