import { resolve } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { toJson } from "@bufbuild/protobuf";
import { Command } from "commander";
import { exitOf, exits } from "../api/codes.ts";
import { fromConnectError } from "../api/failure.ts";
import {
  BrokerService,
  RunOutcome,
  type RunResult,
  RunResultSchema,
  type RunStartSchema,
} from "../api/gen/mayfly/v1/broker_pb.ts";
import { callRun, type Runner } from "../api/run-call.ts";
import { asBrokerError, BrokerError } from "../errors.ts";
import type { Secret } from "../secret.ts";
import type { Io } from "./io.ts";
import { fail, say, sayFailure } from "./output.ts";
import { reach, socketFlag } from "./reach.ts";
import { ResultFile } from "./result-file.ts";
import { observe } from "./run-observe.ts";
import { audienceFlag, handleFrom, type TokenFlags, tokenFlag, tokenFrom } from "./token.ts";

interface RunFlags extends TokenFlags {
  readonly template?: string;
  readonly step?: string;
  readonly session?: string;
  readonly workspace?: string;
  readonly result?: string;
  readonly observe?: boolean;
  readonly json?: boolean;
  readonly socket?: string;
}

const examples = `
Examples:
  $ mayfly run -- npm publish
  $ mayfly run --template deploy --step migrate --result result.json -- npm run migrate
  $ mayfly run --session @handle --workspace build -- ./deploy.sh
  $ mayfly run --observe --template deploy --step migrate -- npm run migrate

The command's stdin, stdout, stderr, signals and exit code are its own; it gets no terminal. Mayfly's own failures exit with
${exits.denied} (denied), ${exits.upstream} (a provider or issuer is down, try again), ${exits.sandbox} (sandbox), ${exits.ended} (ended early), ${exits.usage} (usage), ${exits.busy} (busy), ${exits.broker} (broker) or
${exits.notFound} (no such command). A command may use these codes too: --result tells the two apart.`;

export function runCommand(io: Io): Command {
  return new Command("run")
    .summary("run a command in a sandbox, with the credentials that its CI job may have")
    .description(
      "Runs a command in a sandbox of its own, with the credentials that a template gives to this CI job. They end with the command.",
    )
    .usage("[options] -- <command> [arguments...]")
    .passThroughOptions()
    .argument("[command...]", "the command; may be left out where the step pins one")
    .option("--template <name>", "which template; left out, exactly one must be meant for this job")
    .option("--step <name>", "which step of the template")
    .option("--session <handle>", "run within a session: its handle, or @FILE; --token is then for a fresh token in a long run")
    .option(...tokenFlag)
    .option(...audienceFlag)
    .option("--workspace <folder>", "the command's working folder (default: the current one)")
    .option("--result <file>", "write how it ended, as JSON")
    .option("--observe", "run nothing: print what the run would be granted; spends no token, and is recorded")
    .option("--json", "with --observe: print JSON, in the API's own shape")
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((command: string[], flags: RunFlags) => run(io, command, flags));
}

async function run(io: Io, command: readonly string[], flags: RunFlags): Promise<void> {
  if (flags.observe === true) return observe(io, await startOf(io, command, flags), flags);
  if (flags.json === true) throw new BrokerError("usage", "--json is for --observe; --result writes how a run ended");
  await using file = flags.result === undefined ? undefined : await ResultFile.open(resolve(io.cwd, flags.result));
  // Before anything else: a run whose result cannot be written does not start, and one that was killed leaves this behind.
  await file?.write({ kind: "started" });
  try {
    const start = await startOf(io, command, flags);
    const { result, missing } = await stay(io, start, flags);
    await file?.write(endedResult(result, missing));
    report(io, result);
  } catch (error) {
    const failure = fromConnectError(error);
    fail(io, failure);
    await file?.write(failedResult(failure)).catch((unwritten: unknown) => {
      const second = asBrokerError(unwritten);
      if (second.message !== failure.message) sayFailure(io, second);
    });
  }
}

function failedResult({ code, message, hint, id }: BrokerError): object {
  return { kind: "failed", code, message, hint, id, exitCode: exitOf(code) };
}

async function startOf(io: Io, command: readonly string[], flags: RunFlags): Promise<MessageInitShape<typeof RunStartSchema>> {
  if (flags.session !== undefined && flags.token === "-")
    throw new BrokerError("usage", "a run within a session takes no token from stdin: its stdin is the job's");
  const { template, step, session, workspace = "." } = flags;
  const environment = Object.fromEntries(
    Object.entries(io.env).filter((pair): pair is [string, string] => pair[1] !== undefined),
  );
  return {
    credentials:
      session === undefined
        ? { case: "token", value: (await tokenFrom(io, flags)).use(String) }
        : { case: "sessionHandle", value: (await handleFrom(io, session)).use(String) },
    ...(template === undefined ? {} : { template }),
    ...(step === undefined ? {} : { step }),
    command: [...command],
    workspace: resolve(io.cwd, workspace),
    environment,
  };
}

