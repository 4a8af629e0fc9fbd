import type { BrokerError } from "../errors.ts";
import type { Duration } from "../time.ts";
import { bounded } from "./bounded.ts";
import { asFailure } from "./failure.ts";
import type { Lease, LeaseRoom } from "./lease.ts";
import type { Ending } from "./provider.ts";
import { revocationOf } from "./revoke.ts";

export interface Renewing extends LeaseRoom {
  /** Asked before each renewal: a raised fence, or a lease that is no longer its run's, is renewed no more. */
  readonly mayRenew: (lease: string) => Promise<boolean>;
  /** What could not be renewed, for the operator; it is tried again until its time is over. */
  readonly report: (error: BrokerError, lease: string) => void;
}

/** A dead broker's lease dies so long after the last renewal; a living one's is renewed three times within it. */
const renewals = 3;

/** Between two attempts of which the first failed. */
const attempts = 4;

type Renewable = Extract<Ending, { kind: "revoke" }> & { readonly renewWithin: Duration };

/** Keeps alive, until `over`, those of a run's leases whose upstream ends them where nobody renews them. */
export function keepAlive(room: Renewing, leases: readonly Lease[], over: AbortSignal): void {
  for (const { lease, provider, ending } of leases) {
    if (ending.kind !== "revoke" || ending.renewWithin === undefined) continue;
    const renewable = { ...ending, renewWithin: ending.renewWithin };
    renewing(room, { lease, provider, ending: renewable }, over).catch((error: unknown) => {
      if (!over.aborted) room.report(asFailure(provider, error), lease);
    });
  }
}

interface Kept {
  readonly lease: string;
  readonly provider: string;
  readonly ending: Renewable;
}

/** Ends when its time is over: by then the upstream has ended it, and the job finds a credential that works no more. */
async function renewing(room: Renewing, kept: Kept, over: AbortSignal): Promise<void> {
  const { clock } = room;
  const { renewWithin, expiresAt } = kept.ending;
  const span = renewWithin / renewals;
  for (let last = clock.monotonic(), pause = span; clock.monotonic() - last < renewWithin; ) {
    await clock.sleep(pause, over);
    if (clock.now() >= expiresAt || !(await room.mayRenew(kept.lease))) return;
    const asked = clock.monotonic();
    const isRenewed = await renewed(room, kept, { span, over });
    if (isRenewed) last = asked;
    pause = isRenewed ? span : span / attempts;
  }
}

async function renewed(
  room: Renewing,
  { lease, provider, ending: { handle } }: Kept,
  { span, over }: { readonly span: Duration; readonly over: AbortSignal },
): Promise<boolean> {
  const revocation = revocationOf(room, provider);
  if (revocation === "none" || revocation.renew === undefined)
    throw new Error("the provider says that its leases are to be renewed, and cannot renew them");
  const { clock, patience, proofs } = room;
  try {
    const renew = revocation.renew.bind(revocation);
    await bounded(clock, Math.min(patience, span), over, (signal) => renew(handle, { proof: proofs.end(lease), signal }));
    return true;
  } catch (error) {
    over.throwIfAborted();
    room.report(asFailure(provider, error), lease);
    return false;
  }
}
