import { describe, expect, it } from "vitest";
import { compileRecorded } from "../../../src/policy/language/compile.ts";
import { readDocument } from "../../../src/policy/language/document.ts";
import type { Stepwise } from "../../../src/policy/language/stepwise.ts";
import { type Draft, lintPolicy } from "../../../src/policy/lint/lint.ts";
import type { Pattern } from "../../../src/policy/pattern.ts";
import type { Problem } from "../../../src/policy/problem.ts";
import type { ClaimLine, WhoLine } from "../../../src/policy/who.ts";
import { rooms } from "./site.ts";

/** How often a glob was looked at: each look is text put together, or compared. */
interface Work {
  looks: number;
}

/** The policy's templates as the rules get them, with globs that count. */
function drafts(text: string, name: string, work: Work): readonly Draft[] {
  const file = `${name}.yaml`;
  const [read, document] = [compileRecorded([{ file, text }], rooms), readDocument({ file, text })];
  if (read.kind === "problems" || document.kind === "problems") throw new Error("the template does not load");
  return [...read.policy.templates.values()].map((template) => ({
    template: { ...template, who: template.who.map((line) => counted(line, work)) },
    written: { for_each: {} },
    document: document.document,
  }));
}

function counted(line: WhoLine, work: Work): WhoLine {
  if (line.kind !== "any") return countedLine(line, work);
  return { ...line, alternatives: line.alternatives.map((lines) => lines.map((one) => countedLine(one, work))) };
}

function countedLine(line: ClaimLine, work: Work): ClaimLine {
  return line.kind === "absent" ? line : { ...line, patterns: line.patterns.map((pattern) => countedPattern(pattern, work)) };
}

function countedPattern(pattern: Pattern, work: Work): Pattern {
  if (pattern.kind === "literal") return pattern;
  const { segments, separators, open } = pattern.glob;
  const glob = {
    separators,
    open,
    get segments() {
      work.looks += 1;
      return segments;
    },
  };
  return { kind: "glob", glob };
}

interface Linting {
  readonly problems: readonly Problem[];
  /** How often it could have been put down. */
  readonly pieces: number;
  /** The most looks in one of them. */
  readonly inOnePiece: number;
  readonly looks: number;
}

function linting(all: readonly Draft[], work: Work): Linting {
  const steps: Stepwise<readonly Problem[]> = lintPolicy(all, rooms);
  let [pieces, inOnePiece, before] = [0, 0, work.looks];
  for (;;) {
    const step = steps.next();
    pieces += 1;
    inOnePiece = Math.max(inOnePiece, work.looks - before);
    before = work.looks;
    if (step.done === true) return { problems: step.value, pieces, inOnePiece, looks: work.looks };
  }
}

const list = (count: number, value: (index: number) => string): string =>
  `[${Array.from({ length: count }, (_, index) => JSON.stringify(value(index))).join(", ")}]`;
const entries = (count: number): string =>
  `for_each:\n${Array.from({ length: count }, (_, index) => `  e${index}: { i: "${index}" }\n`).join("")}`;
const template = (name: string, who: string, count: number): string => `version: 1
template: ${name}
who:
  issuer: github
  repository_id: "5"
  trust: protected
${who}${entries(count)}credentials: { db: { provider: vault-main, path: "database/creds/{each.i}", ttl: 10m } }
`;

const told = (all: readonly Problem[], rule: string): readonly string[] =>
  all.filter((problem) => problem.rule === rule).map(({ message }) => message);

describe("what one team writes does not stop the broker", () => {
  it("each glob of entries that nearly meet is read once, however many pairs there are", () => {
    const work = { looks: 0 };
    const who = `  job_workflow_ref: ${list(32, (index) => `{each.i}-${index}${"/a".repeat(100)}*`)}\n`;
    const files = [0, 1, 2].flatMap((index) => drafts(template(`t${index}`, who, 100), `t${index}`, work));
    const { looks, pieces, problems, inOnePiece } = linting(files, work);
    const globs = files.length * 32;
    // By the rules that ask for a line's text or try a value; 4,950 pairs of entries in each file have 1,024 pairs of globs.
    expect(looks).toBeLessThan(8 * globs);
    expect(inOnePiece).toBeLessThanOrEqual(4 * 32);
    expect(pieces).toBeGreaterThan(files.length * 32);
    expect(told(problems, "each-alike")).toEqual([
      expect.stringContaining("there is too much to compare"),
      expect.stringContaining("there is too much to compare"),
      expect.stringContaining("there is too much to compare"),
    ]);
  });

  const parts = (count: number, value: (part: number, index: number) => string): string =>
    `  environment: ${list(64, (index) => value(0, index))}\n  any:\n${Array.from(
      { length: count },
      (_, part) => `    - { environment: ${list(64, (index) => (index === 0 ? value(0, 0) : value(part + 1, index)))} }\n`,
    ).join("")}`;

  it.each([
    ["long", 1, 20, (part: number, index: number) => `{each.i}${"/a".repeat(100)}/p${part}-${index}/*`],
    ["short", 2, 30, (part: number, index: number) => `p${part}-${index}*`],
  ])("lines of %s globs are compared as far as the whole tree may, once, and the rest is said", (_, files, count, value) => {
    const work = { looks: 0 };
    const all = Array.from({ length: files }, (__, index) =>
      drafts(template(`t${index}`, parts(16, value), count), `t${index}`, work),
    );
    const { looks, inOnePiece, problems } = linting(all.flat(), work);
    const globs = all.flat().length * 17 * 64;
    expect(looks).toBeLessThan(8 * globs);
    // One rule at one template: a glob or two of each of its lines.
    expect(inOnePiece).toBeLessThanOrEqual(4 * 17 * 64);
    expect(told(problems, "too-much-to-compare")).toEqual(Array.from({ length: files }, () => "there is too much to compare"));
  });

  it("values that only globs could take are tried as often as a tree's work allows, and a few at a time", () => {
    const work = { looks: 0 };
    const who = `  job_workflow_ref: ${list(200, (index) => `${"a/".repeat(400)}{each.i}-${index}`)}
  any:
    - { job_workflow_ref: ${list(200, (index) => `${"a/".repeat(100)}*/{each.i}-${index}`)} }
`;
    const all = drafts(template("t", who, 5), "t", work);
    const { looks, inOnePiece, problems } = linting(all, work);
    expect(looks).toBeLessThan(1_000_000);
    expect(inOnePiece).toBeLessThanOrEqual(2 * 200);
    expect(told(problems, "too-much-to-compare")).toHaveLength(1);
  });

  it("a line that contradicts another is found beside all of this", () => {
    const work = { looks: 0 };
    const hog = drafts(
      template(
        "hog",
        parts(16, (part, index) => `p${part}-${index}*`),
        100,
      ),
      "hog",
      work,
    );
    const never = drafts(template("never", '  environment: "a-*"\n  any: [{ environment: "b-*" }]\n', 1), "never", work);
    expect(told(linting([...hog, ...never], work).problems, "never-matches")).toEqual([
      'no job can have environment "a-*" and have environment "b-*"',
    ]);
  });
});
