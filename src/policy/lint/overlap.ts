import type { Template } from "../policy.ts";
import type { ClaimLine, WhoLine } from "../who.ts";
import { allowance, type Comparing, exclude } from "./exclude.ts";
import { isLiteral, patternText } from "./who-view.ts";

type Some = Pick<Template<unknown, unknown>, "name" | "file" | "who">;

/** Which templates could match one job: those of one file, and those of different ones. */
export interface Overlaps {
  readonly within: Meetings;
  readonly beyond: Meetings;
}

export interface Meetings {
  /** For a template's name, a few of those before it that could match the same job. */
  readonly others: ReadonlyMap<string, readonly string[]>;
  /** The templates at which comparing ended, since there was more of it than anybody waits for. */
  readonly ended: ReadonlySet<string>;
}

/** More are not named: where templates overlap, they tend to do so in crowds. */
const named = 3;

/** How many values are compared at most. Those of a file are its own, so that no file can use up what another's entries need. */
const steps = { ofEntry: 25_000, ofTemplate: 1_000, atLeast: 500_000 } as const;

/**
 * Only those that can be anybody's together are compared: two that ask for different values of one claim never meet, so that a thousand
 * templates for a thousand repositories cost as much as they are many. `listsOf`: the claims of which one job may have several values.
 */
export function overlapsOf(templates: readonly Some[], listsOf: (template: Some) => readonly string[]): Overlaps {
  const compared = inOrder(templates.filter(({ who }) => who.length > 0).map((one) => comparedAs(one, listsOf(one))));
  const files = [...Map.groupBy(compared, ({ template }) => template.file).values()].filter((entries) => entries.length > 1);
  const within = files.map((entries) => meetings([entries], entries.length * steps.ofEntry));
  const allowed = steps.atLeast + compared.length * steps.ofTemplate;
  return { within: together(within), beyond: meetings(groupsOf(compared, { depth: 0, most: allowed }), allowed, otherFile) };
}

interface Compared {
  readonly template: Some;
  readonly worlds: readonly (readonly ClaimLine[])[];
  /** What each claim can be, where all worlds say it in full. */
  readonly pinned: ReadonlyMap<string, ReadonlySet<string>>;
  readonly lists: readonly string[];
}

function comparedAs(template: Some, lists: readonly string[]): Compared {
  const worlds = worldsOf(template.who);
  return { template, worlds, pinned: pinnedBy(worlds, lists), lists };
}

/** `who` as lists of lines of which one must hold as a whole: an `any` is as many worlds as it has alternatives. */
function worldsOf(who: readonly WhoLine[]): Compared["worlds"] {
  const top = who.flatMap((line) => (line.kind === "any" ? [] : [line]));
  const any = who.find((line) => line.kind === "any");
  return any === undefined ? [top] : any.alternatives.map((lines) => [...top, ...lines]);
}

function pinnedBy(worlds: Compared["worlds"], lists: readonly string[]): Compared["pinned"] {
  const [first, ...more] = worlds.map((world) => new Map(world.flatMap(pinOf)));
  const shared = [...(first ?? [])].filter(([claim]) => !lists.includes(claim) && more.every((pins) => pins.has(claim)));
  return new Map(
    shared.map(([claim, values]) => [claim, new Set([...values, ...more.flatMap((pins) => pins.get(claim) ?? [])])]),
  );
}

function pinOf(line: ClaimLine): readonly (readonly [string, readonly string[]])[] {
  return line.kind === "claim" && line.patterns.every(isLiteral) ? [[line.claim, line.patterns.map(patternText)]] : [];
}

const otherFile = (one: Compared, other: Compared): boolean => one.template.file !== other.template.file;

interface Meeting {
  /** Of two that are in one group. */
  counts(one: Compared, other: Compared): boolean;
  readonly work: ReturnType<typeof allowance>;
}

