import type { Instant } from "../../time.ts";
import type { KnownKey } from "./keyset.ts";

/** What happened to one issuer's keys, as it is recorded. */
export interface KeysChanged {
  /** The issuer's name in mayfly.yaml. */
  readonly issuer: string;
  /**
   * `first`: the issuer's first set. `added`, `withdrawn`, `replaced` (the same kid, another key): against what was recorded before.
   * `refused`: a set that is not believed, so the old one stays. `unreachable`: twice in a row. `reachable`: either is over.
   */
  readonly change: "first" | "added" | "withdrawn" | "replaced" | "refused" | "unreachable" | "reachable";
  readonly keys: readonly KnownKey[];
  /** In our words, never the issuer's. */
  readonly why: string | null;
}

/** One line of the past. An operator's word for a held key names it as `keyName` does. */
export type KeyFact =
  | { readonly kind: "changed"; readonly at: Instant; readonly changed: KeysChanged }
  | { readonly kind: "accepted"; readonly key: string };

/** What is remembered of every issuer's keys, across restarts. */
export interface KeyHistory {
  /** What was recorded until now, oldest first. */
  readonly past: readonly KeyFact[];
  /** Returns at once and never throws: whether it can be written down is not the verifier's concern. */
  record(changed: KeysChanged): void;
}

/** For who only looks, such as `mayfly explain`: nothing was ever seen, and nothing is remembered. */
export const noHistory: KeyHistory = { past: [], record: () => undefined };

/** A key so that no other can be meant: kids have no blanks, and another key under the same kid has another thumbprint. */
export function keyName(issuer: string, { kid, thumbprint }: KnownKey): string {
  return `${issuer} ${kid} ${thumbprint}`;
}
