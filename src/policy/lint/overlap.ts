import { accepts, type Pattern } from "../pattern.ts";
import type { Template } from "../policy.ts";
import type { ClaimLine, WhoLine } from "../who.ts";
import { isLiteral, patternText } from "./who-view.ts";

type Some = Pick<Template<unknown, unknown>, "name" | "file" | "who">;

/** For a template's name, a few of those before it that could match the same job. */
export type Overlaps = ReadonlyMap<string, readonly Some[]>;

/** More are not named: where templates overlap, they tend to do so in crowds. */
const named = 3;

/**
 * Which templates could match one job. Only those that can be anybody's together are compared: two that ask for different values of one
 * claim never meet, so that a thousand templates for a thousand repositories cost as much as they are many.
 */
export function overlapsOf(templates: readonly Some[]): Overlaps {
  const found = new Map<string, Some[]>();
  const compared = templates
    .filter(({ who }) => who.length > 0)
    .map((template) => ({ template, worlds: worldsOf(template.who) }));
  for (const group of groupsOf(inOrder(compared), 0)) {
    for (const [index, one] of group.entries()) compare(one, group.slice(0, index), found);
  }
  return found;
}

interface Compared {
  readonly template: Some;
  readonly worlds: readonly (readonly ClaimLine[])[];
}

function compare({ template, worlds }: Compared, before: readonly Compared[], found: Map<string, Some[]>): void {
  for (const other of before) {
    const known = found.get(template.name) ?? [];
    if (known.length >= named) return;
    if (known.includes(other.template) || areDisjoint(worlds, other.worlds)) continue;
    found.set(template.name, [...known, other.template]);
  }
}

/** `who` as lists of lines of which one must hold as a whole: an `any` is as many worlds as it has alternatives. */
function worldsOf(who: readonly WhoLine[]): readonly (readonly ClaimLine[])[] {
  const top = who.flatMap((line) => (line.kind === "any" ? [] : [line]));
  const any = who.find((line) => line.kind === "any");
  return any === undefined ? [top] : any.alternatives.map((lines) => [...top, ...lines]);
}

/** By the claim that most of them pin; those that do not pin it are compared with all. */
function groupsOf(templates: readonly Compared[], depth: number): readonly (readonly Compared[])[] {
  const claim = depth < deepest && templates.length > small ? dividing(templates) : undefined;
  if (claim === undefined) return [templates];
  const values = templates.map((one) => pinned(one, claim));
  const open = templates.filter((_, index) => values[index] === undefined);
  const groups = new Map<string, Compared[]>();
  for (const [index, one] of templates.entries()) {
    for (const value of values[index] ?? []) groups.set(value, [...(groups.get(value) ?? []), one]);
  }
  const divided = [...groups.values()].map((group) => inOrder([...group, ...open]));
  return [...divided, open].filter((group) => group.length > 1).flatMap((group) => groupsOf(group, depth + 1));
}

const deepest = 4;
const small = 16;

function inOrder(group: readonly Compared[]): readonly Compared[] {
  return group.toSorted((a, b) => (a.template.name < b.template.name ? -1 : 1));
}

/** The claim with the most different values among the templates that pin it; none where it would divide nothing. */
function dividing(templates: readonly Compared[]): string | undefined {
  const values = new Map<string, Set<string>>();
  for (const { worlds } of templates) {
    for (const line of worlds[0] ?? []) {
      if (line.kind !== "claim" || !line.patterns.every(isLiteral)) continue;
      const seen = values.get(line.claim) ?? new Set();
      for (const pattern of line.patterns) seen.add(patternText(pattern));
      values.set(line.claim, seen);
    }
  }
  const [best] = [...values].toSorted((a, b) => b[1].size - a[1].size);
  return best !== undefined && best[1].size > 1 ? best[0] : undefined;
}

/** The values of the claim that it could be used with, where it names them all in full. */
function pinned({ worlds }: Compared, claim: string): readonly string[] | undefined {
  const lines = worlds.map((world) => world.find((line) => line.kind === "claim" && line.claim === claim && allLiteral(line)));
  if (lines.some((line) => line === undefined)) return undefined;
  return [...new Set(lines.flatMap((line) => (line?.kind === "claim" ? line.patterns.map(patternText) : [])))];
}

function allLiteral(line: ClaimLine): boolean {
  return line.kind !== "absent" && line.patterns.every(isLiteral);
}

function areDisjoint(ones: Compared["worlds"], others: Compared["worlds"]): boolean {
  return ones.every((one) => others.every((other) => one.some((line) => other.some((against) => exclude(line, against)))));
}

/** Whether no job can hold both lines, as far as they say. */
export function exclude(one: ClaimLine, other: ClaimLine): boolean {
  if (one.claim !== other.claim) return false;
  if (one.kind !== "claim") return other.kind === "claim" && exclude(other, one);
  if (other.kind === "absent") return true;
  if (other.kind === "not") {
    return one.patterns.every((pattern) => isLiteral(pattern) && other.patterns.some((not) => covers(not, pattern)));
  }
  return one.patterns.every((pattern) => other.patterns.every((against) => differ(pattern, against)));
}

function covers(glob: Pattern, literal: Pattern): boolean {
  return literal.kind === "literal" && accepts(glob, literal.value);
}

/** Two globs differ where what they begin with does; anything else may be the same value. */
function differ(one: Pattern, other: Pattern): boolean {
  if (one.kind === "literal") return !accepts(other, one.value);
  if (other.kind === "literal") return !accepts(one, other.value);
  const [a = "", b = ""] = [one, other].map((glob) => patternText(glob).split("*", 1)[0] ?? "");
  return !a.startsWith(b) && !b.startsWith(a);
}
