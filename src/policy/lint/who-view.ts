import type { Path } from "../language/document.ts";
import { accepts, type Pattern } from "../pattern.ts";
import type { IssuerRoom, Rooms } from "../rooms.ts";
import type { ClaimLine, WhoLine } from "../who.ts";
import type { Linted } from "./rule.ts";

/** One claim of `who`, and where it stands. */
export interface PlacedLine {
  readonly kind: ClaimLine["kind"];
  readonly claim: string;
  /** None for `absent`. */
  readonly patterns: readonly Pattern[];
  readonly path: Path;
}

export function placedLines(who: readonly WhoLine[]): readonly PlacedLine[] {
  return who.flatMap((line) =>
    line.kind === "any"
      ? line.alternatives.flatMap((lines, index) => lines.map((one) => placed(one, ["who", "any", index])))
      : [placed(line, ["who"])],
  );
}

function placed(line: ClaimLine, at: Path): PlacedLine {
  const { kind, claim } = line;
  if (line.kind === "absent") return { kind, claim, patterns: [], path: [...at, "absent"] };
  return { kind, claim, patterns: line.patterns, path: line.kind === "not" ? [...at, "not", claim] : [...at, claim] };
}

/** Of every issuer that all `issuer` lines name and mayfly.yaml has. */
export function issuersOf(who: readonly WhoLine[], { issuers }: Rooms<unknown, unknown>): readonly IssuerRoom[] {
  const [first = [], ...more] = who.flatMap((line) =>
    line.kind === "claim" && line.claim === "issuer" ? [line.patterns.map(patternText)] : [],
  );
  const named = new Set(first.filter((name) => more.every((names) => names.includes(name))));
  return [...named].flatMap((name) => issuers?.get(name) ?? []);
}

/** Whether no token of theirs holds several values of it. Of what nobody knows, one may. */
export function isSingle(issuers: readonly IssuerRoom[], claim: string): boolean {
  if (["issuer", "trust", "sub"].includes(claim)) return true;
  return (
    issuers.length > 0 &&
    issuers.every(
      ({ sent, known, lists }) => sent.includes(claim) || (known?.includes(claim) === true && !lists.includes(claim)),
    )
  );
}

/** Whether such a line holds of every job that matches: at the top, or in each alternative of one `any`. */
export function always(who: readonly WhoLine[], fits: (line: ClaimLine) => boolean): boolean {
  return who.some((line) => (line.kind === "any" ? line.alternatives.every((lines) => lines.some(fits)) : fits(line)));
}

/** Whether every job that matches has one of a few values of this claim, each written in full. */
export function pins({ template }: Linted, claim: string): boolean {
  return always(template.who, (line) => line.kind === "claim" && line.claim === claim && line.patterns.every(isLiteral));
}

/** Whether every job that matches has this claim by some line of its own. */
export function asks({ template }: Linted, claim: string): boolean {
  return always(template.who, (line) => line.kind === "claim" && line.claim === claim);
}

/** Whether each job that matches is `protected`, and nothing less. */
export function isProtected({ template }: Linted): boolean {
  return always(
    template.who,
    (line) =>
      line.kind === "claim" && line.claim === "trust" && line.patterns.every((pattern) => patternText(pattern) === "protected"),
  );
}

export function isLiteral(pattern: Pattern): boolean {
  return pattern.kind === "literal";
}

/** As a template writes it. */
export function patternText(pattern: Pattern): string {
  if (pattern.kind === "literal") return String(pattern.value);
  const { segments, separators, open } = pattern.glob;
  const text = segments.map((pieces, index) => pieces.join("*") + (separators[index] ?? "")).join("");
  return open ? `${text}**` : text;
}

/** The lines that ask for this claim. */
export function asking({ lines }: Linted, ...claims: readonly string[]): readonly PlacedLine[] {
  return lines.filter((line) => line.kind === "claim" && claims.includes(line.claim));
}

export function presetIs({ issuers }: Linted, ...presets: readonly string[]): boolean {
  return issuers.some(({ preset }) => presets.includes(preset));
}

/** Whether a job with this value of the claim could match, as far as the template's lines on that claim say. */
export function letsIn({ template }: Linted, claim: string, value: string): boolean {
  const refuses = (line: ClaimLine): boolean => {
    if (line.claim !== claim || line.kind === "absent") return line.claim === claim;
    const accepted = line.patterns.some((pattern) => accepts(pattern, value));
    return line.kind === "claim" ? !accepted : accepted;
  };
  return !always(template.who, refuses);
}
