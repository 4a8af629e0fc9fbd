import { accepts, type Pattern } from "../pattern.ts";
import type { ClaimLine } from "../who.ts";
import { patternText } from "./who-view.ts";

/** What is asked about, and how much of it. */
export interface Comparing {
  /** Whether a token may hold several values of the claim: then two values of it never exclude each other. */
  isList(claim: string): boolean;
  /** False where so many steps are more than is left: then nothing is said to exclude anything. */
  spend(steps: number): boolean;
}

/** How many steps may be spent; more are not, and `spent` says so. */
export function allowance(steps: number): { spend(steps: number): boolean; spent(): boolean } {
  let [left, refused] = [steps, false];
  return {
    spend: (wanted) => {
      refused ||= wanted > left;
      if (!refused) left -= wanted;
      return !refused;
    },
    spent: () => refused,
  };
}

/** Whether no job can hold both lines, as far as they say. */
export function exclude(one: ClaimLine, other: ClaimLine, by: Comparing): boolean {
  if (one.claim !== other.claim) return false;
  if (one.kind !== "claim") return other.kind === "claim" && exclude(other, one, by);
  if (other.kind === "absent") return true;
  if (other.kind === "claim" && by.isList(one.claim)) return false;
  const [ours, theirs] = [valuesOf(one.patterns), valuesOf(other.patterns)];
  if (!by.spend(costOf(ours, theirs))) return false;
  return other.kind === "not" ? ours.globs.length === 0 && covers(theirs, ours) : differ(ours, theirs);
}

/** A line's values: the literal ones are looked up, and only globs are compared one by one. */
interface Values {
  readonly literals: ReadonlySet<string | boolean>;
  readonly globs: readonly Pattern[];
}

function valuesOf(patterns: readonly Pattern[]): Values {
  const literals = patterns.flatMap((pattern) => (pattern.kind === "literal" ? [pattern.value] : []));
  return { literals: new Set(literals), globs: patterns.filter(({ kind }) => kind === "glob") };
}

function costOf(ours: Values, theirs: Values): number {
  const [a, b] = [ours.literals.size + ours.globs.length, theirs.literals.size + theirs.globs.length];
  return a + b + a * theirs.globs.length + b * ours.globs.length;
}

function covers(those: Values, { literals }: Values): boolean {
  return [...literals].every((value) => those.literals.has(value) || those.globs.some((glob) => accepts(glob, value)));
}

function differ(ours: Values, theirs: Values): boolean {
  const shared = (some: Values, others: Values): boolean =>
    [...some.literals].some((value) => others.literals.has(value) || others.globs.some((glob) => accepts(glob, value)));
  return (
    !shared(ours, theirs) &&
    !shared(theirs, ours) &&
    ours.globs.every((glob) => theirs.globs.every((other) => beginOtherwise(glob, other)))
  );
}

/** Two globs differ where what they begin with does; anything else may be the same value. */
function beginOtherwise(one: Pattern, other: Pattern): boolean {
  const [a = "", b = ""] = [one, other].map((glob) => patternText(glob).split("*", 1)[0] ?? "");
  return !a.startsWith(b) && !b.startsWith(a);
}
