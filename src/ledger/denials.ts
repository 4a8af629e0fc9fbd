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

/** How much had changed by then. */
export type DenialMark = number;

/**
 * An append-only ledger must not be a way to fill the disk: who is denied again and again fills a counter instead. The
 * count of a flood is written when its window has ended; a crash before that loses the count, never the first denials.
 */
export class Denials {
  readonly #limit: DenialLimit;
  readonly #windows = new Map<number, Window>();
  /** What stood there before each change since the last `keep`: a flood must not cost a copy of all windows for each denial. */
  readonly #before: { readonly peer: number; readonly window: Window | undefined }[] = [];

  constructor(limit: DenialLimit) {
    this.#limit = limit;
  }

  /** How many peers are told apart at the moment, those that share a window being one. */
  get peers(): number {
    return this.#windows.size;
  }

  /** Whether this denial is to be recorded in full. What windows have ended must have been taken first. */
  admit(peer: number, now: Instant): boolean {
    const key = this.#windows.has(peer) || this.#windows.size < mostPeers ? peer : everyoneElse;
    const window = this.#windows.get(key) ?? { from: now, seen: 0 };
    this.#change(key, { from: window.from, seen: window.seen + 1 });
    return window.seen < this.#limit.most;
  }

  /** The counts of the windows that have ended, or of all when the ledger closes; they are then forgotten. */
  take(now: Instant, which: "ended" | "all" = "ended"): readonly DenialsCounted[] {
    const over = [...this.#windows].filter(([, window]) => which === "all" || this.#isOver(window, now));
    for (const [peer] of over) this.#change(peer, undefined);
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
    return this.#before.length;
  }

  returnTo(mark: DenialMark): void {
    while (this.#before.length > mark) {
      const last = this.#before.pop();
      if (last !== undefined) this.#set(last.peer, last.window);
    }
  }

  /** What has changed so far is durable: earlier marks are of no use any more. */
  keep(): void {
    this.#before.length = 0;
  }

  #change(peer: number, window: Window | undefined): void {
    this.#before.push({ peer, window: this.#windows.get(peer) });
    this.#set(peer, window);
  }

  #set(peer: number, window: Window | undefined): void {
    if (window === undefined) this.#windows.delete(peer);
    else this.#windows.set(peer, window);
  }

  /** A clock that jumped back ends the window too: it must not silence a peer for as long as the jump was. */
  #isOver({ from }: Window, now: Instant): boolean {
    return now >= from + this.#limit.per || now < from;
  }
}
