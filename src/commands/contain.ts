import { Command } from "commander";
import { ContainResponseSchema, ControlService } from "../api/gen/mayfly/v1/control_pb.ts";
import type { Io } from "./io.ts";
import { print } from "./output.ts";
import { jsonFlag, printMessage, reach, socketFlag } from "./reach.ts";
import { type Asked, reason, whoFlag, whyFlag } from "./who.ts";

interface ContainFlags extends Asked {
  readonly open?: boolean;
  readonly json?: boolean;
  readonly socket?: string;
}

const examples = `
Examples:
  $ mayfly contain workload:github:519283746 --why "its main branch was pushed to by a stranger"
  $ mayfly contain all --why "incident 4711"
  $ mayfly contain all --open --why "incident 4711 is over"`;

export function containCommand(io: Io): Command {
  return new Command("contain")
    .summary("end a workload's access now, and keep it ended")
    .description(
      "Closes a scope to new work, ends its jobs and revokes its credentials. It stays closed until it is opened again.",
    )
    .argument("<scope>", "all, or issuer:, workload:, job:, session:, template: or provider: and a name")
    .option("--open", "open the scope again")
    .option(...whoFlag)
    .requiredOption(...whyFlag)
    .option(...jsonFlag)
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((scope: string, flags: ContainFlags) => contain(io, scope, flags));
}

async function contain(io: Io, scope: string, flags: ContainFlags): Promise<void> {
  using client = reach(io, ControlService, "control", flags);
  const closed = flags.open !== true;
  const answer = await client.call.contain({ scope, closed, ...reason(io, flags) });
  if (flags.json === true) return printMessage(io, ContainResponseSchema, answer);
  const { fence, runsEnded, leasesRevoked } = answer;
  print(
    io,
    closed
      ? `${scope} is closed: fence ${fence}, ${runsEnded} runs ended, ${leasesRevoked} leases revoked`
      : `${scope} is open: fence ${fence}`,
  );
}
