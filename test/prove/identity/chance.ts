/** Choices from the proof's seeded random numbers. */
export type Random = () => number;

export function whole(random: Random, below: number): number {
  return Math.floor(random() * below);
}

/** What is picked from may hold `undefined`: a member that is left out. */
export function pick<T>(random: Random, from: readonly T[]): T {
  if (from.length === 0) throw new Error("nothing to pick from");
  return from[whole(random, from.length)] as T;
}

export function bytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => whole(random, 256)));
}
