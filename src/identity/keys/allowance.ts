import type { Clock, Duration } from "../../time.ts";

/** Says yes `count` times at once, and then once more for each `every` that has passed. */
export function allowance(clock: Clock, { count, every }: { readonly count: number; readonly every: Duration }): () => boolean {
  let left = count;
  let since = clock.monotonic();
  return () => {
    const earned = Math.floor((clock.monotonic() - since) / every);
    since += earned * every;
    left = Math.min(left + earned, count);
    if (left === 0) return false;
    left -= 1;
    return true;
  };
}
