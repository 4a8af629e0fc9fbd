import { accepts, isBinding, type Pattern } from "../pattern.ts";
import { branchClaims, closedValues, refForms } from "./claim-values.ts";
import { contradictions } from "./contradiction.ts";
import { oddity, type TextUse } from "./odd-text.ts";
import type { Finding, Linted, Rule } from "./rule.ts";
import { eachText } from "./scope-view.ts";
import { isLiteral, isSingle, type PlacedLine, patternText, presetIs } from "./who-view.ts";
import { slipOf } from "./words.ts";

/** Whether the lines of `who` say what their author meant. */
export const claimRules: readonly Rule[] = [
  {
    name: "misspelt-claim",
    level: "error",
    says: "The issuer's tokens never have such a claim, and have one that is spelt nearly so: no job can match.",
    fix: "write the claim as the issuer does",
    check: (linted) => foreignClaims(linted, (near) => near !== undefined),
  },
  {
    name: "unknown-claim",
    level: "advice",
    says: "No token of this issuer is known to have the claim, and without it no job can match.",
    fix: "look at a token's claims (`mayfly explain --token-file`); where the vendor added the claim since, accept this",
    check: (linted) => foreignClaims(linted, (near) => near === undefined),
  },
  {
    name: "misspelt-value",
    level: "risk",
    says: "The claim has a few fixed values, and this is nearly one of them: asked for it matches nobody, and under `not` it keeps nobody out.",
    fix: "write the value as the issuer does",
    check: misspeltValues,
  },
  {
    name: "boolean-or-text",
    level: "error",
    says: "The issuer sends this claim as text where the template has a boolean, or the other way round, and those are never equal.",
    fix: 'write true and false with quotes for GitHub, GitLab and Forgejo ("true"), and without them where the claim is a boolean',
    check: booleanOrText,
  },
  {
    name: "ref-shape",
    level: "error",
    says: "A ref is written in another form than the issuer sends it in (`refs/heads/main` or `main`), so that it never matches and, under `not`, keeps nobody out.",
    fix: "write the ref as the issuer does",
    check: refShapes,
  },
  {
    name: "uuid-shape",
    level: "risk",
    says: "A UUID is written otherwise than CI systems send it: in capital letters, or without the braces that Bitbucket has.",
    fix: "write it in lower case, and for Bitbucket in braces",
    check: uuidShapes,
  },
  {
    name: "lookalike-letters",
    level: "risk",
    says: "A text holds characters that nobody sees, that look like others or are another spelling of them, or a blank at an end: what is read is not what is there.",
    fix: "type the text anew",
    check: lookalikes,
  },
  {
    name: "never-matches",
    level: "error",
    says: "Two lines contradict each other, so that no job can ever match.",
    fix: "take one of them out",
    check: contradictions,
  },
  {
    name: "too-much-to-compare",
    level: "advice",
    says: "The lines on one claim have so many globs that nobody compared all of them: whether two lines contradict each other is not known.",
    fix: "name fewer values, or write them out without '*'",
    check: ({ clashes }) => (clashes.ended ? [{ path: ["who"], message: "there is too much to compare" }] : []),
  },
  {
    name: "idle-line",
    level: "advice",
    says: "A `not` excludes only what another line of the same claim does not let in anyhow, or a line takes whatever comes: it reads like protection, and is none.",
    fix: "take it out, or let it exclude what could come",
    check: (linted) => [...idleNots(linted), ...idleGlobs(linted)],
  },
];

const ours = ["issuer", "trust"];

/** Under `not` and `absent` the language itself refuses them: there they would keep nobody out. */
function foreignClaims(linted: Linted, wanted: (near: string | undefined) => boolean): readonly Finding[] {
  const lists = linted.issuers.map(({ known }) => known);
  if (lists.length === 0 || lists.includes(undefined)) return [];
  const known = lists.flatMap((list) => list ?? []);
  return linted.lines
    .filter(({ kind, claim }) => kind === "claim" && !ours.includes(claim) && !isKnown(claim, known))
    .flatMap(({ claim, path }) => {
      const near = slipOf(claim, known);
      if (!wanted(near)) return [];
      const message = `tokens of ${linted.issuers.map(({ preset }) => preset).join(" and ")} have no claim ${claim}`;
      return [{ path, message, ...(near === undefined ? {} : { fix: `did you mean ${near}?` }) }];
    });
}

export function isKnown(claim: string, known: readonly string[]): boolean {
  return known.some((name) => (name.endsWith("*") ? claim.startsWith(name.slice(0, -1)) : claim === name));
}

function texts({ patterns }: PlacedLine): readonly string[] {
  return patterns.map(patternText);
}

/** A glob that takes one of the values is no slip, however near to another one it is. */
function misspeltValues(linted: Linted): readonly Finding[] {
  return linted.lines.flatMap(({ claim, patterns, path }) => {
    const values = linted.issuers.flatMap(({ preset }) => closedValues(preset, claim));
    const strange = patterns.filter((pattern) => !values.some((value) => accepts(pattern, value))).map(patternText);
    return strange.flatMap((text) => {
      const near = slipOf(text, values);
      const message = `${claim} is never known to be ${JSON.stringify(text)}`;
      return near === undefined ? [] : [{ path, message, fix: `did you mean ${near}?` }];
    });
  });
}

