import { BrokerError } from "../errors.ts";
import type { Revoker } from "../ledger/entry.ts";
import type { Instant } from "../time.ts";
import type { LeaseRoom } from "./lease.ts";
import type { Handle, Revocation } from "./provider.ts";

/** What ending a lease needs to know of it. */
export interface Revocable {
  readonly lease: string;
  readonly provider: string;
  readonly handle: Handle;
}

/** Ends it upstream, then records who did; rejects when either did not happen. */
export async function revoke(
  room: LeaseRoom,
  { lease, provider, handle }: Revocable,
  by: Revoker,
  signal: AbortSignal,
): Promise<void> {
  const revocation = revocationOf(room, provider);
  if (revocation === "none")
    throw new BrokerError("internal", `the provider ${provider} cannot end a lease early, yet one has a handle`);
  await revocation.revoke(handle, { proof: room.proofs.end(lease), signal });
  await room.ledger.append([{ kind: "revoked", lease, by }]).catch(ifMoved);
}

export function revocationOf(room: LeaseRoom, provider: string): Revocation<unknown> | "none" {
  const found = room.providers.get(provider);
  if (found === undefined)
    throw new BrokerError("provider-unknown", `no provider is called ${provider}`, {
      hint: "its leases stay open until it is configured again or they expire",
    });
  return found.revocation;
}

/** Records that ending it failed, and when to try again. */
export async function recordFailure(
  room: LeaseRoom,
  lease: string,
  attempt: number,
  failure: { readonly error: BrokerError; readonly retryAt: Instant },
): Promise<void> {
  const { code } = failure.error;
  await room.ledger.append([{ kind: "revocation-failed", lease, code, attempt }]).catch(ifMoved);
  await room.ledger.postpone(lease, failure.retryAt);
}

/** A job's end, a responder and the sweeper may end one lease side by side: whoever comes second finds it done. */
export function ifMoved(error: unknown): readonly never[] {
  if (error instanceof BrokerError && error.code === "lease-state") return [];
  throw error;
}
