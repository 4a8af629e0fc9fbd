import { bare } from "../../../src/identity/bare.ts";
import type { Claim, Identity, Trust } from "../../../src/identity/identity.ts";
import { pick, type Random } from "../identity/chance.ts";
import { chance } from "./chance.ts";
import { misspellings } from "./misspelled.ts";
import { vocabulary } from "./who-made.ts";
import { listOf, mapOf, type Plain, type Written } from "./written.ts";

/** An identity as a verifier would hand it over; what is not said is that of an ordinary job. */
export function identityWith(claims: Readonly<Record<string, Claim>>, changes: Partial<Identity> = {}): Identity {
  return {
    issuer: "ci",
    subject: "repo:octo/shop",
    workload: "ci:519283746",
    job: "ci:519283746:77",
    trust: "protected",
    claims: bare(Object.entries(claims)),
    token: { key: "jti:ci:1", expiresAt: 1_900_000_000_000 },
    ...changes,
  };
}

const trusts = ["protected", "branch", "pull_request", "fork", "unknown"] as const satisfies readonly Trust[];

/** One that all of these lines could have been written for, or one that differs from it in a claim or two. */
export function near(whos: readonly Written[], random: Random): Identity {
  const claims = new Map<string, Claim>();
  const told = { issuer: pick(random, ["ci", "mesh"]), trust: pick<Trust>(random, trusts) };
  for (const who of whos) fit(who, { claims, told, random });
  for (let times = pick(random, [0, 0, 0, 1, 1, 2]); times > 0; times--) disturb(claims, told, random);
  return identityWith(Object.fromEntries(claims), told);
}

interface Fitting {
  readonly claims: Map<string, Claim>;
  readonly told: { issuer: string; trust: Trust };
  readonly random: Random;
}

/** Line by line, so that a later one may spoil what an earlier one asked for: such policies exist too. */
function fit(who: Written, fitting: Fitting): void {
  const { claims, told, random } = fitting;
  for (const [key, value] of Object.entries(who)) {
    if (key === "absent") for (const claim of listOf(value)) claims.delete(String(claim));
    else if (key === "any") fit(mapOf(pick(random, listOf(value))), fitting);
    else if (key === "not") for (const claim of Object.keys(mapOf(value))) avoid(claim, claims, random);
    else if (key === "issuer") told.issuer = String(pick(random, listOf(value)));
    else if (key === "trust") told.trust = trusts.find((trust) => trust === pick(random, listOf(value))) ?? "unknown";
    else claims.set(key, fillingOf(pick(random, listOf(value)), random));
  }
}

function avoid(claim: string, claims: Map<string, Claim>, random: Random): void {
  if (chance(random, 0.3)) return;
  const known = vocabulary.get(claim);
  if (known !== undefined && !claims.has(claim)) claims.set(claim, pick(random, known.values));
}

function fillingOf(value: Plain, random: Random): Claim {
  if (typeof value === "boolean") return value;
  if (typeof value !== "string") return "";
  const text = value
    .replace(/\*\*$/, pick(random, ["x", "1/hotfix", "a/b:c", "", "../x"]))
    .replaceAll("*", () => pick(random, ["1", "x-y", "main", "", "a.b", "a/b", ".."]));
  const digits = /^[1-9][0-9]{0,14}$/.test(text) && chance(random, 0.15);
  if (digits) return Number(text);
  return chance(random, 0.1) ? [pick(random, ["x", "", "other"]), text] : text;
}

function disturb(claims: Map<string, Claim>, told: Fitting["told"], random: Random): void {
  if (chance(random, 0.1)) told.trust = pick<Trust>(random, trusts);
  if (chance(random, 0.05)) told.issuer = pick(random, ["ci", "mesh", "CI", ""]);
  const known = [...vocabulary.keys()];
  const claim = pick(random, chance(random, 0.7) && claims.size > 0 ? [...claims.keys()] : known);
  const other = otherThan(claim, claims.get(claim), random);
  if (other === undefined) claims.delete(claim);
  else claims.set(claim, other);
}

/** Undefined: it is not there any more. */
function otherThan(claim: string, value: Claim | undefined, random: Random): Claim | undefined {
  switch (pick(random, ["drop", "misspell", "other", "shape"] as const)) {
    case "drop":
      return undefined;
    case "misspell":
      return pick(random, ["", ...misspellings(String(value ?? "x"))]);
    case "shape":
      return shaped(value, random);
    case "other":
      return pick(random, vocabulary.get(claim)?.values ?? ["other"]);
  }
}

function shaped(value: Claim | undefined, random: Random): Claim {
  const text = String(value ?? "");
  return pick<Claim>(random, [[], [text], [text, ""], true, false, 0, text === "true", [`${text}/`], Number(text) || 7]);
}
