import { Command } from "commander";
import { ControlService, type IssuerKeys, RefreshKeysResponseSchema } from "../api/gen/mayfly/v1/control_pb.ts";
import type { Io } from "./io.ts";
import { print, say, table } from "./output.ts";
import { jsonFlag, printMessage, reach, socketFlag } from "./reach.ts";
import { type Asked, reason, whoFlag, whyFlag } from "./who.ts";

interface Flags extends Asked {
  readonly json?: boolean;
  readonly socket?: string;
}

const refreshExamples = `
Examples:
  $ mayfly keys refresh --why "look at what stands"
  $ mayfly keys refresh gitlab --why "their signing key leaked and was withdrawn" --json`;

const acceptExamples = `
Examples:
  $ mayfly keys refresh github --why "a job was refused: key-held"
  $ mayfly keys accept github 3F8A1B --why "announced by GitHub on its status page"`;

export function refreshCommand(io: Io): Command {
  return new Command("refresh")
    .summary("read issuers' keys anew, now")
    .description(
      "Has the broker read the keys of an issuer anew, or those of all, and shows what stands. A withdrawn key is refused from then on.",
    )
    .argument("[issuer]", "its name in mayfly.yaml")
    .option(...whoFlag)
    .requiredOption(...whyFlag)
    .option(...jsonFlag)
    .option(...socketFlag)
    .addHelpText("after", refreshExamples)
    .action((issuer: string | undefined, flags: Flags) => refresh(io, issuer, flags));
}

export function acceptCommand(io: Io): Command {
  return new Command("accept")
    .summary("take an issuer's new key before its hold is over")
    .description(
      "Takes a new key that the broker holds back (`hold` of an issuer in mayfly.yaml). Whoever has that key can sign any token of the issuer.",
    )
    .argument("<issuer>", "its name in mayfly.yaml")
    .argument("<kid>", "the key's id")
    .option(...whoFlag)
    .requiredOption(...whyFlag)
    .option(...socketFlag)
    .addHelpText("after", acceptExamples)
    .action((issuer: string, kid: string, flags: Flags) => accept(io, { issuer, kid }, flags));
}

async function refresh(io: Io, issuer = "", flags: Flags): Promise<void> {
  using client = reach(io, ControlService, "control", flags);
  const answer = await client.call.refreshKeys({ issuer, ...reason(io, flags) });
  if (flags.json === true) printMessage(io, RefreshKeysResponseSchema, answer);
  else print(io, ...table(["ISSUER", "STATE", "KEYS", "HELD", "TROUBLE"], answer.issuers.map(row)));
}

async function accept(io: Io, key: { readonly issuer: string; readonly kid: string }, flags: Flags): Promise<void> {
  using client = reach(io, ControlService, "control", flags);
  await client.call.acceptKey({ ...key, ...reason(io, flags) });
  say(io, `tokens of ${key.issuer} that are signed with ${key.kid} are accepted from now on`);
}

function row({ issuer, state, kids, held, trouble }: IssuerKeys): readonly string[] {
  return [issuer, state, ...[kids.join(","), held.join(","), trouble].map((cell) => cell || "-")];
}
