import type { Secret } from "../secret.ts";

/**
 * Hides secrets in one stream of bytes, whatever its chunking: every byte that is part of any occurrence of any form of any
 * armed secret is hidden, overlapping occurrences as one. What `write` gives may be shown; only bytes that may still become a
 * secret are held back, and `end` gives the rest, hidden where it stays a secret's beginning long enough to matter.
 */
export interface Masker {
  write(chunk: Uint8Array): Uint8Array;
  end(): Uint8Array;
}

/** The secrets of one job. Values are added before they are handed out and never removed while the job lives. */
export interface MaskSet {
  /** Throws `delivery-failed` when a value is too short or too common to be hidden; the others are hidden all the same. */
  add(secrets: readonly Secret[]): void;
  /** One per stream; each sees values that are added later too. */
  masker(): Masker;
  /** Overwrites every copy of the secrets once the job is gone; its maskers then throw. */
  wipe(): void;
}