async function stay(io: Io, start: MessageInitShape<typeof RunStartSchema>, flags: RunFlags): Promise<Ended> {
  using client = reach(io, BrokerService, "broker", flags);
  const cancel = new AbortController();
  const missing: string[] = [];
  const runner = runnerOf(io, flags, cancel);
  const accepted: Runner["accepted"] = (run) => {
    missing.push(...run.missing);
    runner.accepted(run);
  };
  try {
    return { result: await callRun(client, start, { ...runner, accepted }), missing };
  } catch (error) {
    throw cancel.signal.aborted ? cancel.signal.reason : error;
  } finally {
    cancel.abort();
    io.stdin.destroy();
  }
}

interface Ended {
  readonly result: RunResult;
  /** The optional credentials that it went on without. */
  readonly missing: readonly string[];
}

const passedOn = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

function runnerOf(io: Io, flags: RunFlags, cancel: AbortController): Runner {
  const started = new AbortController();
  const over = cancel.signal;
  // Before the command runs there is nothing to pass a signal on to: it ends the call.
  for (const name of passedOn) io.onSignal(name, () => cancel.abort(stoppedBy(name)), AbortSignal.any([started.signal, over]));
  // Whoever reads our output has gone, as with `| head`: nobody needs the job any more.
  for (const output of [io.stdout, io.stderr]) output.on("error", () => cancel.abort(unread()));
  return {
    stdin: flags.token === "-" ? none() : io.stdin,
    onSignal: (send, stop) => {
      started.abort();
      for (const name of passedOn) io.onSignal(name, () => send(name), AbortSignal.any([stop, over]));
    },
    accepted: ({ missing }) => {
      if (missing.length > 0)
        say(
          io,
          `mayfly: this run goes on without ${missing.join(", ")}: what would give ${missing.length === 1 ? "it" : "them"} is down`,
        );
    },
    output: (stream, chunk) => written(io[stream], chunk),
    freshToken: () => freshToken(io, flags),
    signal: over,
  };
}

/** The job goes on when there is none, until the broker ends it: its runner is told why, while it can still do something about it. */
async function freshToken(io: Io, flags: RunFlags): Promise<Secret> {
  try {
    if (flags.token === "-") throw spokenFor();
    return await tokenFrom(io, flags);
  } catch (error) {
    sayFailure(io, asBrokerError(error));
    throw error;
  }
}

function spokenFor(): BrokerError {
  return new BrokerError("token-missing", "a fresh identity token is needed, and stdin gave its only one", {
    hint: "use --token auto, or a file that the CI system keeps up to date",
  });
}

function stoppedBy(name: NodeJS.Signals): BrokerError {
  return new BrokerError("cancelled", `${name} came before the job was accepted, so it was not run`);
}

function unread(): BrokerError {
  return new BrokerError("cancelled", "nobody reads the job's output any more, so it was ended");
}

async function* none(): AsyncGenerator<Uint8Array> {}

/** What cannot be written is the listener's business above: it ends the run. */
async function written(output: NodeJS.WritableStream, chunk: Uint8Array): Promise<void> {
  await new Promise<void>((resolve) => output.write(chunk, () => resolve()));
}

function report(io: Io, { outcome, exitCode }: RunResult): void {
  switch (outcome) {
    case RunOutcome.EXITED:
      return io.exit(exitCode);
    case RunOutcome.TIMEOUT:
      return fail(io, new BrokerError("timeout"));
    case RunOutcome.OOM:
      say(io, "mayfly: the job used more memory than its template allows, so it was ended");
      return io.exit(exitCode);
    case RunOutcome.CANCELLED:
    case RunOutcome.KILLED:
    case RunOutcome.UNSPECIFIED:
      say(io, "mayfly: the job was ended before it was done");
      return io.exit(exits.ended);
  }
}

/** The API's own shape, with a word in front that tells it from a failure, and what the run was told at its start. */
function endedResult(result: RunResult, missing: readonly string[]): object {
  const members = toJson(RunResultSchema, result, { alwaysEmitImplicit: true });
  return { kind: "ended", ...(typeof members === "object" && !Array.isArray(members) ? members : {}), missing };
}
