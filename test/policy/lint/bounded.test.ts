import { describe, expect, it } from "vitest";
import { compileRecorded } from "../../../src/policy/language/compile.ts";
import { readDocument } from "../../../src/policy/language/document.ts";
import { atOnce } from "../../../src/policy/language/stepwise.ts";
import { clashesOf } from "../../../src/policy/lint/contradiction.ts";
import { lintedOf } from "../../../src/policy/lint/lint.ts";
import { wholePolicy } from "../../../src/policy/lint/policy-view.ts";
import type { Linted } from "../../../src/policy/lint/rule.ts";
import { rules } from "../../../src/policy/lint/rules.ts";
import { issuersOf } from "../../../src/policy/lint/who-view.ts";
import type { Template } from "../../../src/policy/policy.ts";
import { whoLinesSchema } from "../../../src/policy/who.ts";
import { rooms } from "./site.ts";

const text = `# yaml-language-server: $schema=x
version: 1
template: deploy
owner: team-shop
who: { issuer: github, repository_id: "1", trust: protected }
credentials: { aws: { provider: aws, role: "{repository_id}", ttl: 10m } }
steps: { ship: { run: [./ship.sh], credentials: [aws], workspace: read-only } }
`;

function compiled(): Template<unknown, unknown> {
  const read = compileRecorded([{ file: "t.yaml", text }], rooms);
  const template = read.kind === "policy" ? read.policy.templates.get("deploy") : undefined;
  if (template === undefined) throw new Error("the template does not load");
  return template;
}

/** Where an author writes texts of any length: claims and what they are, commands, what a credential asks for, comments. */
function everywhere(long: readonly string[], comment: string): Linted {
  const template = compiled();
  const [step, credential] = [template.steps.get("ship"), template.credentials.get("aws")];
  if (step === undefined || credential === undefined) throw new Error("parts are missing");
  const aws = { role: long[0], policy: { Statement: [{ Action: long, Resource: long }] }, as: "job" };
  const who = whoLinesSchema.safeParse({
    issuer: "github",
    repository_id: "1",
    ref: long,
    environment: long,
    event_name: long,
    job_workflow_ref: long,
    not: { ref: long, environment: long, event_name: long, actor: long },
  });
  const changed: Template<unknown, unknown> = {
    ...template,
    // Globs longer than the language takes are read as nothing at all, and never come so far.
    who: who.success ? who.data : template.who,
    steps: new Map([["ship", { ...step, run: ["sh", "-c", ...long] }]]),
    expanded: { ...template.expanded, credentials: { aws }, steps: { ship: { run: long } }, sandbox: { note: long } },
  };
  const read = readDocument({ file: "t.yaml", text });
  if (read.kind === "problems") throw new Error("the file is not read");
  const written = { credentials: { aws }, for_each: {} };
  const policy = atOnce(wholePolicy([{ template: changed, written }], rooms));
  const clashes = atOnce(clashesOf(changed.who, issuersOf(changed.who, rooms), 1));
  return { ...lintedOf({ template: changed, written, document: read.document }, rooms, { policy, clashes }), text: comment };
}

/** The least of some, in milliseconds: whatever else the machine does can only add to it. */
function least(work: () => void, times: number): number {
  const spans = Array.from({ length: times }, () => {
    const began = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(began);
    return (user + system) / 1_000;
  });
  return Math.min(...spans);
}

const long = (unit: string, size: number): readonly string[] => [unit.repeat(Math.ceil(size / unit.length)).slice(0, size)];
const many = (size: number, word: (index: number) => string): readonly string[] =>
  Array.from({ length: Math.ceil(size / 6) }, (_, index) => word(index).padEnd(6, "x"));

const texts: readonly (readonly [string, (size: number) => readonly string[]])[] = [
  "curl|",
  "curl ",
  "curl x | ",
  "npx",
  "$(",
  "`",
  "'",
  '"',
  "\\",
  "(",
  "| sh ",
  "env ",
  "env -u ",
  "sudo -u sh -c ",
  "sh -c '",
  "A=b ",
  "a",
  " ",
  "\t",
  "-",
  "/",
  ":",
  ".",
  "@",
  "prod-",
  "-prod",
  "admin/",
  "refs/heads/",
  "@refs/heads/",
  "repo:a@1/",
  "{",
  "{a}",
  "c-",
  "-c",
  "é",
  "ж",
  "aж",
  "\u200b",
  "\u0301",
  "a\u0301",
  "\ufe0f",
  "00000000-",
  "#",
  "# yaml-language-server: ",
  "\n",
  "#\n",
  "\r\n",
  "s3:?",
  "arn:",
].map((unit) => [JSON.stringify(unit), (size: number) => long(unit, size)] as const);

const lists: typeof texts = [
  ["values that differ", (size) => many(size, String)],
  ["values with a slot", (size) => many(size, (index) => `{a${index}}`)],
  ["values with a wildcard", (size) => many(size, (index) => `a${index}*`)],
  ["words that start others", (size) => many(size, (index) => (index % 3 === 0 ? "sudo" : "-u"))],
  [
    "shells' lines one after the other",
    (size) => many(size, (index) => ["sudo", "-u", "sh", "-c"][index % 4] ?? "").map((word) => word.replaceAll("x", "")),
  ],
  [
    "text that nests itself",
    (size) => [Array.from({ length: size / 20 }, (_, depth) => `sh -c ${"'".repeat(depth % 2)}sudo -u`).join(" ")],
  ],
];

describe("the work of each rule grows as the text does", () => {
  /** Below it, a measure is noise. Quadratic work is seconds at least, for texts as long as these. */
  const noise = 60;

  it.each([...texts, ...lists])("%s", (_, of) => {
    const [half, whole] = [100_000, 200_000].map((size) => {
      const words = of(size);
      return everywhere(words, `# ${words.join("\n")}`);
    });
    if (half === undefined || whole === undefined) throw new Error("nothing to measure");
    for (const rule of rules) {
      const first = least(() => rule.check(whole), 1);
      if (first < noise) continue;
      const [short, full] = [least(() => rule.check(half), 3), least(() => rule.check(whole), 3)];
      expect(full, `${rule.name}: ${short} ms for the half, ${full} ms for the whole`).toBeLessThan(Math.max(noise, 3 * short));
    }
  });
});
