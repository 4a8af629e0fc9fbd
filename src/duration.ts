import { z } from "zod";
import type { Duration } from "./time.ts";

const units: Readonly<Record<string, Duration>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `15m`, `12h`, `7d` and `250ms`, as operators write them; a bare number is refused, since its unit is a guess. */
export const duration = z
  .string()
  .regex(/^[1-9][0-9]{0,8}(ms|s|m|h|d)$/, "write a duration as a whole number and a unit: 250ms, 90s, 15m, 12h or 7d")
  .transform((text): Duration => {
    const [, count, unit] = /^([0-9]+)([a-z]+)$/.exec(text) ?? [];
    return Number(count) * (units[unit ?? ""] ?? Number.NaN);
  });

/** As `duration` reads it, in the largest unit that is whole. */
export function durationText(span: Duration): string {
  const [unit = "ms", size = 1] = Object.entries(units).findLast(([, of]) => span % of === 0) ?? [];
  return `${span / size}${unit}`;
}
