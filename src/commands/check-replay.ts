import { AuditService } from "../api/gen/mayfly/v1/audit_pb.ts";
import type { Config } from "../config.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { duration } from "../duration.ts";
import { BrokerError } from "../errors.ts";
import { policyInvalid } from "../policy/problem.ts";
import type { ChangeKind } from "../policy/replay/change.ts";
import { Replay } from "../policy/replay/replay.ts";
import type { LoadCatalogue } from "../rooms.ts";
import type { Isolation } from "../sandbox/sandbox.ts";
import type { Duration, Instant } from "../time.ts";
import { type Replayed, replayLines, untold, untoldText } from "./check-replay-text.ts";
import { wanting } from "./check-text.ts";
import type { Io } from "./io.ts";
import { print, printJson, say } from "./output.ts";
import { reach } from "./reach.ts";
import { RecordedPolicies } from "./recorded-policies.ts";
import { newTally, recordedRequests } from "./requests.ts";
import { readTemplates, roomsFrom } from "./templates.ts";

export interface ReplayAsked {
  readonly config: Config;
  /** The templates that are to come. */
  readonly folder: string;
  /** `30d`. */
  readonly span: string;
  readonly flags: { readonly json?: boolean; readonly socket?: string };
}

/**
 * Decides the recorded requests of a span by the policy that decided them and by the templates of a folder, and lists what would come out
 * otherwise. Exits with 1 where anything would newly be allowed, denied, widened, lengthened or run otherwise, and where anything cannot be told:
 * it stands before a merge. Throws `policy-invalid`.
 */
export async function checkReplay(io: Io, types: LoadCatalogue, { config, folder, span, flags }: ReplayAsked): Promise<void> {
  const since = io.clock.now() - spanOf(span);
  const rooms = await roomsFrom(io, types, config);
  const compiled = await readTemplates(io, types, { config, folder });
  if (compiled.kind === "problems") throw policyInvalid(compiled.problems);
  using client = reach(io, AuditService, "audit", flags);
  const policies = new RecordedPolicies<Delivery, Isolation>(client.call, rooms);
  const replay = new Replay({ next: compiled.policy, exceeds: rooms.isolation.exceeds });
  const tally = newTally();
  for await (const request of recordedRequests(client.call, { since, tally, heed: progressOn(io) }))
    replay.add(request, await policies.of(request.policy));
  const replayed = { span, since, policy: compiled.policy.digest, tally, failed: policies.failed, report: replay.report() };
  if (flags.json === true) printJson(io, json(replayed));
  else print(io, ...replayLines(replayed));
  const gap = untoldText(replayed);
  if (gap !== undefined) say(io, `mayfly: ${gap}`);
  if (!isSafe(replayed)) io.exit(wanting);
}

/** A flag's span, such as `30d`. Throws `usage`. */
export function spanOf(text: string): Duration {
  const parsed = duration.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new BrokerError("usage", `${JSON.stringify(text.slice(0, 40))} is no span of time`, { hint: "write 12h, 14d or 30d" });
}

/** A line for every twenty thousand entries; a short span says nothing. */
export function progressOn(io: Io): (read: number, back: Instant) => void {
  return (read, back) => {
    if (read % 20_000 === 0) say(io, `mayfly: ${read} entries read, back to ${new Date(back).toISOString()}`);
  };
}

/** Of these a merge need not wait for anybody. */
const harmless: readonly ChangeKind[] = ["narrowed", "other-template"];

function isSafe(replayed: Replayed): boolean {
  return untold(replayed) === 0 && replayed.report.differences.every(({ kind }) => harmless.includes(kind));
}

function json(replayed: Replayed): unknown {
  const { since, policy, tally, failed, report } = replayed;
  const { differences, ...counts } = report;
  const at = (time: Instant): string => new Date(time).toISOString();
  return {
    ok: isSafe(replayed),
    since: at(since),
    policy,
    ...counts,
    ...tally,
    cannotTell: untold(replayed),
    notCompiled: Object.fromEntries(failed),
    differences: differences.map(({ example: { id, time, before = null, after = null }, step = null, ...difference }) => ({
      ...difference,
      step,
      example: { id, time: at(time), before, after },
    })),
  };
}
