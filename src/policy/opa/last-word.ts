import type { Decision, Grant } from "../grant.ts";

/** In the trace of a denial: the line whose `found` is the policy's own reason. */
export const lastWordLine = "the site's last word";

/** What the site says once a template has granted: a policy in Rego that can deny or narrow, and never give. */
export interface LastWord<Delivery, Isolation> {
  /**
   * Rejects with `last-word-unavailable` where no answer came, or one that is not understood, or one that would widen: an answer that is
   * not understood is none, and none denies.
   */
  ask(grant: Grant<Delivery, Isolation>, signal: AbortSignal): Promise<Heard<Delivery, Isolation>>;
}

export interface Heard<Delivery, Isolation> {
  /** The grant itself, a narrower one, or the denial `overruled`, in whose trace the policy's own reason is. */
  readonly outcome: Decision<Delivery, Isolation>;
  /** The id of this decision, for the ledger: `opa:` and the server's own id, or the first digits of the bundle's digest and an id of ours. */
  readonly decision: string;
}
