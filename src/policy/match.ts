import type { Claim, Identity } from "../identity/identity.ts";
import type { TemplateTrace } from "./grant.ts";
import { accepts, type Pattern } from "./pattern.ts";
import type { WhoLine } from "./who.ts";

/** What became of one line. */
export interface LineTrace {
  readonly line: string;
  readonly held: boolean;
  readonly expected: string;
  readonly found: string;
}

/** Whether every line holds, line by line up to the first that does not. Pure. */
export function match(
  template: { readonly name: string; readonly who: readonly WhoLine[] },
  identity: Identity,
): TemplateTrace {
  const lines: LineTrace[] = [];
  for (const line of template.who) {
    const trace = traceOf(line, identity);
    lines.push(trace);
    if (!trace.held) return { template: template.name, matched: false, lines };
  }
  return { template: template.name, matched: lines.length > 0, lines };
}

function traceOf(line: WhoLine, identity: Identity): LineTrace {
  const value = valueOf(line.claim, identity);
  return {
    line: lineName(line),
    held: holds(line, value),
    expected: line.expected,
    found: shown(value),
  };
}

/** `ref`, or `not ref`. */
export function lineName(line: WhoLine): string {
  return line.negated ? `not ${line.claim}` : line.claim;
}

/** Own members only: a claim that a token lacks is absent, whatever JavaScript's objects inherit. */
export function valueOf(claim: string, identity: Identity): Claim | undefined {
  if (claim === "issuer") return identity.issuer;
  if (claim === "trust") return identity.trust;
  return Object.hasOwn(identity.claims, claim) ? identity.claims[claim] : undefined;
}

function holds(line: WhoLine, value: Claim | undefined): boolean {
  if (value === undefined) return line.negated;
  const values = typeof value === "object" ? value : [value];
  const found = values.some((item) => line.patterns.some((pattern) => usable(pattern, item, line) && accepts(pattern, item)));
  return found !== line.negated;
}

/** `refs/heads/release/../main` is not under `refs/heads/release/**` for whoever resolves it; `not` keeps what it excludes. */
function usable(pattern: Pattern, value: string | number | boolean, line: WhoLine): boolean {
  const winding = typeof value === "string" && value.split(/[/:]/).some((segment) => segment === "." || segment === "..");
  return pattern.kind === "literal" || line.negated || !winding;
}

const longestShown = 200;

/** The caller's own value, cut for display only; absent is said without quotes, so it cannot be mistaken for a value. */
export function shown(value: Claim | undefined): string {
  if (value === undefined) return "absent";
  const text = JSON.stringify(value);
  return text.length > longestShown ? `${text.slice(0, longestShown)}…` : text;
}
