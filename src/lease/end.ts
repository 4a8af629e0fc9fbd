import { secretsOf } from "../material.ts";
import { type Duration, within } from "../time.ts";
import { bounded } from "./bounded.ts";
import { asFailure } from "./failure.ts";
import { expiryOf, type Lease, type LeaseEnd, type LeaseRoom, type Leases } from "./lease.ts";
import { recordFailure, revoke } from "./revoke.ts";

/** For the ledger to take down what happened, once the provider's time is over. */
const recordTime: Duration = 400;

/** Until the sweeper's first try after a job's end could not revoke. */
const firstRetry: Duration = 1_000;

/** A lease, and the hiding of its secrets in the broker's own log. */
export interface Held<Delivery> {
  readonly lease: Lease<Delivery>;
  readonly hidden: Disposable;
}

export function holdLeases<Delivery>(
  room: LeaseRoom,
  held: readonly Held<Delivery>[],
  disposalTime: Duration,
): Leases<Delivery> {
  const all = held.map(({ lease }) => lease);
  let ending: Promise<readonly LeaseEnd[]> | undefined;
  const end = (span: Duration): Promise<readonly LeaseEnd[]> => {
    ending ??= endHeld(room, held, span);
    return ending;
  };
  return {
    all,
    secrets: all.flatMap(({ material }) => secretsOf(material)),
    end,
    [Symbol.asyncDispose]: async () => void (await end(disposalTime)),
  };
}

/** Wipes our copies and ends them side by side, within the span and the time to record it. */
export async function endHeld(room: LeaseRoom, held: readonly Held<unknown>[], span: Duration): Promise<readonly LeaseEnd[]> {
  return Promise.all(
    held.map(async ({ lease, hidden }) => {
      for (const secret of secretsOf(lease.material)) secret.wipe();
      const end = await within(room.clock, span + recordTime, endLease(room, lease, span), () => outcome(lease, "pending"));
      hidden[Symbol.dispose]();
      return end;
    }),
  );
}

async function endLease(room: LeaseRoom, lease: Lease, span: Duration): Promise<LeaseEnd> {
  switch (lease.ending.kind) {
    case "expires":
      return outcome(lease, "expires");
    case "static":
      return expose(room, lease);
    case "revoke":
      return revokeWithin(room, { ...lease, handle: lease.ending.handle }, span);
  }
}

async function expose(room: LeaseRoom, lease: Lease): Promise<LeaseEnd> {
  const why = "a stored value was handed out, and it outlives the job";
  // Unrecorded it stays open, and the sweeper records it.
  await room.ledger.append([{ kind: "exposed", lease: lease.lease, why }]).catch(() => undefined);
  return outcome(lease, "exposed");
}

async function revokeWithin(room: LeaseRoom, lease: Lease & Parameters<typeof revoke>[1], span: Duration): Promise<LeaseEnd> {
  try {
    await bounded(room.clock, span, new AbortController().signal, (signal) => revoke(room, lease, "job-end", signal));
    return outcome(lease, "revoked");
  } catch (error) {
    // The ledger may be what failed: the lease is then still open in it, which is all that the sweeper needs.
    await recordFailure(room, lease.lease, 1, {
      error: asFailure(lease.provider, error),
      retryAt: room.clock.now() + firstRetry,
    }).catch(() => undefined);
    return outcome(lease, "pending");
  }
}

function outcome({ lease, credential, provider, ending }: Lease, end: LeaseEnd["end"]): LeaseEnd {
  return { lease, credential, provider, end, expiresAt: expiryOf(ending) };
}
