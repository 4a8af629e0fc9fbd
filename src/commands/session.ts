import { open, unlink } from "node:fs/promises";
import { resolve } from "node:path";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { BrokerService, type StartSessionResponse, StartSessionResponseSchema } from "../api/gen/mayfly/v1/broker_pb.ts";
import { BrokerError } from "../errors.ts";
import type { Io } from "./io.ts";
import { print, say } from "./output.ts";
import { jsonFlag, printMessage, reach, socketFlag } from "./reach.ts";
import { audienceFlag, handleFrom, type TokenFlags, tokenFlag, tokenFrom } from "./token.ts";

interface StartFlags extends TokenFlags {
  readonly handleFile?: string;
  readonly json?: boolean;
  readonly socket?: string;
}

const examples = `
Examples:
  $ mayfly session start --handle-file "$RUNNER_TEMP/mayfly"
  $ mayfly run --session @"$RUNNER_TEMP/mayfly" --step build -- make
  $ mayfly run --session @"$RUNNER_TEMP/mayfly" --step deploy -- make deploy
  $ mayfly session end @"$RUNNER_TEMP/mayfly"`;

export function sessionCommand(io: Io): Command {
  return new Command("session")
    .summary("run several commands on one identity token")
    .description(
      "A token opens one session, once. Its handle lets later commands of the same CI job run, for the same user of this host, and the same runner.",
    )
    .addHelpText("after", examples)
    .addCommand(startCommand(io))
    .addCommand(endCommand(io));
}

function startCommand(io: Io): Command {
  return new Command("start")
    .description("Spends the job's identity token and prints the session's handle.")
    .option(...tokenFlag)
    .option(...audienceFlag)
    .option("--handle-file <file>", "write the handle there, readable by you alone, instead of printing it")
    .option(...jsonFlag)
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((flags: StartFlags) => start(io, flags));
}

function endCommand(io: Io): Command {
  return new Command("end")
    .description("Ends a session: its handle opens nothing any more, and what runs in it is ended.")
    .argument("<handle>", "the handle, or @FILE")
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((handle: string, flags: { readonly socket?: string }) => end(io, handle, flags));
}

async function start(io: Io, flags: StartFlags): Promise<void> {
  const session = await startedInto(io, flags);
  if (flags.handleFile === undefined && flags.json === true) printMessage(io, StartSessionResponseSchema, session);
  else if (flags.handleFile === undefined) print(io, session.handle);
  say(io, `session ${session.session} of ${session.workload} (${session.trust}), until ${untilText(session)}`);
}

/** The file is made before the token is spent, since a handle that cannot be kept would be a token lost; none is left where it holds nothing. */
async function startedInto(io: Io, flags: StartFlags): Promise<StartSessionResponse> {
  if (flags.handleFile === undefined) return started(io, flags);
  const path = resolve(io.cwd, flags.handleFile);
  await using file = await ownFile(path);
  try {
    const session = await started(io, flags);
    await file.writeFile(`${session.handle}\n`);
    return session;
  } catch (error) {
    await unlink(path).catch(() => undefined);
    throw error;
  }
}

async function started(io: Io, flags: StartFlags): Promise<StartSessionResponse> {
  const token = await tokenFrom(io, flags);
  using client = reach(io, BrokerService, "broker", flags);
  return await client.call.startSession({ token: token.use(String) });
}

async function end(io: Io, handle: string, flags: { readonly socket?: string }): Promise<void> {
  const secret = await handleFrom(io, handle);
  using client = reach(io, BrokerService, "broker", flags);
  await client.call.endSession({ handle: secret.use(String) });
}

/** Made by us and nobody else: a file that is already there could be somebody's to read. */
async function ownFile(path: string): ReturnType<typeof open> {
  return open(path, "wx", 0o600).catch((cause: unknown) => {
    throw new BrokerError("usage", `${path} cannot be made`, { hint: "name a file that does not exist yet", cause });
  });
}

function untilText({ until }: StartSessionResponse): string {
  return until === undefined ? "its token expires" : timestampDate(until).toISOString();
}