function meetings(groups: readonly (readonly Compared[])[], allowed: number, counts: Meeting["counts"] = () => true): Meetings {
  const [others, ended, work] = [new Map<string, readonly string[]>(), new Set<string>(), allowance(allowed)];
  for (const group of groups) {
    for (const [index, { template }] of group.entries()) {
      const known = new Set(others.get(template.name));
      meet(group, index, known, { counts, work });
      if (known.size > 0) others.set(template.name, [...known]);
      if (work.spent()) return { others, ended: ended.add(template.name) };
    }
  }
  return { others, ended };
}

/** Adds to those that are known whom else it can meet of those before it, until enough can be named. */
function meet(group: readonly Compared[], index: number, known: Set<string>, { counts, work }: Meeting): void {
  const one = group[index];
  for (let before = 0; before < index && known.size < named && !work.spent(); before += 1) {
    const other = group[before];
    if (one === undefined || other === undefined || !counts(one, other)) continue;
    if (canMeet(one, other, work)) known.add(other.template.name);
  }
}

function canMeet(one: Compared, other: Compared, { spend, spent }: ReturnType<typeof allowance>): boolean {
  const apart = [...one.pinned].some(([claim, values]) => {
    const theirs = other.pinned.get(claim);
    return theirs !== undefined && spend(values.size) && [...values].every((value) => !theirs.has(value));
  });
  if (apart) return false;
  const by: Comparing = { isList: (claim) => one.lists.includes(claim) || other.lists.includes(claim), spend };
  const excluded = (world: readonly ClaimLine[], against: readonly ClaimLine[]): boolean =>
    world.some((line) => against.some((opposed) => !spent() && spend(1) && exclude(line, opposed, by)));
  const meets = one.worlds.some((world) => other.worlds.some((against) => !spent() && !excluded(world, against)));
  return meets && !spent();
}

/** What comparing could not get to is neither. */
function together(all: readonly Meetings[]): Meetings {
  return {
    others: new Map(all.flatMap(({ others }) => [...others])),
    ended: new Set(all.flatMap(({ ended }) => [...ended])),
  };
}

interface Dividing {
  readonly depth: number;
  /** How many templates the groups may hold together: those that do not pin a claim are in all of its groups. */
  readonly most: number;
}

/** By the claim that most of them pin; those that do not pin it are compared with all. */
function groupsOf(templates: readonly Compared[], { depth, most }: Dividing): readonly (readonly Compared[])[] {
  const claim = depth < deepest && templates.length > small ? dividing(templates) : undefined;
  if (claim === undefined) return [templates];
  const open = templates.filter(({ pinned }) => !pinned.has(claim));
  const groups = new Map<string, Compared[]>();
  for (const one of templates)
    for (const value of one.pinned.get(claim) ?? [])
      groups
        .set(value, groups.get(value) ?? [])
        .get(value)
        ?.push(one);
  if (groups.size * open.length > most) return [templates];
  const divided = [...groups.values()].map((group) => (open.length === 0 ? group : inOrder([...group, ...open])));
  return [...divided, open]
    .filter((group) => group.length > 1)
    .flatMap((group) => groupsOf(group, { depth: depth + 1, most: most / Math.max(1, groups.size) }));
}

const deepest = 4;
const small = 16;

function inOrder(group: readonly Compared[]): readonly Compared[] {
  return group.toSorted((a, b) => (a.template.name < b.template.name ? -1 : 1));
}

/** The claim with the most different values among the templates that pin it; none where it would divide nothing. */
function dividing(templates: readonly Compared[]): string | undefined {
  const values = new Map<string, Set<string>>();
  for (const { pinned } of templates) {
    for (const [claim, some] of pinned) {
      const seen = values.get(claim) ?? new Set();
      for (const value of some) seen.add(value);
      values.set(claim, seen);
    }
  }
  const [best] = [...values].toSorted((a, b) => b[1].size - a[1].size);
  return best !== undefined && best[1].size > 1 ? best[0] : undefined;
}
