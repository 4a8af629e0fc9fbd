import { AuditService } from "../api/gen/mayfly/v1/audit_pb.ts";
import type { Config } from "../config.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { BrokerError } from "../errors.ts";
import { matchAt } from "../policy/match.ts";
import { decideAgain, type RecordedRequest } from "../policy/replay/request.ts";
import type { LoadCatalogue } from "../rooms.ts";
import type { Isolation } from "../sandbox/sandbox.ts";
import { type Again, recordedJson, recordedLines } from "./explain-recorded-text.ts";
import type { Io } from "./io.ts";
import { print, printJson } from "./output.ts";
import { reach } from "./reach.ts";
import { type AuditClient, newestAbout } from "./recorded.ts";
import { RecordedPolicies } from "./recorded-policies.ts";
import { requestOf } from "./requests.ts";
import { configFrom, roomsFrom, type TemplateFlags } from "./templates.ts";
import { refuseToken } from "./token.ts";

interface RecordedFlags extends TemplateFlags {
  readonly json?: boolean;
  readonly socket?: string;
}

/** A recorded run, denial or observation: what was said of it, and what the very policy that said it says of every template. */
export async function explainRecorded(io: Io, types: LoadCatalogue, id: string, flags: RecordedFlags): Promise<void> {
  refuseToken("mayfly explain", id);
  // Only what looks like one: reads are recorded, and somebody's handle, pasted by mistake, must not end up in the ledger.
  if (!/^(?:run|den|denial|obs|observation)-[\w-]{1,64}$/.test(id)) throw unknownId();
  using client = reach(io, AuditService, "audit", flags);
  const entry = await newestAbout(client.call, id, ["run-opened", "observed", "denied"]);
  if (entry === undefined) throw unknownId();
  const request = await requestOf(client.call, entry);
  const again =
    request === undefined ? { kind: "nobody" as const } : await decidedAgain(io, types, { call: client.call, request, flags });
  if (flags.json === true) printJson(io, recordedJson(entry, again));
  else print(io, ...recordedLines(entry, again));
}

function unknownId(): BrokerError {
  return new BrokerError("entry-unknown", "the ledger has no request of this id", {
    hint: "a run's, a denial's or an observation's id is wanted; `mayfly audit list --kind denied run-opened` shows them",
  });
}

interface Deciding {
  readonly call: AuditClient;
  readonly request: RecordedRequest;
  readonly flags: TemplateFlags;
}

async function decidedAgain(io: Io, types: LoadCatalogue, { call, request, flags }: Deciding): Promise<Again> {
  const { policy: digest } = request;
  if (digest === undefined) return { kind: "recorded", request, why: "no policy is on record for it" };
  const config = readable(() => configFrom(io, flags));
  if (typeof config === "string") return { kind: "recorded", request, why: config };
  const policies = new RecordedPolicies<Delivery, Isolation>(call, await roomsFrom(io, types, config));
  const policy = await policies.of(digest);
  if (policy === undefined) return { kind: "recorded", request, why: policies.failed.get(digest) ?? "" };
  const templates = [...policy.templates.values()].map((template) =>
    matchAt(template, { identity: request.identity, now: request.time }),
  );
  return { kind: "decided", request, decision: decideAgain(policy, request), templates };
}

/** An auditor may read the ledger from where there is no mayfly.yaml. */
function readable(read: () => Config): Config | string {
  try {
    return read();
  } catch (error) {
    if (error instanceof BrokerError && error.code === "config-invalid") return error.message;
    throw error;
  }
}
