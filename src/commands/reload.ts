import { Command } from "commander";
import { ControlService, ReloadResponseSchema } from "../api/gen/mayfly/v1/control_pb.ts";
import type { Io } from "./io.ts";
import { print } from "./output.ts";
import { jsonFlag, printMessage, reach, socketFlag } from "./reach.ts";
import { type Asked, reason, whoFlag, whyFlag } from "./who.ts";

const examples = `
Examples:
  $ mayfly check /etc/mayfly/templates && mayfly reload --why "shop may deploy"
  $ mayfly reload --who deploy-bot --why "merge 4711"

Both are recorded: --why is required, and so is --who where neither SUDO_USER nor USER says it, as in a service or a cron job.`;

export function reloadCommand(io: Io): Command {
  return new Command("reload")
    .summary("have the broker read its templates again")
    .description(
      "Has the broker read its templates, and its last word, again at once; it does so by itself when they have changed and then stood still. What does not load changes nothing: what was in force stays.",
    )
    .option(...whoFlag)
    .requiredOption(...whyFlag)
    .option(...jsonFlag)
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((flags: Asked & { readonly json?: boolean; readonly socket?: string }) => reload(io, flags));
}

async function reload(io: Io, flags: Asked & { readonly json?: boolean; readonly socket?: string }): Promise<void> {
  using client = reach(io, ControlService, "control", flags);
  const answer = await client.call.reload(reason(io, flags));
  if (flags.json === true) printMessage(io, ReloadResponseSchema, answer);
  else print(io, `policy ${answer.policy?.digest}, templates ${answer.policy?.templates.join(", ")}`);
}
