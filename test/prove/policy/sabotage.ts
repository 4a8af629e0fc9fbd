import { parse } from "yaml";
import type { Claim, Identity } from "../../../src/identity/identity.ts";
import type { Ask } from "../../../src/policy/decide.ts";
import type { Pattern } from "../../../src/policy/pattern.ts";
import { Slotted } from "../../../src/policy/slots.ts";
import type { ClaimLine, WhoLine } from "../../../src/policy/who.ts";
import { identityWith } from "./identities.ts";
import type { SiteDecision, SitePolicy, Subject } from "./subject.ts";
import { vocabulary } from "./who-made.ts";

/** What one sabotage does to the room, and which parts of the proof must see it. */
export interface Sabotage {
  readonly parts: readonly string[];
  readonly subject: (real: Subject) => Subject;
}

/**
 * Each is the real room but for one fault, put around it: what goes in or comes out of one function is changed as the fault would change it.
 * With any of them the proof must say that it does not hold.
 */
export const sabotages: Readonly<Record<string, Sabotage>> = {
  "globs-cross-segments": { parts: ["nearMisses", "randomPolicies"], subject: withLines((line) => [crossing(line)]) },
  "ignores-not": {
    parts: ["nearMisses", "randomPolicies"],
    subject: withLines((line) => (line.kind === "not" ? [] : [line])),
  },
  "last-not-counts": {
    parts: ["randomPolicies"],
    subject: withLines((line) => [line.kind === "not" ? { ...line, patterns: line.patterns.slice(-1) } : line]),
  },
  "forgets-the-last-line": {
    parts: ["randomPolicies"],
    subject: withTemplates((template) => ({ ...template, who: template.who.slice(0, Math.max(1, template.who.length - 1)) })),
  },
  "absent-is-empty": {
    parts: ["nearMisses", "randomPolicies"],
    subject: withAsk((ask) => ({ ...ask, identity: withEmpty(ask.identity) })),
  },
  "folds-case": { parts: ["nearMisses"], subject: withAsk((ask) => ({ ...ask, identity: withClaims(ask.identity, folded) })) },
  "ignores-hours": { parts: ["randomPolicies"], subject: withTemplates((template) => ({ ...template, when: [] })) },
  "index-loses-one": { parts: ["randomPolicies"], subject: withPolicy(losing) },
  "first-one-wins": {
    parts: ["randomPolicies"],
    subject: withDecision((decision, again) =>
      decision.kind === "denied" && decision.code === "ambiguous" ? again(firstNamed(decision.message)) : decision,
    ),
  },
  "bounds-left-out": {
    parts: ["randomPolicies"],
    subject: (real) => ({
      ...real,
      compile: (sources) => real.compile(sources.filter(({ file }) => !file.endsWith("bounds.yaml"))),
    }),
  },
  "lives-too-long": { parts: ["randomPolicies"], subject: withDecision(longer) },
  "slot-takes-wildcards": {
    parts: ["slots"],
    subject: (real) => ({
      ...real,
      fill: (kind, text, claims) => real.fill(kind, text, starless(claims)).replaceAll("star0star", "*"),
    }),
  },
  "slots-too-close": {
    parts: ["slots"],
    subject: (real) => ({ ...real, fill: (kind, text, claims) => new Slotted(kind, text).fill(claims) }),
  },
  "lint-rule-off": {
    parts: ["lint"],
    subject: (real) => ({
      ...real,
      check: (sources) => real.check(sources).filter(({ rule }) => rule !== "shared-host-wildcard"),
    }),
  },
  "lenient-yaml": {
    parts: ["yamlRows"],
    subject: (real) => ({
      ...real,
      compile: (sources) => real.compile(sources.map(({ file, text }) => ({ file, text: respelled(text) }))),
    }),
  },
  "inherited-members": { parts: ["neverThrows"], subject: withAsk((ask) => (naive(ask.identity), ask)) },
  "slow-decisions": {
    parts: ["figures"],
    subject: withAsk((ask) => {
      for (const until = performance.now() + 0.3; performance.now() < until; );
      return ask;
    }),
  },
  "mixes-versions": {
    parts: ["reload"],
    subject: (real) => {
      let count = 0;
      const other = (digests: readonly string[]): string | undefined =>
        ++count % 50 === 0 ? digests[count % digests.length] : undefined;
      return { ...real, heard: (answer, digests) => ({ answer, digest: other(digests) }) };
    },
  },
};

