import { bare } from "../../../src/identity/bare.ts";
import type { Claim, Identity } from "../../../src/identity/identity.ts";
import type { Ask } from "../../../src/policy/decide.ts";
import { pick, type Random, whole } from "../identity/chance.ts";
import { chance } from "./chance.ts";
import { identityWith } from "./identities.ts";
import { loadSite } from "./loaded.ts";
import { randomSite } from "./made.ts";
import { finalForms } from "./oracle/final.ts";
import { type Found, inWords, type Trial, Wrong } from "./part.ts";
import { harmless, hostileValue } from "./payloads.ts";
import { vocabulary } from "./who-made.ts";
import { randomAsk } from "./asks.ts";

const tries = { small: 10_000, full: 200_000 } as const;
const perPolicy = 50;

const prototypeNames = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf", "length", "__defineGetter__", "then", "0"];

/** Whoever asks, whatever for: there is an answer, it is the same the second time, and what is odd is never granted more for it. */
export function neverThrows(trial: Trial): Found {
  const wrong = new Wrong(trial);
  const count = { asked: 0, granted: 0 };
  while (count.asked < tries[trial.size]) {
    const loaded = loadSite(randomSite(trial.random), trial.subject, trial.random);
    if (loaded.kind === "refused") continue;
    const finals = finalForms(loaded.files);
    for (let nth = 0; nth < perPolicy; nth++) {
      const ask = hostileAsk(randomAsk(finals, trial.random), [...loaded.policy.templates.keys()], trial.random);
      count.asked += 1;
      const outcomes = [0, 1].map(() => outcomeOf(() => trial.subject.decide(loaded.policy, ask)));
      if (outcomes[0]?.startsWith("thrown") === true) wrong.add("thrown", () => `${outcomes[0]}: ${shownAsk(ask)}`);
      if (outcomes[0] === "denied internal" && isLawful(ask)) wrong.add("internal", () => shownAsk(ask));
      if (outcomes[0] !== outcomes[1]) wrong.add("not the same twice", () => `${outcomes.join(", then ")}: ${shownAsk(ask)}`);
      if (outcomes[0]?.startsWith("granted") === true) count.granted += 1;
    }
  }
  if ("polluted" in {}) wrong.add("polluted", () => "Object.prototype has a new member");
  return {
    claim: `${inWords(count.asked)} hostile identities and asks, ${wrong.count("thrown")} thrown, ${wrong.count("internal")} denied by an error of ours`,
    held: wrong.count() === 0,
    figures: { hostileAsks: count.asked, hostileGranted: count.granted, hostileThrown: wrong.count("thrown"), hostileInternal: wrong.count("internal") },
  };
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
    template: chance(random, 0.3) ? pick(random, [...prototypeNames, ...templates, "x".repeat(100_000), "../t1", "\0"]) : ask.template,
    step: chance(random, 0.3) ? pick(random, [...prototypeNames, "x".repeat(100_000), ""]) : ask.step,
    command: chance(random, 0.3) ? pick(random, [[], [""], ["\0"], Array.from({ length: 5_000 }, () => "x"), prototypeNames]) : ask.command,
    now: chance(random, 0.2) ? pick(random, moments) : ask.now,
  };
}

function hostileIdentity(identity: Identity, random: Random): Identity {
  const claims = new Map<string, Claim>(Object.entries(identity.claims));
  for (let times = 1 + whole(random, 4); times > 0; times--) {
    const name = pick(random, [...prototypeNames, ...vocabulary.keys(), "issuer", "trust", "not", "any", "absent", "a".repeat(10_000), "", " ", "é"]);
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
  const odd: readonly unknown[] = ["", "\0", "\uD800", "x".repeat(pick(random, [1_000, 100_000])), "/".repeat(8_192), "*".repeat(8_192), -0, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, [], [""], Array.from({ length: 500 }, () => "x"), true, false];
  // What no verified identity holds (null, maps, functions) is among them too: an error of ours must still deny.
  const value = chance(random, 0.6) ? pick(random, odd) : chance(random, 0.5) ? pick(random, harmless) : hostileValue(random);
  return serializable(value) as Claim;
}

/** Made of what a verifier hands over, whatever is in it: then an error of ours is a fault, even where it denies. */
function isLawful({ identity: { claims }, now }: Ask): boolean {
  const isText = (value: unknown): boolean => typeof value === "string";
  return !Number.isNaN(new Date(now).getTime()) && Object.values(claims).every((claim) => (Array.isArray(claim) ? claim.every(isText) : /^(?:string|number|boolean)$/.test(typeof claim)));
}

/** A symbol or a function cannot come out of a token, and could not be recorded. */
function serializable(value: unknown): unknown {
  return typeof value === "symbol" || typeof value === "function" ? String(value) : value;
}

function shownAsk(ask: Ask): string {
  return JSON.stringify(ask).slice(0, 600);
}
