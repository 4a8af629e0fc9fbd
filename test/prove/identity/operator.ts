import { bytes, pick, type Random, whole } from "./chance.ts";
import type { Source } from "./sources.ts";

/** What an operator works on: a token of this source, and another good token of any source. */
export interface Draft {
  readonly source: Source;
  readonly token: string;
  readonly other: string;
}

/** One way to change a token. None of them gives a token that its issuer would have signed. */
export type Operator = (draft: Draft, random: Random) => string;

/** A value that hardly any member should have. */
export const anything = (random: Random): unknown =>
  pick<() => unknown>(random, [
    () => whole(random, 2 ** 31),
    () => -whole(random, 1_000),
    () => random() * 1e6,
    () => null,
    () => true,
    () => "",
    () => "*",
    () => bytes(random, 6).toString("hex"),
    () => [],
    () => ["x", 7],
    () => ({}),
    () => ({ toString: "x" }),
  ])();

/** A character as JSON may also write it. */
export const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