/** Every claim of these is text, numbers apart. */
const allText = ["github", "forgejo", "gitlab", "hcp-terraform", "bitbucket"];
const booleans = ["oidc.circleci.com/ssh-rerun", "email_verified"];

function booleanOrText(linted: Linted): readonly Finding[] {
  const textOnly = linted.issuers.length > 0 && linted.issuers.every(({ preset }) => allText.includes(preset));
  return linted.lines.flatMap(({ claim, patterns, path }) => {
    const booleanAsked = patterns.some((pattern) => pattern.kind === "literal" && typeof pattern.value === "boolean");
    if (booleanAsked && textOnly) return [{ path, message: `${claim} is text here`, fix: `write it in quotes: "true"` }];
    const textAsked = patterns.some(
      (pattern) => pattern.kind === "literal" && ["true", "false"].includes(String(pattern.value)),
    );
    if (!textAsked || booleanAsked || !booleans.includes(claim)) return [];
    return [{ path, message: `${claim} is a boolean`, fix: "write it without quotes" }];
  });
}

/** No ref ends or begins so (git-check-ref-format): what looks like it in a review is another text. */
const edgedRef = /^\s|\s$/;

function refShapes(linted: Linted): readonly Finding[] {
  return linted.lines.flatMap((line) => {
    const forms = linted.issuers.map(({ preset }) => refForms(preset, line.claim));
    const [form] = forms;
    if (form === undefined || forms.some((other) => other !== form)) return [];
    const wrong = texts(line).find(
      (text) => edgedRef.test(text) || (!text.startsWith("*") && text.startsWith("refs/") !== (form === "full")),
    );
    if (wrong !== undefined && edgedRef.test(wrong))
      return [{ path: line.path, message: `no ref can be ${JSON.stringify(wrong)}`, fix: "take the blank out" }];
    const fix = form === "full" ? `write it as refs/heads/${wrong ?? ""}, or refs/tags/…` : "leave out 'refs/heads/'";
    return wrong === undefined
      ? []
      : [{ path: line.path, message: `${line.claim} is never ${JSON.stringify(wrong)} here`, fix }];
  });
}

const uuid = /^\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?$/i;

function uuidShapes(linted: Linted): readonly Finding[] {
  return linted.lines.flatMap((line) =>
    texts(line)
      .filter((text) => uuid.test(text))
      .flatMap((text) => {
        const bare = presetIs(linted, "bitbucket") && line.claim.endsWith("Uuid") && !text.startsWith("{");
        if (bare) return [{ path: line.path, message: `${line.claim} is sent in braces`, fix: `write "{${text}}"` }];
        return text === text.toLowerCase()
          ? []
          : [{ path: line.path, message: "a UUID in capital letters", fix: "write it in lower case" }];
      }),
  );
}

const longestShown = 80;

/** Those of `who` line by line, since parts of it may be a base's or a folder's. */
function lookalikes({ lines, template }: Linted): readonly Finding[] {
  const found: Finding[] = [];
  const look = (path: Finding["path"], text: string): void => {
    const odd = oddity(text, useOf(path));
    if (odd !== undefined) found.push({ path: [...path], message: `${odd} ${JSON.stringify(text.slice(0, longestShown))}` });
  };
  for (const line of lines) for (const text of texts(line)) look(line.path, text);
  const { who: _, ...others } = template.expanded;
  eachText(others, [], look);
  return found;
}

function useOf([first, _, third]: Finding["path"]): TextUse {
  if (first === "accept" || first === "tolerate") return "prose";
  return first === "steps" && third === "run" ? "argument" : "name";
}

/** Of a claim that may have several values, another value is no protection against this one. */
function idleNots({ template, lines, issuers }: Linted): readonly Finding[] {
  const top = new Map(
    template.who.flatMap((line) =>
      line.kind === "claim" && line.patterns.every(isLiteral) ? [[line.claim, new Set(line.patterns.map(patternText))]] : [],
    ),
  );
  return lines.flatMap((line) => {
    const wanted = top.get(line.claim);
    if (line.kind !== "not" || wanted === undefined || !isSingle(issuers, line.claim)) return [];
    const idle = line.patterns.every((pattern) => isLiteral(pattern) && !wanted.has(patternText(pattern)));
    return idle ? [{ path: line.path, message: `${line.claim} is only ever ${[...wanted].join(" or ")}` }] : [];
  });
}

/** Where every token has the claim, `**` asks for nothing; what takes every branch has a rule of its own. */
function idleGlobs({ lines, issuers }: Linted): readonly Finding[] {
  return lines
    .filter(({ kind, claim }) => kind === "claim" && !branchClaims.includes(claim))
    .filter(({ claim }) => issuers.length > 0 && issuers.every(({ sent }) => sent.includes(claim)))
    .filter(({ claim, patterns }) => patterns.some((pattern) => takesAll(pattern, issuers, claim)))
    .map(({ claim, path }) => ({ path, message: `every job has some ${claim}`, fix: "name the values, or take the line out" }));
}

function takesAll(pattern: Pattern, issuers: Linted["issuers"], claim: string): boolean {
  if (isBinding(pattern)) return false;
  const values = issuers.flatMap(({ preset }) => closedValues(preset, claim));
  return patternText(pattern) === "**" || (values.length > 0 && values.every((value) => accepts(pattern, value)));
}
