import type { Claim, Identity } from "../identity/identity.ts";
import type { Instant } from "../time.ts";
import type { LineTrace, TemplateTrace } from "./grant.ts";
import { type Hours, isWithin, localTime } from "./hours.ts";
import { accepts, type Pattern } from "./pattern.ts";
import type { ClaimLine, WhoLine } from "./who.ts";

/** What of a template says for whom it is. */
export interface Meant {
  readonly name: string;
  readonly who: readonly WhoLine[];
}

/** Whether every line holds. A template without lines is nobody's. Pure. */
export function matches({ who }: Meant, identity: Identity): boolean {
  return who.length > 0 && who.every((line) => holds(line, identity));
}

/** The same, line by line up to the first that does not hold. Pure. */
export function match({ name, who }: Meant, identity: Identity): TemplateTrace {
  const lines = upToFirstFailure(who, (line) => lineTrace(line, identity));
  return { template: name, matched: allHeld(lines), lines };
}

/** The same, with the hours of a template that is for this identity: in them it can be used at all. */
export function matchAt(
  template: Meant & { readonly when: readonly Hours[] },
  { identity, now }: { readonly identity: Identity; readonly now: Instant },
): TemplateTrace {
  const trace = match(template, identity);
  if (!trace.matched) return trace;
  const hours = upToFirstFailure(template.when, (when) => ({
    line: "when",
    held: isWithin(when, now),
    expected: when.expected,
    found: localTime(when.zone, now),
  }));
  const lines = [...trace.lines, ...hours];
  return { ...trace, matched: allHeld(lines), lines };
}

function upToFirstFailure<T>(all: readonly T[], trace: (one: T) => LineTrace): readonly LineTrace[] {
  const lines: LineTrace[] = [];
  for (const one of all) {
    const line = trace(one);
    lines.push(line);
    if (!line.held) break;
  }
  return lines;
}

function allHeld(lines: readonly LineTrace[]): boolean {
  return lines.length > 0 && lines.every(({ held }) => held);
}

function lineTrace(line: WhoLine, identity: Identity): LineTrace {
  const held = holds(line, identity);
  const expected = line.kind === "absent" ? "absent" : line.expected;
  if (line.kind !== "any") return { line: lineName(line), held, expected, found: shown(valueOf(line.claim, identity)) };
  const found = held ? whichHeld(line.alternatives, identity) : whereEachFailed(line.alternatives, identity);
  return { line: "any", held, expected, found };
}

type Alternatives = readonly (readonly ClaimLine[])[];

function whichHeld(alternatives: Alternatives, identity: Identity): string {
  return `alternative ${alternatives.findIndex((lines) => lines.every((line) => holds(line, identity))) + 1}`;
}

function whereEachFailed(alternatives: Alternatives, identity: Identity): string {
  const failed = alternatives.map((lines, index) => {
    const line = lines.find((one) => !holds(one, identity));
    return line === undefined ? "" : `${index + 1} at ${lineName(line)}, ${shown(valueOf(line.claim, identity))}`;
  });
  return failed.join("; ");
}

/** The claims at which this identity fails: the one of the first line that does not hold, or of an `any` one for each alternative. */
export function failedClaims({ who }: Meant, identity: Identity): readonly string[] {
  const failed = who.find((line) => !holds(line, identity));
  if (failed === undefined) return [];
  if (failed.kind !== "any") return [failed.claim];
  const first = failed.alternatives.flatMap((lines) => lines.find((line) => !holds(line, identity))?.claim ?? []);
  return [...new Set(first)];
}

/** `ref`, `not ref`, `absent ref` or `any`. */
export function lineName(line: WhoLine): string {
  switch (line.kind) {
    case "claim":
      return line.claim;
    case "not":
    case "absent":
      return `${line.kind} ${line.claim}`;
    case "any":
      return "any";
  }
}

/** Own members only: a claim that a token lacks is absent, whatever JavaScript's objects inherit. */
export function valueOf(claim: string, identity: Identity): Claim | undefined {
  if (claim === "issuer") return identity.issuer;
  if (claim === "trust") return identity.trust;
  return Object.hasOwn(identity.claims, claim) ? identity.claims[claim] : undefined;
}

function holds(line: WhoLine, identity: Identity): boolean {
  switch (line.kind) {
    case "claim":
      return isAccepted(line.patterns, valueOf(line.claim, identity), acceptsUnwound);
    case "not":
      return !isAccepted(line.patterns, valueOf(line.claim, identity), accepts);
    case "absent":
      return valueOf(line.claim, identity) === undefined;
    case "any":
      return line.alternatives.some((lines) => lines.length > 0 && lines.every((one) => holds(one, identity)));
  }
}

function isAccepted(patterns: readonly Pattern[], value: Claim | undefined, by: typeof accepts): boolean {
  if (value === undefined) return false;
  const values = typeof value === "object" ? value : [value];
  return values.some((item) => patterns.some((pattern) => by(pattern, item)));
}

/** `refs/heads/release/../main` is not under `refs/heads/release/**` for whoever resolves it; `not` keeps what it excludes. */
function acceptsUnwound(pattern: Pattern, value: string | number | boolean): boolean {
  const winding = pattern.kind === "glob" && typeof value === "string" && /(?:^|[/:])\.{1,2}(?:[/:]|$)/.test(value);
  return !winding && accepts(pattern, value);
}

const longestShown = 200;

/** The caller's own value, cut for display only; absent is said without quotes, so it cannot be mistaken for a value. */
export function shown(value: Claim | undefined): string {
  if (value === undefined) return "absent";
  const text = JSON.stringify(value);
  return text.length > longestShown ? `${text.slice(0, longestShown)}…` : text;
}
