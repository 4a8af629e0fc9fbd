import type { Claim, Identity } from "../identity/identity.ts";
import { valueOf } from "./match.ts";
import type { Pattern } from "./pattern.ts";
import type { ClaimLine, WhoLine } from "./who.ts";

/** A claim and one value of it. Whoever lacks all keys of a template cannot match it. */
interface Key {
  readonly claim: string;
  readonly value: string;
}

interface Indexed {
  readonly who: readonly WhoLine[];
}

/**
 * Which templates could match an identity: each that does is among them, and most that do not are left out, so that a decision among a
 * thousand templates costs as much as one among a few. They are found by the literal values of one line, the one that tells the most
 * templates apart (an id, not a branch); one without such a line is always among them. In the order that they were given.
 */
export function indexOf<T extends Indexed>(templates: readonly T[]): (identity: Identity) => readonly T[] {
  const worth = worthOf(templates.flatMap(({ who }) => who.flatMap(choices)).flat(2));
  const always: number[] = [];
  const byClaim = new Map<string, Map<string, number[]>>();
  templates.forEach(({ who }, index) => {
    const keys = bestKeys(who, worth);
    if (keys === undefined) always.push(index);
    for (const { claim, value } of keys ?? []) added(added(byClaim, claim, newMap), value, newList).push(index);
  });
  return (identity) => {
    const found = new Set(always);
    for (const [claim, byValue] of byClaim)
      for (const value of textsOf(valueOf(claim, identity))) for (const index of byValue.get(value) ?? []) found.add(index);
    return [...found].sort((a, b) => a - b).flatMap((index) => templates[index] ?? []);
  };
}

const newMap = (): Map<string, number[]> => new Map();
const newList = (): number[] => [];

function added<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
}

type Keys = readonly Key[];

/** The keys of one line: every line must hold, so those of any one will do. None where no line has any. */
function bestKeys(who: readonly WhoLine[], worth: Worth): Keys | undefined {
  const ofLines = who.map((line) => choices(line).map((keys) => best(keys, worth)));
  const whole = ofLines.flatMap((keys) => (keys.every((one) => one !== undefined) ? [keys.flat()] : []));
  return best(whole, worth);
}

/** For each way in which a line can hold, the keys of each of its lines that has some. */
function choices(line: WhoLine): readonly (readonly Keys[])[] {
  const ways = line.kind === "any" ? line.alternatives : [[line]];
  return ways.map((lines) => lines.flatMap((one) => keysOf(one)));
}

function keysOf(line: ClaimLine): readonly Keys[] {
  if (line.kind !== "claim" || !line.patterns.every(isLiteral)) return [];
  return [line.patterns.map(({ value }) => ({ claim: line.claim, value: textOf(value) }))];
}

function isLiteral(pattern: Pattern): pattern is Extract<Pattern, { kind: "literal" }> {
  return pattern.kind === "literal";
}

/** How many values of each claim the templates name. */
type Worth = ReadonlyMap<string, number>;

function worthOf(keys: Keys): Worth {
  const values = new Map<string, Set<string>>();
  for (const { claim, value } of keys) added(values, claim, () => new Set<string>()).add(value);
  return new Map([...values].map(([claim, known]) => [claim, known.size]));
}

/** Those that the least part of all known values are, and of two that are equal the fewer. */
function best(choice: readonly Keys[], worth: Worth): Keys | undefined {
  const part = (keys: Keys): number => keys.reduce((sum, { claim }) => sum + 1 / (worth.get(claim) ?? 1), 0);
  return choice.toSorted((a, b) => part(a) - part(b) || a.length - b.length)[0];
}

function textsOf(value: Claim | undefined): readonly string[] {
  if (value === undefined) return [];
  return (typeof value === "object" ? value : [value]).map(textOf);
}

/** As `accepts` compares: a number by its digits, and `true` is not "true". */
function textOf(value: string | number | boolean): string {
  return typeof value === "boolean" ? `is ${value}` : `"${value}`;
}
