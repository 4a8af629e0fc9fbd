import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Command, Option } from "commander";
import { AuditService, ListLeasesResponseSchema } from "../api/gen/mayfly/v1/audit_pb.ts";
import { ControlService, RevokeLeaseResponseSchema } from "../api/gen/mayfly/v1/control_pb.ts";
import { Ending, type Lease, LeaseState } from "../api/gen/mayfly/v1/lease_pb.ts";
import type { Instant } from "../time.ts";
import { count } from "./count.ts";
import type { Io } from "./io.ts";
import { print, table } from "./output.ts";
import { jsonFlag, printMessage, reach, socketFlag } from "./reach.ts";
import { spanText } from "./span-text.ts";
import { type Asked, reason, whoFlag, whyFlag } from "./who.ts";

interface ListFlags {
  readonly state: keyof typeof states | "live" | "all";
  readonly workload?: string;
  readonly limit: number;
  readonly json?: boolean;
  readonly socket?: string;
}

const states = {
  intent: LeaseState.INTENT,
  issued: LeaseState.ISSUED,
  failed: LeaseState.FAILED,
  unknown: LeaseState.UNKNOWN,
  delivered: LeaseState.DELIVERED,
  revoked: LeaseState.REVOKED,
  expired: LeaseState.EXPIRED,
  exposed: LeaseState.EXPOSED,
} as const;

const examples = `
Examples:
  $ mayfly lease list
  $ mayfly lease list --state all --workload github:519283746 --json
  $ mayfly lease revoke lse-0e2f... --why "the job leaked its log"`;

export function leaseCommand(io: Io): Command {
  return new Command("lease")
    .summary("list credentials that were given, and end one")
    .description(
      "Lists the credentials that were given (audit.sock), and ends one at once (control.sock). No secret is ever shown.",
    )
    .addHelpText("after", examples)
    .addCommand(listCommand(io))
    .addCommand(revokeCommand(io));
}

function listCommand(io: Io): Command {
  return new Command("list")
    .description(
      "Lists leases, newest first. ENDS says how one can end: `revocable` at any time, only when it `expires`, or `never` (a stored value: rotate it). LEFT is how long it can live at most. PROOF is as whom its provider went upstream; as `job`, the job's own token opens the same there without this broker.",
    )
    .addOption(
      new Option("--state <state>", "only those in this state")
        .choices(["live", "all", ...Object.keys(states)])
        .default("live"),
    )
    .option("--workload <name>", "only those of this workload")
    .option("--limit <count>", "at most so many", count, 100)
    .option(...jsonFlag)
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((flags: ListFlags) => list(io, flags));
}

function revokeCommand(io: Io): Command {
  return new Command("revoke")
    .description("Ends one lease now.")
    .argument("<lease>", "its id")
    .option(...whoFlag)
    .requiredOption(...whyFlag)
    .option(...jsonFlag)
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((lease: string, flags: Asked & { readonly json?: boolean; readonly socket?: string }) => revoke(io, lease, flags));
}

async function list(io: Io, flags: ListFlags): Promise<void> {
  const { state, workload = "", limit } = flags;
  using client = reach(io, AuditService, "audit", flags);
  const wanted = state === "live" ? { live: true } : state === "all" ? {} : { state: states[state] };
  const answer = await client.call.listLeases({ ...wanted, workload, limit });
  if (flags.json === true) printMessage(io, ListLeasesResponseSchema, answer);
  else
    print(
      io,
      ...table(
        head,
        answer.leases.map((lease) => row(lease, io.clock.now())),
      ),
    );
}

async function revoke(
  io: Io,
  lease: string,
  flags: Asked & { readonly json?: boolean; readonly socket?: string },
): Promise<void> {
  using client = reach(io, ControlService, "control", flags);
  const answer = await client.call.revokeLease({ lease, ...reason(io, flags) });
  if (flags.json === true) printMessage(io, RevokeLeaseResponseSchema, answer);
  else print(io, `${lease} ${stateName(answer.lease?.state)}`);
}

const head = ["LEASE", "STATE", "CREDENTIAL", "PROVIDER", "PROOF", "WORKLOAD", "ENDS", "LEFT"];

function row(lease: Lease, now: Instant): readonly string[] {
  const { credential, provider, as, workload } = lease;
  return [lease.lease, stateName(lease.state), credential, provider, as, workload, endsText(lease), leftText(lease, now)];
}

const endings: Readonly<Partial<Record<Ending, string>>> = {
  [Ending.REVOKE]: "revocable",
  [Ending.EXPIRES]: "expires",
  [Ending.STATIC]: "never",
};

/** Unknown where its provider has not answered yet, or its answer was lost. */
function endsText({ state, ending }: Lease): string {
  return state === LeaseState.FAILED ? "-" : (endings[ending] ?? "unknown");
}

const live: ReadonlySet<LeaseState> = new Set([LeaseState.INTENT, LeaseState.ISSUED, LeaseState.UNKNOWN, LeaseState.DELIVERED]);

function leftText({ state, ending, expiresAt, latestExpiry }: Lease, now: Instant): string {
  if (!live.has(state)) return "-";
  const until = ending === Ending.STATIC ? undefined : (expiresAt ?? latestExpiry);
  return until === undefined ? "for ever" : spanText(Math.max(0, timestampMs(until) - now));
}

function stateName(state: LeaseState | undefined): string {
  return Object.entries(states).find(([, value]) => value === state)?.[0] ?? "in a state that this mayfly does not know";
}
