import type { Duration } from "./time.ts";

/** What a duration is written in, the smallest first. */
export const units: Readonly<Record<string, Duration>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** As `duration` reads it, in the largest unit that is whole. Apart from it, since a run that only says one needs no schemas. */
export function durationText(span: Duration): string {
  const [unit = "ms", size = 1] = Object.entries(units).findLast(([, of]) => span % of === 0) ?? [];
  return `${span / size}${unit}`;
}
