import { processIo } from "../../src/commands/process-io.ts";
import { sandboxdCommand } from "../../src/commands/sandboxd.ts";

/* `mayfly sandboxd` and nothing else, so that these tests need no other room. */
await sandboxdCommand(processIo()).parseAsync(process.argv.slice(3), { from: "user" });
