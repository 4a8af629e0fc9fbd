import type { Ledger } from "../ledger/ledger.ts";
import type { Material } from "../material.ts";
import type { Secret } from "../secret.ts";
import type { Clock, Duration, Instant } from "../time.ts";
import type { Proofs } from "./authority.ts";
import type { Ending, ProofKind, Provider } from "./provider.ts";

/** A provider, and as whom it proves itself upstream: as the broker where nothing else is said. */
export interface RoomProvider extends Provider<unknown> {
  readonly as?: ProofKind;
}

/** What bringing a lease into being, ending it and looking after it have in common. */
export interface LeaseRoom {
  readonly ledger: Ledger;
  /** By their names in mayfly.yaml. */
  readonly providers: ReadonlyMap<string, RoomProvider>;
  readonly proofs: Proofs;
  readonly clock: Clock;
  /** The longest that one call of a provider is waited for. */
  readonly patience: Duration;
}

/** A live credential in the broker's hands; the ledger knows it as `issued`. */
export interface Lease<Delivery = unknown> {
  readonly lease: string;
  readonly credential: string;
  readonly provider: string;
  readonly material: Material;
  readonly ending: Ending;
  readonly deliver: Delivery;
}

/** The credentials of one run. Leaving its scope ends them all. */
export interface Leases<Delivery = unknown> extends AsyncDisposable {
  readonly all: readonly Lease<Delivery>[];
  readonly secrets: readonly Secret[];
  /**
   * Wipes our copies and ends every lease, all at once; resolves at the latest half a second after the span, whatever an upstream does.
   * What is not ended by then stays open in the ledger for the sweeper. The second call gives the first one's outcome.
   */
  end(span: Duration): Promise<readonly LeaseEnd[]>;
}

/** `pending`: the sweeper goes on. `expires`: nobody can end it earlier. `exposed`: a stored value, which lives on. */
export interface LeaseEnd {
  readonly lease: string;
  readonly credential: string;
  readonly provider: string;
  readonly end: "revoked" | "pending" | "expires" | "exposed";
  readonly expiresAt: Instant | undefined;
}

/** The latest moment at which it can still be alive; undefined for a stored value. */
export function expiryOf(ending: Ending): Instant | undefined {
  switch (ending.kind) {
    case "revoke":
      return ending.expiresAt;
    case "expires":
      return ending.at;
    case "static":
      return undefined;
  }
}
