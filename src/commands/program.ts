import { Command, CommanderError } from "commander";
import { exits } from "../api/codes.ts";
import type { LoadCatalogue } from "../rooms.ts";
import type { Io } from "./io.ts";
import { fail } from "./output.ts";

/** A verb's definition; what it is made of comes with it. */
export type LoadVerb = () => Promise<Command>;

export interface ProgramParts {
  readonly version: string;
  /** The provider types that mayfly.yaml may name. */
  readonly types: LoadCatalogue;
  /** The verbs that are processes of their own: serve, sandboxd, doctor, demo. */
  readonly processes: Readonly<Record<string, LoadVerb>>;
}

/** Runs one command line, `process.argv` without its first two. Never rejects: what goes wrong is said and decides the exit code. */
export async function runProgram(io: Io, args: readonly string[], parts: ProgramParts): Promise<void> {
  await (await loadProgram(io, args, parts))();
}

/** The same in two parts: once this resolves the verb is loaded, and a process that may read less from then on can run it. */
export async function loadProgram(io: Io, args: readonly string[], parts: ProgramParts): Promise<() => Promise<void>> {
  const program = await programOf(io, parts, args);
  return async () => {
    try {
      await program.parseAsync(args, { from: "user" });
    } catch (error) {
      if (!(error instanceof CommanderError)) return fail(io, error);
      io.exit(error.exitCode === 0 ? 0 : exits.usage);
    }
  };
}

async function programOf(io: Io, { version, types, processes }: ProgramParts, args: readonly string[]): Promise<Command> {
  const program = new Command("mayfly")
    .description("A secrets broker beside the CI runner: each job gets its own credentials, and they die with the job.")
    .version(version)
    .enablePositionalOptions()
    .showHelpAfterError("hint: add --help for what there is");
  const verbs = new Map([...Object.entries(verbsOf(io, types)), ...Object.entries(processes)]);
  // The verb that is asked for and no other: a job's start does not wait for what only an operator's verbs need.
  const asked = verbs.get(args[0] ?? "");
  for (const load of asked === undefined ? verbs.values() : [asked]) program.addCommand(await load());
  speakOurWay(io, program);
  return program;
}

/** In the order of the help. */
function verbsOf(io: Io, types: LoadCatalogue): Readonly<Record<string, LoadVerb>> {
  return {
    run: async () => (await import("./run.ts")).runCommand(io),
    session: async () => (await import("./session.ts")).sessionCommand(io),
    status: async () => (await import("./status.ts")).statusCommand(io),
    audit: async () => (await import("./audit.ts")).auditCommand(io),
    explain: async () => (await import("./explain.ts")).explainCommand(io, types),
    lease: async () => (await import("./lease.ts")).leaseCommand(io),
    contain: async () => (await import("./contain.ts")).containCommand(io),
    init: async () => (await import("./init.ts")).initCommand(io, types),
    check: async () => (await import("./check.ts")).checkCommand(io, types),
    suggest: async () => (await import("./suggest.ts")).suggestCommand(io, types),
    schema: async () => (await import("./schema.ts")).schemaCommand(io, types),
    keys: async () => (await import("./keys.ts")).keysCommand(io),
    rotate: async () => (await import("./rotate.ts")).rotateCommand(io),
    reload: async () => (await import("./reload.ts")).reloadCommand(io),
    drain: async () => (await import("./drain.ts")).drainCommand(io),
  };
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
