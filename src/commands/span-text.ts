import { units } from "../duration-text.ts";
import type { Duration } from "../time.ts";

/** For a person, rounded down to its two largest units: `45s`, `4m30s`, `2d3h`. */
export function spanText(span: Duration): string {
  const large = Object.entries(units)
    .filter(([, size]) => size >= 1_000)
    .toReversed();
  const first = large.findIndex(([, size]) => span >= size);
  if (first === -1) return "0s";
  const counts = large.map(
    ([unit, size], index) => [Math.floor((span % (large[index - 1]?.[1] ?? Infinity)) / size), unit] as const,
  );
  return counts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join("");
}
