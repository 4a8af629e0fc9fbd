import type { Stepwise } from "../language/stepwise.ts";
import type { Template } from "../policy.ts";
import type { ClaimLine, WhoLine } from "../who.ts";
import { allowance, type Comparing, exclude, shareOf } from "./exclude.ts";
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

/** Characters that are compared at most. Those of a file's entries are its own, so that no file can use up what another's need. */
const work = {
  within: { most: 400_000, ofTree: 100_000_000 },
  beyond: { atLeast: 5_000_000, ofTemplate: 20_000, ofTree: 100_000_000 },
} as const;

/**
 * Only those that can be anybody's together are compared: two that ask for different values of one claim never meet, so that a thousand
 * templates for a thousand repositories cost as much as they are many. `listsOf`: the claims of which one job may have several values.
 */
export function* overlapsOf(templates: readonly Some[], listsOf: (template: Some) => readonly string[]): Stepwise<Overlaps> {
  const all: Compared[] = [];
  for (const template of templates.filter(({ who }) => who.length > 0)) {
    yield;
    all.push(comparedAs(template, listsOf(template)));
  }
  const compared = inOrder(all);
  const files = [...Map.groupBy(compared, ({ template }) => template.file).values()].filter((entries) => entries.length > 1);
  const share = shareOf(files.flat().length, work.within);
  const within: Meetings[] = [];
  for (const entries of files) within.push(yield* meetings([entries], entries.length * share));
  const allowed = Math.min(work.beyond.ofTree, work.beyond.atLeast + compared.length * work.beyond.ofTemplate);
  const groups = yield* groupsOf(compared, { depth: 0, most: mostGrouped });
  return { within: together(within), beyond: yield* meetings(groups, allowed, otherFile) };
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

function* meetings(
  groups: readonly (readonly Compared[])[],
  allowed: number,
  counts: Meeting["counts"] = () => true,
): Stepwise<Meetings> {
  const [others, ended, work] = [new Map<string, readonly string[]>(), new Set<string>(), allowance(allowed)];
  for (const group of groups) {
    for (const [index, { template }] of group.entries()) {
      const known = new Set(others.get(template.name));
      yield* meet(group, index, known, { counts, work });
      if (known.size > 0) others.set(template.name, [...known]);
      if (work.spent()) return { others, ended: ended.add(template.name) };
    }
  }
  return { others, ended };
}

/** Adds to those that are known whom else it can meet of those before it, until enough can be named. */
function* meet(group: readonly Compared[], index: number, known: Set<string>, { counts, work }: Meeting): Stepwise<void> {
  const one = group[index];
  for (let before = 0; before < index && known.size < named && !work.spent(); before += 1) {
    const other = group[before];
    if (one === undefined || other === undefined || !counts(one, other)) continue;
    if (yield* canMeet(one, other, work)) known.add(other.template.name);
  }
}

function* canMeet(one: Compared, other: Compared, work: Meeting["work"]): Stepwise<boolean> {
  yield;
  if (areApart(one, other, work)) return false;
  const by: Comparing = { isList: (claim) => one.lists.includes(claim) || other.lists.includes(claim), spend: work.spend };
  for (const world of one.worlds) {
    for (const against of other.worlds) {
      const excluded = yield* areExcluded(world, against, by);
      if (work.spent()) return false;
      if (!excluded) return true;
    }
  }
  return false;
}

/** By what both say in full. */
function areApart(one: Compared, other: Compared, { spend }: Meeting["work"]): boolean {
  return [...one.pinned].some(([claim, values]) => {
    const theirs = other.pinned.get(claim);
    return theirs !== undefined && spend(values.size) && [...values].every((value) => !theirs.has(value));
  });
}

function* areExcluded(world: readonly ClaimLine[], against: readonly ClaimLine[], by: Comparing): Stepwise<boolean> {
  yield;
  for (const line of world) {
    for (const opposed of against) {
      if (!by.spend(1)) return false;
      if (line.claim === opposed.claim && (yield* exclude(line, opposed, by))) return true;
    }
  }
  return false;
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
function* groupsOf(templates: readonly Compared[], { depth, most }: Dividing): Stepwise<readonly (readonly Compared[])[]> {
  const claim = depth < deepest && templates.length > small ? yield* dividing(templates) : undefined;
  if (claim === undefined) return [templates];
  const open = templates.filter(({ pinned }) => !pinned.has(claim));
  const groups = yield* byValue(templates, claim);
  if (groups.length * open.length > most) return [templates];
  const found: (readonly Compared[])[] = [];
  for (const group of [...groups, open]) {
    yield;
    const whole = group === open || open.length === 0 ? group : inOrder([...group, ...open]);
    if (whole.length > 1)
      found.push(...(yield* groupsOf(whole, { depth: depth + 1, most: most / Math.max(1, groups.length) })));
  }
  return found;
}

function* byValue(templates: readonly Compared[], claim: string): Stepwise<readonly (readonly Compared[])[]> {
  const groups = new Map<string, Compared[]>();
  for (const one of templates) {
    yield;
    for (const value of one.pinned.get(claim) ?? []) {
      const group = groups.get(value);
      if (group === undefined) groups.set(value, [one]);
      else group.push(one);
    }
  }
  return [...groups.values()];
}

const mostGrouped = 1_000_000;
const deepest = 4;
const small = 16;

function inOrder(group: readonly Compared[]): readonly Compared[] {
  return group.toSorted((a, b) => (a.template.name < b.template.name ? -1 : 1));
}

/** The claim with the most different values among the templates that pin it; none where it would divide nothing. */
function* dividing(templates: readonly Compared[]): Stepwise<string | undefined> {
  const values = new Map<string, Set<string>>();
  for (const { pinned } of templates) {
    yield;
    for (const [claim, some] of pinned) {
      const seen = values.get(claim) ?? new Set();
      for (const value of some) seen.add(value);
      values.set(claim, seen);
    }
  }
  const [best] = [...values].toSorted((a, b) => b[1].size - a[1].size);
  return best !== undefined && best[1].size > 1 ? best[0] : undefined;
}
