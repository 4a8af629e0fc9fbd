import type { Stepwise } from "../language/stepwise.ts";
import { accepts, type Pattern } from "../pattern.ts";
import type { ClaimLine } from "../who.ts";
import { patternText } from "./who-view.ts";

/** What is asked about, and how much of it. */
export interface Comparing {
  /** Whether a token may hold several values of the claim: then two values of it never exclude each other. */
  isList(claim: string): boolean;
  /** False where so much work is more than is left: then nothing is said to exclude anything. */
  spend(work: number): boolean;
}

/** How much work may be done: about as many characters as may be compared. More is not done, and `spent` says so. */
export function allowance(work: number): { spend(work: number): boolean; spent(): boolean } {
  let [left, refused] = [work, false];
  return {
    spend: (wanted) => {
      refused ||= wanted > left;
      if (!refused) left -= wanted;
      return !refused;
    },
    spent: () => refused,
  };
}

/** What of a tree's whole work is one's own, so that nobody can use up what another needs: no more than `most`, however few they are. */
export function shareOf(count: number, { most, ofTree }: { readonly most: number; readonly ofTree: number }): number {
  return Math.min(most, Math.floor(ofTree / Math.max(1, count)));
}

/** Whether no job can hold both lines, as far as they say. */
export function* exclude(one: ClaimLine, other: ClaimLine, by: Comparing): Stepwise<boolean> {
  if (one.claim !== other.claim) return false;
  if (one.kind !== "claim") return other.kind === "claim" && (yield* exclude(other, one, by));
  if (other.kind === "absent") return true;
  if (other.kind === "claim" && by.isList(one.claim)) return false;
  const [ours, theirs] = [valuesOf(one.patterns), valuesOf(other.patterns)];
  if (!by.spend(costOf(ours, theirs))) return false;
  return other.kind === "not" ? ours.globs.length === 0 && (yield* covers(theirs, ours)) : yield* differ(ours, theirs);
}

/** A line's values: the literal ones are looked up, and only globs are compared one by one. */
interface Values {
  readonly literals: ReadonlySet<string | boolean>;
  readonly globs: readonly Pattern[];
  /** What each glob's values begin with. */
  readonly beginnings: readonly string[];
  /** Of the literals, and of the beginnings, what it takes to compare all of them with one other. */
  readonly sizes: { readonly literals: number; readonly beginnings: number };
}

/** A line is compared with hundreds of others, and read once. */
const read = new WeakMap<readonly Pattern[], Values>();

function valuesOf(patterns: readonly Pattern[]): Values {
  const known = read.get(patterns);
  if (known !== undefined) return known;
  const literals = new Set(patterns.flatMap((pattern) => (pattern.kind === "literal" ? [pattern.value] : [])));
  const globs = patterns.filter(({ kind }) => kind === "glob");
  const beginnings = globs.map((glob) => patternText(glob).split("*", 1)[0] ?? "");
  const sizes = { literals: sizeOf([...literals].map(String)), beginnings: sizeOf(beginnings) };
  const values = { literals, globs, beginnings, sizes };
  read.set(patterns, values);
  return values;
}

/** In characters: what it takes to compare two texts beside going through them. */
const perText = 8;

function sizeOf(texts: readonly string[]): number {
  return texts.reduce((sum, { length }) => sum + length + perText, 0);
}

/** The characters that could come to be compared, at most. */
function costOf(ours: Values, theirs: Values): number {
  const lookups = ours.literals.size + theirs.literals.size + ours.globs.length + theirs.globs.length;
  const against = (some: Values, { globs }: Values): number => (some.sizes.literals + some.sizes.beginnings) * globs.length;
  return lookups + against(ours, theirs) + against(theirs, ours);
}

function* covers(those: Values, { literals }: Values): Stepwise<boolean> {
  for (const value of literals) {
    if (!those.literals.has(value) && !takes(those, value)) return false;
    if (those.globs.length > 0) yield;
  }
  return true;
}

function takes({ globs }: Values, value: string | boolean): boolean {
  return globs.some((glob) => accepts(glob, value));
}

function* differ(ours: Values, theirs: Values): Stepwise<boolean> {
  return !(yield* share(ours, theirs)) && !(yield* share(theirs, ours)) && (yield* beginOtherwise(ours, theirs));
}

function* share(some: Values, others: Values): Stepwise<boolean> {
  for (const value of some.literals) {
    if (others.literals.has(value) || takes(others, value)) return true;
    if (others.globs.length > 0) yield;
  }
  return false;
}

/** Two globs differ where what they begin with does; anything else may be the same value. */
function* beginOtherwise(ours: Values, theirs: Values): Stepwise<boolean> {
  for (const one of ours.beginnings) {
    if (theirs.beginnings.some((other) => one.startsWith(other) || other.startsWith(one))) return false;
    if (theirs.beginnings.length > 0) yield;
  }
  return true;
}
