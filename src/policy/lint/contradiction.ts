import type { ClaimLine, WhoLine } from "../who.ts";
import { writersOnly } from "./claim-values.ts";
import { exclude } from "./overlap.ts";
import type { Finding, Linted } from "./rule.ts";
import { asking, isLiteral, patternText, presetIs } from "./who-view.ts";

/** Why no job, or no job by one alternative of `any`, can match. */
export function contradictions(linted: Linted): readonly Finding[] {
  const { who } = linted.template;
  const top = who.flatMap((line) => (line.kind === "any" ? [] : [line]));
  return [
    ...clashes(top, top).map((message): Finding => ({ path: ["who"], message })),
    ...who.flatMap((line) => inAlternatives(line, top)),
    ...underivable(linted),
    ...eventsWithoutTrust(linted),
  ].slice(0, 4);
}

function inAlternatives(line: WhoLine, top: readonly ClaimLine[]): readonly Finding[] {
  if (line.kind !== "any") return [];
  return line.alternatives.flatMap((lines, index) => {
    const [message] = [...clashes(lines, top), ...clashes(lines, lines)];
    return message === undefined ? [] : [{ path: ["who", "any", index], message }];
  });
}

function clashes(lines: readonly ClaimLine[], others: readonly ClaimLine[]): readonly string[] {
  return lines.flatMap((line) => {
    if (line.kind !== "claim") return [];
    const other = others.find((against) => against !== line && exclude(line, against));
    return other === undefined ? [] : [`no job can have ${line.claim} ${line.expected} and ${told(other)}`];
  });
}

function told(line: ClaimLine): string {
  if (line.kind === "absent") return `be without ${line.claim}`;
  return line.kind === "not" ? `not ${line.expected}` : line.expected;
}

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

/** `workflow_run` and its like have no trust but `unknown`, which no template can ask for; pull requests have their own and no other. */
function eventsWithoutTrust(linted: Linted): readonly Finding[] {
  const trusts = asking(linted, "trust").map(({ patterns }) => patterns.map(patternText));
  if (!presetIs(linted, "github", "forgejo") || trusts.length === 0) return [];
  const pulls = trusts.every((asked) => asked.includes("pull_request"));
  return asking(linted, "event_name")
    .filter(({ patterns }) =>
      patterns.every(
        (pattern) =>
          isLiteral(pattern) &&
          !writersOnly.includes(patternText(pattern)) &&
          !(pulls && patternText(pattern).startsWith("pull_request")),
      ),
    )
    .map(({ path, patterns }) => ({
      path,
      message: `a job of ${patterns.map(patternText).join(" or ")} never has the trust that the template asks for`,
      fix: "ask for an event that only those with write access cause, such as push",
    }));
}
