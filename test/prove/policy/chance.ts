import { type Random, whole } from "../identity/chance.ts";
import type { Written } from "./written.ts";

/** Once in so many times, by and large. */
export function chance(random: Random, probability: number): boolean {
  return random() < probability;
}

/** In another order. */
export function shuffled<T>(random: Random, from: readonly T[]): readonly T[] {
  const items = [...from];
  for (let last = items.length - 1; last > 0; last--) {
    const other = whole(random, last + 1);
    [items[last], items[other]] = [items[other] as T, items[last] as T];
  }
  return items;
}

/** Between `least` and `most` of them, each once, in their own order. */
export function some<T>(random: Random, from: readonly T[], [least, most]: readonly [number, number]): readonly T[] {
  const count = Math.min(from.length, least + whole(random, most - least + 1));
  const chosen = new Set(
    shuffled(
      random,
      from.map((_, index) => index),
    ).slice(0, count),
  );
  return from.filter((_, index) => chosen.has(index));
}

export function between(random: Random, least: number, most: number): number {
  return least + whole(random, most - least + 1);
}

/** The keys that are made, once in so many times; else none. */
export function maybe(random: Random, probability: number, make: () => Written): Written {
  return chance(random, probability) ? make() : {};
}
