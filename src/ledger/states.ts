import { BrokerError } from "../errors.ts";
import type { Event } from "./entry.ts";
import type { LeaseState } from "./ledger.ts";

/** The events that move a lease; each names it in `lease`. */
export type LeaseEvent = Extract<Event, { readonly lease: string }>;

type Moves = Readonly<Partial<Record<LeaseEvent["kind"], LeaseState>>>;

const ended: Moves = {};

/** Where each event leads from each state; what is not here cannot happen. `revocation-failed` is news, not a move. */
const moves: Readonly<Record<LeaseState, Moves>> = {
  intent: { issued: "issued", failed: "failed", unknown: "unknown" },
  issued: { delivered: "delivered", revoked: "revoked", expired: "expired", exposed: "exposed", "revocation-failed": "issued" },
  delivered: { revoked: "revoked", expired: "expired", exposed: "exposed", "revocation-failed": "delivered" },
  unknown: { revoked: "revoked", expired: "expired", failed: "failed", "revocation-failed": "unknown" },
  failed: ended,
  revoked: ended,
  expired: ended,
  exposed: ended,
};

/** The states in which a credential may be alive: what `live` means, and what a restarted broker must look after. */
export const liveStates: readonly LeaseState[] = ["intent", "issued", "delivered", "unknown"];

/** The lease's next state. Throws `lease-unknown` before its intent, and `lease-state` for any other illegal move. */
export function move(state: LeaseState | undefined, event: LeaseEvent): LeaseState {
  if (state === undefined) {
    if (event.kind === "intent") return "intent";
    throw new BrokerError("lease-unknown", `no lease ${event.lease} was ever intended`);
  }
  const next = moves[state][event.kind];
  if (next === undefined)
    throw new BrokerError("lease-state", `lease ${event.lease} is ${state}, so it cannot become ${event.kind}`);
  return next;
}

export function isLeaseEvent(event: Event): event is LeaseEvent {
  return "lease" in event;
}
