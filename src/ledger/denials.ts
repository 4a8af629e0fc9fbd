import type { Duration, Instant } from "../time.ts";
import type { Event } from "./entry.ts";

export interface DenialLimit {
  /** So many of a peer's denials are recorded in full within `per`; the rest are counted. */
  readonly most: number;
  readonly per: Duration;
}

export type DenialsCounted = Extract<Event, { kind: "denials-counted" }>;

interface Window {
  readonly from: Instant;
  readonly seen: number;
}

/** So many peers are told apart at a time; the rest share one window, under a uid that no peer can have. */
const mostPeers = 1_000;
const everyoneElse = -1;

export type DenialMark = ReadonlyMap<number, Window>;

/**
 * An append-only ledger must not be a way to fill the disk: who is denied again and again fills a counter instead. The
 * count of a flood is written when its window has ended; a crash before that loses the count, never the first denials.
 */
export class Denials {
  readonly #limit: DenialLimit;
  #windows: ReadonlyMap<number, Window> = new Map();

  constructor(limit: DenialLimit) {
    this.#limit = limit;
  }

  /** Whether this denial is to be recorded in full. What windows have ended must have been taken first. */
  admit(peer: number, now: Instant): boolean {
    const key = this.#windows.has(peer) || this.#windows.size < mostPeers ? peer : everyoneElse;
    const window = this.#windows.get(key) ?? { from: now, seen: 0 };
    this.#windows = new Map(this.#windows).set(key, { from: window.from, seen: window.seen + 1 });
    return window.seen < this.#limit.most;
  }

  /** The counts of the windows that have ended, or of all when the ledger closes; they are then forgotten. */
  take(now: Instant, which: "ended" | "all" = "ended"): readonly DenialsCounted[] {
    const isOver = (window: Window): boolean => which === "all" || this.#isOver(window, now);
    const over = [...this.#windows].filter(([, window]) => isOver(window));
    if (over.length > 0) this.#windows = new Map([...this.#windows].filter(([, window]) => !isOver(window)));
    return over
      .filter(([, { seen }]) => seen > this.#limit.most)
      .map(([peer, { from, seen }]) => ({
        kind: "denials-counted",
        peer,
        count: seen - this.#limit.most,
        from,
        to: Math.max(from, now),
      }));
  }

  /** For a write that may be undone: what is returned to is counted again. */
  mark(): DenialMark {
    return this.#windows;
  }

  returnTo(mark: DenialMark): void {
    this.#windows = mark;
  }

  /** A clock that jumped back ends the window too: it must not silence a peer for as long as the jump was. */
  #isOver({ from }: Window, now: Instant): boolean {
    return now >= from + this.#limit.per || now < from;
  }
}
