import { names } from "../pattern.ts";
import type { IssuerRoom } from "../rooms.ts";
import { bindingFlaws, type ClaimLine, type WhoLine } from "../who.ts";
import type { Path } from "./document.ts";
import { meant } from "./nearest.ts";
import type { ReadPart } from "./parts.ts";
import type { Reading } from "./reading.ts";

type Issuers = ReadonlyMap<string, IssuerRoom>;

/** Whether all parts of a `who` together say whose job it is, by what mayfly.yaml's issuers put into their tokens. */
export function checkWhose(
  parts: readonly ReadPart<readonly WhoLine[]>[],
  issuers: Issuers | undefined,
  reading: Reading,
): void {
  const { document, problems } = reading;
  const lines = parts.flatMap(({ read }) => read);
  for (const message of bindingFlaws(lines)) problems.push(document.problem(["who"], message));
  if (issuers === undefined) return;
  const possible = issuersOf(lines);
  if (possible.length === 0 && lines.some(isIssuer))
    problems.push(document.problem(["who", "issuer"], "no issuer is in all of them, so nobody could match"));
  for (const name of possible) checkIssuer(name, { issuers, lines }, reading);
  const known = possible.map((name) => issuers.get(name)?.known);
  const sent = known.every((list) => list !== undefined) ? new Set(["issuer", "trust", ...known.flat()]) : undefined;
  if (sent !== undefined && known.length > 0) for (const part of parts) checkKnown(part, sent, problems);
}

function isIssuer(line: WhoLine): line is Extract<WhoLine, { kind: "claim" | "not" }> {
  return line.kind === "claim" && line.claim === "issuer";
}

/** Those that every `issuer` line names. */
function issuersOf(lines: readonly WhoLine[]): readonly string[] {
  const [first = [], ...more] = lines
    .filter(isIssuer)
    .map(({ patterns }) => patterns.flatMap((pattern) => (pattern.kind === "literal" ? [String(pattern.value)] : [])));
  return first.filter((name) => more.every((list) => list.includes(name)));
}

function checkIssuer(
  name: string,
  { issuers, lines }: { readonly issuers: Issuers; readonly lines: readonly WhoLine[] },
  { document, problems }: Reading,
): void {
  const issuer = issuers.get(name);
  if (issuer === undefined) {
    problems.push(
      document.problem(["who", "issuer"], `mayfly.yaml has no issuer ${name}`, `it has ${[...issuers.keys()].join(", ")}`),
    );
  } else if (issuer.claims.length > 0 && !lines.some((line) => saysWhose(line, issuer))) {
    const fix = `add one of ${issuer.claims.join(", ")}, in full and without a glob`;
    problems.push(document.problem(["who"], "nothing in it says whose job it is: every repository's token could match", fix));
  }
}

/** Of alternatives each must say it, since each alone is enough. */
function saysWhose(line: WhoLine, issuer: IssuerRoom): boolean {
  if (line.kind === "any") return line.alternatives.every((lines) => lines.some((one) => saysWhose(one, issuer)));
  if (line.kind !== "claim" || !issuer.claims.includes(line.claim)) return false;
  return line.patterns.every((pattern) => names(pattern, issuer.subjectsBelow));
}

/** A misspelled claim under `not` or `absent` would hold for everybody. */
function checkKnown(part: ReadPart<readonly WhoLine[]>, sent: ReadonlySet<string>, problems: Reading["problems"]): void {
  const check = (line: ClaimLine, at: Path): void => {
    if (line.kind === "claim" || sent.has(line.claim)) return;
    const path = line.kind === "not" ? [...at, "not", line.claim] : [...at, "absent"];
    const message = `no token of this issuer has a claim ${line.claim}, so this holds for everybody`;
    problems.push(part.document.problem(path, message, meant(line.claim, [...sent])));
  };
  for (const line of part.read) {
    if (line.kind !== "any") check(line, part.at);
    else line.alternatives.forEach((lines, index) => lines.forEach((one) => check(one, [...part.at, "any", index])));
  }
}