type SiteTemplate = SitePolicy extends { candidates(identity: Identity): readonly (infer T)[] } ? T : never;

function withPolicy(change: (policy: SitePolicy) => SitePolicy): Sabotage["subject"] {
  return (real) => ({
    ...real,
    compile: (sources) => {
      const compiled = real.compile(sources);
      return compiled.kind === "policy" ? { ...compiled, policy: change(compiled.policy) } : compiled;
    },
  });
}

/** Among the candidates they are all there, so that nothing hides the fault but the fault itself. */
function withTemplates(change: (template: SiteTemplate) => SiteTemplate): Sabotage["subject"] {
  return withPolicy((policy) => {
    const templates = new Map([...policy.templates].map(([name, template]) => [name, change(template)]));
    return { ...policy, templates, candidates: () => [...templates.values()] };
  });
}

function withLines(change: (line: ClaimLine) => readonly ClaimLine[]): Sabotage["subject"] {
  const changed = (line: WhoLine): readonly WhoLine[] =>
    line.kind === "any" ? [{ ...line, alternatives: line.alternatives.map((lines) => lines.flatMap(change)) }] : change(line);
  return withTemplates((template) => ({ ...template, who: template.who.flatMap(changed) }));
}

function crossing(line: ClaimLine): ClaimLine {
  return line.kind === "claim" ? { ...line, patterns: line.patterns.map(opened) } : line;
}

/** As if its last `*` had been written `**`. */
function opened(pattern: Pattern): Pattern {
  return pattern.kind === "glob" ? { ...pattern, glob: { ...pattern.glob, open: true } } : pattern;
}

function withAsk(change: (ask: Ask) => Ask): Sabotage["subject"] {
  return (real) => ({ ...real, decide: (policy, ask) => real.decide(policy, change(ask)) });
}

function withDecision(
  change: (decision: SiteDecision, again: (template: string) => SiteDecision) => SiteDecision,
): Sabotage["subject"] {
  return (real) => ({
    ...real,
    decide: (policy, ask) => change(real.decide(policy, ask), (template) => real.decide(policy, { ...ask, template })),
  });
}

function withClaims(identity: Identity, change: (claim: Claim) => Claim): Identity {
  const claims = Object.entries(identity.claims).map(([name, claim]) => [name, change(claim)] as const);
  return { ...identity, claims: identityWith(Object.fromEntries(claims)).claims };
}

function withEmpty(identity: Identity): Identity {
  const empty = Object.fromEntries([...vocabulary.keys(), "base_ref"].map((name) => [name, ""]));
  return { ...identity, claims: identityWith({ ...empty, ...identity.claims }).claims };
}

function folded(claim: Claim): Claim {
  return typeof claim === "string" ? claim.toLowerCase() : claim;
}

function losing(policy: SitePolicy): SitePolicy {
  return { ...policy, candidates: (identity) => policy.candidates(identity).slice(1) };
}

function firstNamed(message: string): string {
  return /: ([^, ]+)/.exec(message)?.[1] ?? "";
}

function longer(decision: SiteDecision): SiteDecision {
  if (decision.kind === "denied") return decision;
  return { ...decision, credentials: decision.credentials.map((one) => ({ ...one, ttl: one.ttl + 60_000 })) };
}

function starless(claims: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const change = (value: unknown): unknown => (typeof value === "string" ? value.replaceAll("*", "star0star") : value);
  return Object.fromEntries(Object.entries(claims).map(([name, value]) => [name, change(value)]));
}

/** What a parser with everything allowed makes of it, in plain JSON. */
function respelled(text: string): string {
  try {
    return JSON.stringify(parse(text, { uniqueKeys: false, strict: false, logLevel: "silent" }));
  } catch {
    return text;
  }
}

/** As somebody would who had never heard of prototypes. */
function naive({ claims }: Identity): void {
  const asObject: object = claims;
  if ("constructor" in asObject) (asObject as { readonly constructor: string }).constructor.trim();
}
