import { KeyRecord, type KeysChanged } from "./key-record.ts";

/** What is remembered of every issuer's keys, across restarts. */
export interface KeyHistory {
  /** What is on record of this issuer. Whoever records a change applies it to this as well. */
  recordOf(issuer: string): KeyRecord;
  /** Returns at once and never throws: whether it can be written down is not the verifier's concern. */
  record(changed: KeysChanged): void;
}

/** For who only looks, such as `mayfly explain`: nothing was ever seen, and nothing is remembered. */
export const noHistory: KeyHistory = { recordOf: () => new KeyRecord(), record: () => undefined };
