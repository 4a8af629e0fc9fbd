import { bare } from "../../../src/identity/bare.ts";
import type { Claim, Identity } from "../../../src/identity/identity.ts";
import type { Ask } from "../../../src/policy/decide.ts";
import { pick, type Random, whole } from "../identity/chance.ts";
import { disagreement } from "./agreement.ts";
import { randomAsk } from "./asks.ts";
import { chance } from "./chance.ts";
import { identityWith } from "./identities.ts";
import { loadSite } from "./loaded.ts";
import { randomSite } from "./made.ts";
import { decideByOracle } from "./oracle/decide.ts";
import { type Final, finalForms } from "./oracle/final.ts";
import { type Found, inWords, type Trial, Wrong } from "./part.ts";
import { harmless, hostileValue } from "./payloads.ts";
import type { SitePolicy } from "./subject.ts";
import { vocabulary } from "./who-made.ts";

const tries = { small: 10_000, full: 200_000 } as const;
const perPolicy = 50;

const prototypeNames = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "valueOf",
  "length",
  "__defineGetter__",
  "then",
  "0",
];

/** Whoever asks, whatever for: there is an answer, it is the same the second time, and it is the one that the language gives. */
export function neverThrows(trial: Trial): Found {
  const wrong = new Wrong(trial);
  let [asked, granted] = [0, 0];
  while (asked < tries[trial.size]) {
    const loaded = loadSite(randomSite(trial.random), trial.subject, trial.random);
    if (loaded.kind === "refused") continue;
    const finals = finalForms(loaded.files);
    const names = [...loaded.policy.templates.keys()];
    const asks = Array.from({ length: perPolicy }, () => hostileAsk(randomAsk(finals, trial.random), names, trial.random));
    for (const ask of asks) if (tryAsk(ask, { trial, policy: loaded.policy, finals, wrong })) granted += 1;
    asked += asks.length;
  }
  if ("polluted" in {}) wrong.add("polluted", () => "Object.prototype has a new member");
  const [thrown, internal, others] = ["thrown", "internal", "not as the oracle"].map((kind) => wrong.count(kind));
  return {
    claim: `${inWords(asked)} hostile identities and asks, ${thrown} thrown, ${internal} denied by an error of ours, ${others} not as the oracle says`,
    held: wrong.count() === 0,
    figures: { hostileAsks: asked, hostileGranted: granted, hostileThrown: thrown ?? 0, hostileInternal: internal ?? 0 },
  };
}

interface Trying {
  readonly trial: Trial;
  readonly policy: SitePolicy;
  readonly finals: readonly Final[];
  readonly wrong: Wrong;
}

/** Whether it was granted. */
function tryAsk(ask: Ask, { trial, policy, finals, wrong }: Trying): boolean {
  const about = (): string => JSON.stringify(ask).slice(0, 600);
  const [first, second] = [0, 1].map(() => outcomeOf(() => trial.subject.decide(policy, ask)));
  if (first === undefined || first !== second) wrong.add("not the same twice", () => `${first}, then ${second}: ${about()}`);
  if (first?.startsWith("thrown") === true) wrong.add("thrown", () => `${first}: ${about()}`);
  // An error of ours denies; of what a verifier can hand over, it is a fault all the same.
  else if (isLawful(ask)) {
    if (first === "denied internal") wrong.add("internal", about);
    const differs = disagreement(trial.subject.decide(policy, ask), decideByOracle(finals, ask));
    if (differs !== undefined) wrong.add("not as the oracle", () => `${differs.slice(0, 300)}: ${about()}`);
  }
  return first?.startsWith("granted") === true;
}

function outcomeOf(decide: () => { readonly kind: string; readonly code?: string; readonly template?: string }): string {
  try {
    const decision = decide();
    // What is recorded and sent is JSON: it must be possible.
    JSON.stringify(decision);
    return `${decision.kind} ${decision.code ?? decision.template}`;
  } catch (error) {
    return `thrown ${String(error)}`;
  }
}

/** Somebody's ask, with something in it that no verifier and no door should let through. */
function hostileAsk(ask: Ask, templates: readonly string[], random: Random): Ask {
  const moments = [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 8.64e15, 8.64e15 + 1, 1.5, ask.now];
  return {
    identity: chance(random, 0.9) ? hostileIdentity(ask.identity, random) : ask.identity,
    template: chance(random, 0.3)
      ? pick(random, [...prototypeNames, ...templates, "x".repeat(100_000), "../t1", "\0"])
      : ask.template,
    step: chance(random, 0.3) ? pick(random, [...prototypeNames, "x".repeat(100_000), ""]) : ask.step,
    command: chance(random, 0.3)
      ? pick(random, [[], [""], ["\0"], Array.from({ length: 5_000 }, () => "x"), prototypeNames])
      : ask.command,
    now: chance(random, 0.2) ? pick(random, moments) : ask.now,
  };
}

function hostileIdentity(identity: Identity, random: Random): Identity {
  const claims = new Map<string, Claim>(Object.entries(identity.claims));
  for (let times = 1 + whole(random, 4); times > 0; times--) {
    const name = pick(random, [
      ...prototypeNames,
      ...vocabulary.keys(),
      "issuer",
      "trust",
      "not",
      "any",
      "absent",
      "a".repeat(10_000),
      "",
      " ",
      "é",
    ]);
    claims.set(name, hostileClaim(random));
  }
  const told = {
    issuer: chance(random, 0.1) ? pick(random, [...prototypeNames, "", "CI", "x".repeat(10_000)]) : identity.issuer,
    trust: chance(random, 0.1) ? (pick(random, [...prototypeNames, "", "PROTECTED"]) as Identity["trust"]) : identity.trust,
  };
  const made = identityWith({}, told);
  // Once in a while an object as nobody should hand it over: with a prototype, or frozen.
  const kept = chance(random, 0.1) ? Object.fromEntries(claims) : bare(claims);
  return { ...made, claims: chance(random, 0.2) ? Object.freeze(kept) : kept };
}

function hostileClaim(random: Random): Claim {
  const odd: readonly unknown[] = [
    "",
    "\0",
    "\uD800",
    "x".repeat(pick(random, [1_000, 100_000])),
    "/".repeat(8_192),
    "*".repeat(8_192),
    -0,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    [],
    [""],
    Array.from({ length: 500 }, () => "x"),
    true,
    false,
  ];
  // What no verified identity holds (null, maps, functions) is among them too: an error of ours must still deny.
  const value = chance(random, 0.6) ? pick(random, odd) : chance(random, 0.5) ? pick(random, harmless) : hostileValue(random);
  return serializable(value) as Claim;
}

/** Made of what a verifier hands over, whatever is in it, at a time in which the oracle knows the laws on summer time. */
function isLawful({ identity: { claims }, now }: Ask): boolean {
  const isText = (value: unknown): boolean => typeof value === "string";
  const isClaim = (claim: unknown): boolean =>
    Array.isArray(claim) ? claim.every(isText) : ["string", "number", "boolean"].includes(typeof claim);
  return now > Date.UTC(2008) && now < Date.UTC(2090) && Object.values(claims).every(isClaim);
}

/** A symbol or a function cannot come out of a token, and could not be recorded. */
function serializable(value: unknown): unknown {
  return typeof value === "symbol" || typeof value === "function" ? String(value) : value;
}
