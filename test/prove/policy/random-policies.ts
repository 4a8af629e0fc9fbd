import { isDeepStrictEqual } from "node:util";
import type { Ask } from "../../../src/policy/decide.ts";
import type { Problem } from "../../../src/policy/problem.ts";
import { type Random } from "../identity/chance.ts";
import { disagreement, plainGrant } from "./agreement.ts";
import { randomAsk } from "./asks.ts";
import { near } from "./identities.ts";
import { type Loaded, loadSite } from "./loaded.ts";
import { randomSite, type Site } from "./made.ts";
import { narrowedSite } from "./narrowing.ts";
import { decideByOracle } from "./oracle/decide.ts";
import { type Final, finalForms } from "./oracle/final.ts";
import { whoHolds } from "./oracle/who.ts";
import { beyond } from "./oracle/within.ts";
import { type Found, inWords, type Trial, Wrong } from "./part.ts";
import { morePrecisely } from "./scope.ts";
import { mapOf, reordered, type WrittenFile } from "./written.ts";

const policies = { small: 1_000, full: 10_000 } as const;
const asksPerPolicy = 6;

interface Count {
  policies: number;
  decisions: number;
  granted: number;
  refused: number;
  advised: number;
  narrowed: number;
  stillGranted: number;
}

/** Random folders of templates, each of them tried for every property: against the oracle, in another order, narrowed, and for what it gives. */
export function randomPolicies(trial: Trial): Found {
  const wrong = new Wrong(trial);
  const count: Count = { policies: 0, decisions: 0, granted: 0, refused: 0, advised: 0, narrowed: 0, stillGranted: 0 };
  const wanted = policies[trial.size];
  // Each property is tried on so many that load; where hardly any does, that is what the proof says.
  while (count.narrowed < wanted && count.policies + count.advised < 4 * wanted) {
    tryOne(randomSite(trial.random), trial, { wrong, count });
    if (count.policies % 2_000 === 0 && count.advised < count.policies)
      trial.note(`${inWords(count.policies)} random policies`);
  }
  const kinds = {
    disagree: wrong.count("not as the oracle"),
    loads: wrong.count("loads", "does not load"),
    order: wrong.count("order"),
    more: wrong.count("narrower grants more"),
    beyond: wrong.count("beyond its scope"),
  };
  return {
    claim: `${inWords(count.policies)} random policies (${inWords(count.refused)} of them too wide to load) and ${inWords(count.decisions)} decisions (${inWords(count.granted)} grants): ${kinds.disagree + kinds.loads} not as an independent oracle says, ${kinds.order} changed by order, ${kinds.more} of ${inWords(count.narrowed)} with a condition more granted more, ${kinds.beyond} grants beyond template, base or bounds`,
    held:
      wrong.count() === 0 &&
      count.narrowed >= wanted &&
      count.granted > count.decisions / 10 &&
      count.refused > count.policies / 50 &&
      count.stillGranted > 0 &&
      count.advised < count.policies / 4,
    figures: { ...count, ...kinds },
  };
}

interface Tally {
  readonly wrong: Wrong;
  readonly count: Count;
}

function tryOne(site: Site, trial: Trial, tally: Tally): void {
  const { random, subject } = trial;
  const { wrong, count } = tally;
  const loaded = loadSite(site, subject, random);
  const excess = beyond(site.files);
  // What only the lint refuses is no policy to try, and is left out of the count.
  if (loaded.kind === "refused" && loaded.advised && excess.length === 0) {
    count.advised += 1;
    tryNever(site, loaded.problems, trial, wrong);
  } else {
    count.policies += 1;
    if (loaded.kind === "policy" && excess.length > 0) wrong.add("loads", () => `${excess[0]}: ${textOf(site.files)}`);
    if (loaded.kind === "refused" && excess.length === 0)
      wrong.add("does not load", () => `${loaded.problems[0]?.key}: ${loaded.problems[0]?.message}: ${textOf(site.files)}`);
    if (loaded.kind === "refused") count.refused += 1;
    else tryPolicy(loaded, trial, tally);
  }
}

const triesAtNever = 20;

/** Of what the lint says that it can never match, nobody is found who does. */
function tryNever({ files }: Site, problems: readonly Problem[], { random }: Trial, wrong: Wrong): void {
  const never = problems.filter(
    ({ rule, key, message }) => rule === "never-matches" && !key.includes("any") && message.startsWith("no job"),
  );
  // One alternative may be dead beside others; of several entries, a finding does not say which it means; and whose trust is derived from
  // what, no identity here knows.
  const said = files.filter(
    ({ file, content }) => content["for_each"] === undefined && never.some((problem) => problem.file === file),
  );
  for (const final of finalForms(files).filter(({ file }) => said.some((one) => one.file === file)))
    for (let nth = 0; nth < triesAtNever; nth++) {
      const identity = near(final.whos, random);
      if (final.whos.every((who) => whoHolds(who, identity)))
        wrong.add(
          "matches, and never should",
          () => `${never[0]?.message}: ${JSON.stringify(identity.claims)} of ${textOf(files)}`,
        );
    }
}

