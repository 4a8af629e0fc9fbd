import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";

/** Milliseconds since 1970, by the wall clock: what claims and expiries are stated in. */
export type Instant = number;

/** Milliseconds. */
export type Duration = number;

export const minute: Duration = 60_000;
export const hour: Duration = 60 * minute;
export const day: Duration = 24 * hour;

/** Handed in wherever time matters; nobody else reads a clock or sets a timer. */
export interface Clock {
  /** The wall clock: for claims and expiries. It may jump. */
  now(): Instant;
  /** Never goes back: for deadlines and measured spans. */
  monotonic(): Duration;
  /** Rejects with the signal's reason when aborted. */
  sleep(span: Duration, signal?: AbortSignal): Promise<void>;
}

/** Node turns a longer timer into one of 1 ms, so longer sleeps are made of several. */
const longestTimer = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  async sleep(span, signal) {
    for (let left = span; left > 0; left -= longestTimer) {
      await sleep(Math.min(left, longestTimer), undefined, signal === undefined ? {} : { signal });
    }
  },
};

/**
 * For long work that shares a thread with others: asked as often as can be, it gives nothing for `span`, and then what to wait for while
 * they have their turn.
 */
export function turns(span: Duration): () => Promise<void> | undefined {
  let since = performance.now();
  return () => {
    if (performance.now() - since < span) return undefined;
    return nextTurn().then(() => {
      since = performance.now();
    });
  };
}

/**
 * What `work` gives, or `late()` once `span` is over. The work itself is not stopped: hand it a signal for that. The loser
 * of the race is always heard, so a late rejection is never an unhandled one.
 */
export async function within<T, L>(clock: Clock, span: Duration, work: Promise<T>, late: () => L): Promise<T | L> {
  const over = new AbortController();
  work.catch(() => undefined);
  const alarm = clock.sleep(span, over.signal).then(late, () => new Promise<never>(() => undefined));
  try {
    return await Promise.race([work, alarm]);
  } finally {
    over.abort();
  }
}
