import { BrokerError } from "../errors.ts";
import type { Revoker } from "../ledger/entry.ts";
import type { LeaseRecord } from "../ledger/ledger.ts";
import type { Duration, Instant } from "../time.ts";
import { bounded } from "./bounded.ts";
import type { LeaseRoom } from "./lease.ts";
import type { Ending, Intent } from "./provider.ts";
import { ifMoved, revocationOf, revoke } from "./revoke.ts";

export interface Mending extends LeaseRoom {
  /**
   * How long after a lease became unknown "it never happened" is not believed yet: a request whose caller died may still be on its way.
   * Longer than the patience of minting.
   */
  readonly settle: Duration;
  /** The longest that one attempt may take. */
  readonly patience: Duration;
}

/** Brings an open lease that no run holds any more one step nearer to its end; rejects when the provider could not do its part. */
export async function mend(room: Mending, record: LeaseRecord, by: Revoker, signal: AbortSignal): Promise<void> {
  if (record.state === "intent") await room.ledger.append([{ kind: "unknown", lease: record.lease, code: "internal" }]);
  if (isOver(record, room.clock.now())) return endOver(room, record, by, signal);
  if (record.state === "intent" || record.state === "unknown") return mendUnknown(room, record, by, signal);
  await mendKnown(room, record, by, signal);
}

/** By our clock it cannot live any more; our clock may be wrong, so what can be ended is ended all the same. */
async function endOver(room: Mending, record: LeaseRecord, by: Revoker, signal: AbortSignal): Promise<void> {
  // Within half of an attempt's time, so that a provider that hangs does not keep the lease open for ever.
  await bounded(room.clock, room.patience / 2, signal, (stop) => lastTry(room, record, by, stop)).catch(() => undefined);
  await recordExpired(room, record.lease);
}

async function lastTry(room: Mending, record: LeaseRecord, by: Revoker, signal: AbortSignal): Promise<void> {
  if (revocationOf(room, record.provider) === "none") return;
  await (record.ending === null ? mendUnknown(room, record, by, signal) : mendKnown(room, record, by, signal));
}

function isOver({ state, expiresAt, latestExpiry }: LeaseRecord, now: Instant): boolean {
  const until = state === "intent" || state === "unknown" ? latestExpiry : expiresAt;
  return until !== null && now >= until;
}

async function mendKnown(
  room: Mending,
  { lease, provider, ending, handle, latestExpiry, expiresAt }: LeaseRecord,
  by: Revoker,
  signal: AbortSignal,
): Promise<void> {
  switch (ending) {
    case "revoke":
      return revoke(room, { lease, provider, handle: handle ?? {} }, by, signal);
    case "static":
      await room.ledger
        .append([{ kind: "exposed", lease, why: "a stored value was handed out, and it outlives the job" }])
        .catch(ifMoved);
      return;
    case "expires":
    case null:
      return room.ledger.postpone(lease, expiresAt ?? latestExpiry);
  }
}

/** Nobody knows whether it came into being: the provider is asked, and where it cannot tell, the latest expiry is waited for. */
async function mendUnknown(room: Mending, record: LeaseRecord, by: Revoker, signal: AbortSignal): Promise<void> {
  const { lease, provider, options, latestExpiry } = record;
  const revocation = revocationOf(room, provider);
  if (revocation === "none") return room.ledger.postpone(lease, latestExpiry);
  const found = await revocation.recover(intentOf(record), options, { proof: room.proofs.end(lease), signal });
  if (found.kind === "found") return endFound(room, record, found.ending, { by, signal });
  // Not from its intent: a credential that waits for its provider may be asked for long after that.
  const believedFrom = (record.unknownAt ?? room.clock.now()) + room.settle;
  if (room.clock.now() < believedFrom) return room.ledger.postpone(lease, believedFrom);
  await room.ledger.append([{ kind: "failed", lease, code: "provider-unavailable" }]).catch(ifMoved);
}

async function endFound(
  room: Mending,
  { lease, provider, latestExpiry }: LeaseRecord,
  ending: Ending,
  how: { readonly by: Revoker; readonly signal: AbortSignal },
): Promise<void> {
  switch (ending.kind) {
    case "revoke":
      return revoke(room, { lease, provider, handle: ending.handle }, how.by, how.signal);
    case "expires":
      return room.ledger.postpone(lease, Math.min(ending.at, latestExpiry));
    case "static":
      // It was read and never handed out: nothing is left to end.
      await room.ledger.append([{ kind: "failed", lease, code: "provider-unavailable" }]).catch(ifMoved);
  }
}

async function recordExpired({ ledger }: Mending, lease: string): Promise<void> {
  await ledger.append([{ kind: "expired", lease }]).catch(ifMoved);
}

function intentOf({ lease, credential, provider, template, workload, session, openedAt, latestExpiry }: LeaseRecord): Intent {
  return { lease, credential, provider, template, workload, session, ttl: latestExpiry - openedAt, latestExpiry };
}

/** For a responder who wants a lease ended that cannot be: says until when it lives. */
export function refuseUnendable({ ending, lease, expiresAt }: LeaseRecord): void {
  if (ending !== "expires") return;
  const until = expiresAt === null ? "its expiry" : new Date(expiresAt).toISOString();
  throw new BrokerError("lease-state", `lease ${lease} cannot be ended before ${until}`, {
    hint: "its provider cannot revoke; tell the servers that accept it",
  });
}
