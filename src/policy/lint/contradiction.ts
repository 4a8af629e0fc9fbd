import type { Path } from "../language/document.ts";
import type { Stepwise } from "../language/stepwise.ts";
import { accepts, type Pattern } from "../pattern.ts";
import type { IssuerRoom } from "../rooms.ts";
import type { ClaimLine, WhoLine } from "../who.ts";
import { writersOnly } from "./claim-values.ts";
import { allowance, type Comparing, exclude, shareOf } from "./exclude.ts";
import type { Finding, Linted } from "./rule.ts";
import { asking, isLiteral, isSingle, patternText } from "./who-view.ts";

/** Lines that one job must hold together: those at the top, or with them those of one alternative. */
interface World {
  readonly path: Path;
  readonly lines: readonly ClaimLine[];
  /** Those that are in no other. */
  readonly own: ReadonlySet<ClaimLine>;
}

/** Characters that are compared at most. */
const work = { most: 2_000_000, ofTree: 100_000_000 } as const;

/** Pairs of lines that no job can hold together. */
export interface Clashes {
  readonly findings: readonly Finding[];
  /** There was more to compare than anybody waits for, so that there may be others. */
  readonly ended: boolean;
}

/** More are not said of one template. */
const mostFound = 4;

/** `count`: how many templates the tree has, of which each is compared as much as any other. */
export function* clashesOf(who: readonly WhoLine[], issuers: readonly IssuerRoom[], count: number): Stepwise<Clashes> {
  const { spend, spent } = allowance(shareOf(count, work));
  const by: Comparing = { spend, isList: (claim) => !isSingle(issuers, claim) };
  const findings: Finding[] = [];
  for (const world of worldsOf(who)) {
    yield;
    for (const [one, other] of pairsOf(world)) {
      if (findings.length >= mostFound || spent()) return { findings, ended: spent() };
      if (yield* exclude(one, other, by)) findings.push({ path: world.path, message: clash(one, other) });
    }
  }
  return { findings, ended: spent() };
}

/** Why no job, or no job by one alternative of `any`, can match. */
export function contradictions(linted: Linted): readonly Finding[] {
  const events = worldsOf(linted.template.who).flatMap((world) => eventsWithoutTrust(world, linted));
  return [...linted.clashes.findings, ...events, ...underivable(linted)].slice(0, mostFound);
}

function worldsOf(who: readonly WhoLine[]): readonly World[] {
  const top = who.flatMap((line) => (line.kind === "any" ? [] : [line]));
  const alternatives = who.flatMap((line) => (line.kind === "any" ? line.alternatives : []));
  return [
    { path: ["who"], lines: top, own: new Set(top) },
    ...alternatives.map((own, index) => ({ path: ["who", "any", index], lines: [...top, ...own], own: new Set(own) })),
  ];
}

/** Few lines are about one claim: at most three of each template, base and folder. */
function pairsOf({ lines, own }: World): readonly (readonly [ClaimLine, ClaimLine])[] {
  return [...Map.groupBy(lines, ({ claim }) => claim).values()].flatMap((same) =>
    same.flatMap((line, index) =>
      same
        .slice(index + 1)
        .filter((other) => own.has(line) || own.has(other))
        .map((other) => [line, other] as const),
    ),
  );
}

/** What is asked for is said first. */
function clash(one: ClaimLine, other: ClaimLine): string {
  return one.kind === "claim" ? `no job can ${told(one)} and ${told(other)}` : `no job can ${told(other)} and ${told(one)}`;
}

function told(line: ClaimLine): string {
  if (line.kind === "absent") return `be without ${line.claim}`;
  const { expected } = line;
  const values = expected.length > longestShown ? `${expected.slice(0, longestShown)}…` : expected;
  return line.kind === "not" ? `have none of ${line.claim} ${values}` : `have ${line.claim} ${values}`;
}

/** Characters of a line that may have hundreds of values. */
const longestShown = 200;

/** `trust` is the broker's word, and for many issuers it can only come out as `unknown`. */
function underivable(linted: Linted): readonly Finding[] {
  const derived = linted.issuers.flatMap(({ trusts }) => trusts);
  if (linted.issuers.length === 0) return [];
  return asking(linted, "trust")
    .filter(({ patterns }) => patterns.every((pattern) => !derived.includes(patternText(pattern))))
    .map(({ path }) => ({
      path,
      message: `trust comes out as ${[...new Set(derived)].join(" or ")} for this issuer, and as nothing else`,
      fix: "ask for what it can be, or map claims of your own to it with the issuer's 'trust' in mayfly.yaml",
    }));
}

/** `identity/presets/actions.ts`: each event has one trust or the other, and `workflow_run` and its like have none but `unknown`. */
function eventsWithoutTrust({ path, lines, own }: World, { issuers }: Linted): readonly Finding[] {
  const asked = lines.flatMap((line) => (line.kind === "claim" ? [line] : []));
  const trusts = asked.filter(({ claim }) => claim === "trust").map(({ patterns }) => patterns.map(patternText));
  const actions = issuers.length > 0 && issuers.every(({ preset }) => ["github", "forgejo"].includes(preset));
  if (!actions || trusts.length === 0) return [];
  const all = (...some: readonly string[]): boolean => trusts.every((each) => some.some((trust) => each.includes(trust)));
  const fits = (pattern: Pattern): boolean =>
    (all("protected", "branch") && writersOnly.some((event) => accepts(pattern, event))) ||
    (all("pull_request") && (!isLiteral(pattern) || patternText(pattern).startsWith("pull_request")));
  return asked
    .filter((line) => line.claim === "event_name" && !line.patterns.some(fits))
    .filter((line) => own.has(line) || asked.some((other) => other.claim === "trust" && own.has(other)))
    .map((line) => ({
      path: own.has(line) ? [...path, "event_name"] : path,
      message: `a job of ${line.patterns.map(patternText).join(" or ")} never has the trust that the template asks for`,
      fix: "ask for an event that only those with write access cause, such as push",
    }));
}
