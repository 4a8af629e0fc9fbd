import { Command } from "commander";
import { ControlService } from "../api/gen/mayfly/v1/control_pb.ts";
import type { Io } from "./io.ts";
import { say } from "./output.ts";
import { reach, socketFlag } from "./reach.ts";
import { type Asked, reason, whoFlag, whyFlag } from "./who.ts";

const examples = `
Examples:
  $ mayfly drain --why "this host is rebooted tonight"`;

export function drainCommand(io: Io): Command {
  return new Command("drain")
    .summary("let what runs come to its end, then stop the broker")
    .description("The broker takes no new work, lets what runs come to its end, and then stops.")
    .option(...whoFlag)
    .requiredOption(...whyFlag)
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((flags: Asked & { readonly socket?: string }) => drain(io, flags));
}

async function drain(io: Io, flags: Asked & { readonly socket?: string }): Promise<void> {
  using client = reach(io, ControlService, "control", flags);
  await client.call.drain(reason(io, flags));
  say(io, "the broker takes no new work and stops when its last job has ended");
}
