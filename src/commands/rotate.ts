import { Command } from "commander";
import { ControlService, RotateResponseSchema } from "../api/gen/mayfly/v1/control_pb.ts";
import type { Io } from "./io.ts";
import { print } from "./output.ts";
import { jsonFlag, printMessage, reach, socketFlag } from "./reach.ts";
import { rotationLines } from "./rotation-lines.ts";
import { type Asked, reason, whoFlag, whyFlag } from "./who.ts";

interface RotateFlags extends Asked {
  readonly json?: boolean;
  readonly socket?: string;
}

const examples = `
Examples:
  $ mayfly status --full                                  # lists what can be replaced, and how old it is
  $ mayfly rotate vault-main --why "an operator has left"
  $ mayfly rotate vault-main database/config/shop --why "its password was in a chat"`;

export function rotateCommand(io: Io): Command {
  return new Command("rotate")
    .summary("have a provider replace a stored secret, now")
    .description(
      "Has a provider replace what its upstream stores: all that it can, or one by its name. Recorded, whatever comes of it; `rotate_every` in mayfly.yaml does the same regularly.",
    )
    .argument("<provider>", "its name in mayfly.yaml")
    .argument("[name]", "which secret, as `mayfly status --full` names it")
    .option(...whoFlag)
    .requiredOption(...whyFlag)
    .option(...jsonFlag)
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((provider: string, name: string | undefined, flags: RotateFlags) => rotate(io, { provider, name }, flags));
}

async function rotate(
  io: Io,
  { provider, name = "" }: { readonly provider: string; readonly name: string | undefined },
  flags: RotateFlags,
): Promise<void> {
  using client = reach(io, ControlService, "control", flags);
  const answer = await client.call.rotate({ provider, name, ...reason(io, flags) });
  if (flags.json === true) printMessage(io, RotateResponseSchema, answer);
  else print(io, ...rotationLines(io, answer.rotations));
}
