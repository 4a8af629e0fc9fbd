import { Command, CommanderError } from "commander";
import { exits } from "../api/codes.ts";
import type { LoadCatalogue } from "../rooms.ts";
import { auditCommand } from "./audit.ts";
import { checkCommand } from "./check.ts";
import { containCommand } from "./contain.ts";
import { drainCommand } from "./drain.ts";
import { explainCommand } from "./explain.ts";
import type { Io } from "./io.ts";
import { keysCommand } from "./keys.ts";
import { leaseCommand } from "./lease.ts";
import { fail } from "./output.ts";
import { reloadCommand } from "./reload.ts";
import { runCommand } from "./run.ts";
import { sessionCommand } from "./session.ts";
import { statusCommand } from "./status.ts";

export interface ProgramParts {
  readonly version: string;
  /** The provider types that mayfly.yaml may name. */
  readonly types: LoadCatalogue;
  /** The verbs that are processes of their own: serve, sandboxd, doctor, demo. */
  readonly processes: readonly Command[];
}

/** Runs one command line, `process.argv` without its first two. Never rejects: what goes wrong is said and decides the exit code. */
export async function runProgram(io: Io, args: readonly string[], parts: ProgramParts): Promise<void> {
  try {
    await programOf(io, parts).parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) return fail(io, error);
    io.exit(error.exitCode === 0 ? 0 : exits.usage);
  }
}

function programOf(io: Io, { version, types, processes }: ProgramParts): Command {
  const program = new Command("mayfly")
    .description("A secrets broker beside the CI runner: each job gets its own credentials, and they die with the job.")
    .version(version)
    .enablePositionalOptions()
    .showHelpAfterError("hint: add --help for what there is");
  const verbs = [
    runCommand(io),
    sessionCommand(io),
    statusCommand(io),
    auditCommand(io),
    explainCommand(io, types),
    leaseCommand(io),
    containCommand(io),
    checkCommand(io, types),
    keysCommand(io),
    reloadCommand(io),
    drainCommand(io),
    ...processes,
  ];
  for (const verb of verbs) program.addCommand(verb);
  speakOurWay(io, program);
  return program;
}

/** Commander's own words in our voice, on our streams, and never its exit. Settings are not inherited by what `addCommand` adds. */
function speakOurWay(io: Io, command: Command): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => void io.stdout.write(text),
    writeErr: (text) => void io.stderr.write(text),
    outputError: (text, write) => write(text.replace(/^error: /, "mayfly: ").replace(/\.(?=\n|$)/, "")),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  });
  for (const sub of command.commands) speakOurWay(io, sub);
}