type LoadedPolicy = Extract<Loaded, { kind: "policy" }>;

function tryPolicy(loaded: LoadedPolicy, trial: Trial, tally: Tally): void {
  const { random } = trial;
  const finals = finalForms(loaded.files);
  const asks = Array.from({ length: asksPerPolicy }, () => randomAsk(finals, random));
  for (const ask of asks) tryAsk(ask, { loaded, finals }, trial, tally);
  tryOrder(loaded, asks, trial, tally);
  tryNarrowed(loaded, asks, trial, tally);
}

interface Known {
  readonly loaded: LoadedPolicy;
  readonly finals: readonly Final[];
}

function tryAsk(ask: Ask, { loaded, finals }: Known, { subject }: Trial, { wrong, count }: Tally): void {
  const decision = subject.decide(loaded.policy, ask);
  const differs = disagreement(decision, decideByOracle(finals, ask));
  count.decisions += 1;
  if (differs !== undefined)
    wrong.add("not as the oracle", () => `${differs}; asked ${askText(ask)} of ${textOf(loaded.files)}`);
  if (decision.kind === "granted") {
    count.granted += 1;
    const excess = morePrecisely(decision, loaded.files);
    if (excess !== undefined)
      wrong.add("beyond its scope", () => `${excess}; asked ${askText(ask)} of ${textOf(loaded.files)}`);
  }
}

/** Files, keys and lists in another order, and the files under other names: the same is granted, and what is denied is denied for the same reason. */
function tryOrder({ policy, files }: LoadedPolicy, asks: readonly Ask[], { random, subject }: Trial, { wrong }: Tally): void {
  const other = loadSite({ files: files.map((file, nth) => renamed(file, nth, random)) }, subject, random);
  if (other.kind === "refused")
    return wrong.add("order", () => `does not load: ${other.problems[0]?.message}: ${textOf(files)}`);
  for (const ask of asks) {
    const [one, two] = [subject.decide(policy, ask), subject.decide(other.policy, ask)];
    const same =
      one.kind === "granted" && two.kind === "granted"
        ? isDeepStrictEqual(plainGrant(one), plainGrant(two))
        : one.kind === "denied" && two.kind === "denied" && one.code === two.code;
    if (!same) wrong.add("order", () => `${askText(ask)} of ${textOf(files)}`);
  }
}

function renamed({ file, content }: WrittenFile, nth: number, random: Random): WrittenFile {
  const folder = file.slice(0, file.lastIndexOf("/") + 1);
  const kept = content["template"] === undefined;
  return { file: kept ? file : `${folder}${"zyxwvutsr".charAt(nth)}.yaml`, content: mapOf(reordered(content, random)) };
}

/** One condition more. By whatever name it is asked for, nothing is granted that was not granted before. */
function tryNarrowed(loaded: LoadedPolicy, asks: readonly Ask[], { random, subject }: Trial, { wrong, count }: Tally): void {
  const { files, how, about } = narrowedSite(loaded.files, random);
  const narrow = loadSite({ files }, subject, random);
  count.narrowed += 1;
  if (narrow.kind === "refused") return;
  const finals = finalForms(files).filter(({ file }) => about === undefined || file === about);
  const closer = Array.from({ length: asksPerPolicy * 2 }, () => randomAsk(finals, random));
  for (const ask of [...asks, ...closer]) {
    const after = subject.decide(narrow.policy, ask);
    // Without a name, a template that falls away may end an `ambiguous`: what comes out then was there by its name before.
    const before = after.kind === "granted" ? subject.decide(loaded.policy, { ...ask, template: after.template }) : undefined;
    if (after.kind === "granted") count.stillGranted += 1;
    const more = after.kind === "granted" && before !== undefined ? moreThanBefore(after, before) : undefined;
    if (more !== undefined)
      wrong.add("narrower grants more", () => `${how}: ${more}; asked ${askText(ask)} of ${textOf(loaded.files)}`);
  }
}

type SiteDecision = ReturnType<Trial["subject"]["decide"]>;
type SiteGrant = Extract<SiteDecision, { kind: "granted" }>;

/** With conditions alone, what is left is all the same; by bounds, a credential may live shorter. */
function moreThanBefore(after: SiteGrant, before: SiteDecision): string | undefined {
  if (before.kind === "denied") return `granted, and was ${before.code}`;
  const lives = new Map(before.credentials.map(({ name, ttl }) => [name, ttl]));
  if (after.credentials.some(({ name, ttl }) => ttl > (lives.get(name) ?? 0))) return "a longer life";
  const aligned = { ...after, credentials: after.credentials.map((one) => ({ ...one, ttl: lives.get(one.name) ?? 0 })) };
  return isDeepStrictEqual(plainGrant(aligned), plainGrant(before)) ? undefined : "another grant";
}

function askText({ identity, template, step, command, now }: Ask): string {
  const { issuer, trust, claims } = identity;
  return JSON.stringify({ issuer, trust, claims, template, step, command, now: new Date(now).toISOString() });
}

function textOf(files: readonly WrittenFile[]): string {
  return files.map(({ file, content }) => `${file} ${JSON.stringify(content)}`).join(" | ");
}
