import type { TemplateDocument } from "../language/document.ts";
import type { Stepwise } from "../language/stepwise.ts";
import type { Template } from "../policy.ts";
import type { Problem } from "../problem.ts";
import type { Rooms } from "../rooms.ts";
import { idleAccepts } from "./accept.ts";
import { clashesOf } from "./contradiction.ts";
import { wholePolicy } from "./policy-view.ts";
import type { Finding, Linted, Rule } from "./rule.ts";
import { rules } from "./rules.ts";
import { runsOf } from "./run-view.ts";
import { scopesOf } from "./scope-view.ts";
import { issuersOf, placedLines } from "./who-view.ts";

/** One template in its final form, as it is written, and where in the files each part of it stands. */
export interface Draft {
  readonly template: Template<unknown, unknown>;
  readonly written: Readonly<Record<string, unknown>>;
  readonly document: TemplateDocument;
}

/**
 * What the rules find in templates that the language allows: bases (whose `who` is empty) are among the drafts, and each entry of a
 * `for_each`, of which the same finding is said once. Pure, and the same on every day unless `rooms.now` says which it is.
 */
export function* lintPolicy(drafts: readonly Draft[], rooms: Rooms<unknown, unknown>): Stepwise<readonly Problem[]> {
  const policy = yield* wholePolicy(drafts, rooms);
  const problems = new Map<string, Problem>();
  const fired = new Map<TemplateDocument, Set<string>>();
  for (const draft of drafts) {
    yield;
    const { who } = draft.template;
    const clashes = yield* clashesOf(who, issuersOf(who, rooms), drafts.length);
    const linted = lintedOf(draft, rooms, { policy, clashes });
    for (const { rule, finding } of yield* findings(linted)) {
      fired.set(draft.document, (fired.get(draft.document) ?? new Set()).add(rule.name));
      if (isAccepted(rule, draft)) continue;
      const problem = problemOf(rule, finding, draft);
      const key = `${problem.file}\n${problem.line}\n${problem.key}\n${problem.rule}`;
      if (!problems.has(key)) problems.set(key, problem);
    }
  }
  return [...problems.values(), ...idleAccepts(drafts, fired, { now: rooms.now, levelOf })].toSorted(inFile);
}

export function lintedOf(
  { template, written, document }: Draft,
  rooms: Rooms<unknown, unknown>,
  { policy, clashes }: Pick<Linted, "policy" | "clashes">,
): Linted {
  return {
    template,
    written,
    text: document.text,
    rooms,
    lines: placedLines(template.who),
    issuers: issuersOf(template.who, rooms),
    clashes,
    runs: runsOf(template),
    endings: endingsOf(template, rooms),
    scopes: scopesOf({ template, written }),
    isolations: isolationsOf(template, rooms),
    policy,
  };
}

function isolationsOf(
  { isolation: { base, byTrust } }: Draft["template"],
  rooms: Rooms<unknown, unknown>,
): Linted["isolations"] {
  const { facts } = rooms.isolation;
  return [
    { path: ["sandbox"], facts: facts(base) },
    ...[...byTrust].map(([trust, one]) => ({ path: ["sandbox", "by_trust", trust], facts: facts(one) })),
  ];
}

function endingsOf({ credentials }: Draft["template"], { providers }: Rooms<unknown, unknown>): Linted["endings"] {
  const known = [...credentials.values()].flatMap(({ name, provider, options }) => {
    const room = providers.get(provider);
    return room === undefined ? [] : [[name, room.ends(options)] as const];
  });
  return new Map(known);
}

function* findings(linted: Linted): Stepwise<readonly { readonly rule: Rule; readonly finding: Finding }[]> {
  const found: { readonly rule: Rule; readonly finding: Finding }[] = [];
  for (const rule of rules) {
    yield;
    for (const finding of rule.check(linted).slice(0, mostOfOne)) found.push({ rule, finding });
  }
  return found;
}

/** More of one rule in one template are not said: they would be the same again. */
const mostOfOne = 50;

function levelOf(name: string): Rule["level"] | undefined {
  return rules.find((rule) => rule.name === name)?.level;
}

/** An error is never right, whatever the reason. */
function isAccepted({ name, level }: Rule, { template }: Draft): boolean {
  return level !== "error" && Object.hasOwn(template.accepts, name);
}

function problemOf({ name, level, fix }: Rule, finding: Finding, { document }: Draft): Problem {
  return { ...document.problem(finding.path, finding.message, finding.fix ?? fix), rule: name, level };
}

function inFile(a: Problem, b: Problem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line;
}
