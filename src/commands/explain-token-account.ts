import type { Check, Examination } from "../identity/examine.ts";
import type { Identity } from "../identity/identity.ts";
import { isList, type Json } from "../identity/json.ts";
import type { ParsedToken } from "../identity/parse.ts";
import { presets } from "../identity/presets/presets.ts";
import type { Profile } from "../identity/profile.ts";
import { trustClaims } from "../identity/trust-claims.ts";
import { explained } from "../policy/explain.ts";
import type { TemplateTrace } from "../policy/grant.ts";
import type { Given } from "./explain-given.ts";
import { aboutCheck } from "./explain-token-check.ts";

export interface About {
  readonly seen: Examination;
  readonly given: Given | undefined;
  /** Why no template was tried; undefined where templates were. */
  readonly untried: string | undefined;
  readonly offline: boolean;
}

export interface Account {
  readonly verdict: "accepted" | "refused" | "not verified";
  readonly code: string | null;
  readonly message: string | null;
  readonly checks: readonly CheckAccount[];
  readonly identity: Believed | null;
  readonly leftOut: readonly { readonly claim: string; readonly why: string }[];
  readonly untried: string | null;
  readonly decisions: readonly unknown[];
  readonly templates: readonly TemplateTrace[];
}

export interface CheckAccount extends Check {
  readonly about: string;
}

export interface Believed {
  readonly issuer: string;
  readonly subject: string;
  readonly workload: { readonly id: string; readonly from: readonly string[] };
  readonly job: { readonly id: string; readonly from: readonly string[] };
  readonly trust: { readonly is: string; readonly from: readonly string[] };
  /** What the ledger keeps of a spent token; null where it cannot be told. */
  readonly replayKey: string | null;
  readonly claims: readonly { readonly claim: string; readonly value: unknown; readonly use: Use }[];
}

/** `id`: the workload or the job is made of it, or a template may name whose job it is by it. `trust`: trust is derived from it. `label`: neither; a template may match on it all the same. */
type Use = "id" | "trust" | "label";

/** Plain data. Of the token itself there is only what it says: neither its text nor its signature. */
export function accountOf({ seen, given, untried, offline }: About): Account {
  const { checks, refusal } = seen;
  const { decisions = [], traces = [] } = given ?? {};
  return {
    ...verdictOf(refusal, offline),
    checks: checks.map((check) => ({ ...check, about: aboutCheck(check, seen) })),
    ...beliefIn(seen),
    untried: untried ?? null,
    decisions: decisions.map(explained),
    templates: traces,
  };
}

function verdictOf(refusal: Examination["refusal"], offline: boolean): Pick<Account, "verdict" | "code" | "message"> {
  if (refusal !== undefined) return { verdict: "refused", code: refusal.code, message: refusal.message };
  return { verdict: offline ? "not verified" : "accepted", code: null, message: null };
}

function beliefIn({ checks, parsed, profile, identity }: Examination): Pick<Account, "identity" | "leftOut"> {
  if (parsed === undefined || profile === undefined || identity === undefined) return { identity: null, leftOut: [] };
  return { identity: believedOf(profile, identity, checks), leftOut: leftOutOf(parsed, identity) };
}

function believedOf(profile: Profile, identity: Identity, checks: readonly Check[]): Believed {
  const { issuer, subject, workload, job, trust, claims, token } = identity;
  const there = (names: readonly string[]) => names.filter((name) => Object.hasOwn(claims, name));
  const jobIds = there([...profile.job, ...profile.jobWhereSent]);
  const trustFrom = trustClaims(profile, identity);
  const uses: readonly (readonly [Use, readonly string[]])[] = [
    ["id", [...profile.workload, ...jobIds, ...identifyingOf(profile)]],
    ["trust", trustFrom],
  ];
  const failed = checks.some(({ check, state }) => check === "claims" && state !== "held");
  return {
    issuer,
    subject,
    workload: { id: workload, from: profile.workload },
    job: { id: job, from: jobIds },
    trust: { is: trust, from: trustFrom },
    replayKey: failed ? null : token.key,
    claims: Object.entries(claims).map(([claim, value]) => ({
      claim,
      value,
      use: uses.find(([, names]) => names.includes(claim))?.[0] ?? "label",
    })),
  };
}

/** What only one owner's tokens say, by which a template may name whose job it is. */
function identifyingOf({ preset }: Profile): readonly string[] {
  return Object.entries(presets).find(([name]) => name === preset)?.[1].identifying ?? [];
}

function leftOutOf({ claims }: ParsedToken, identity: Identity): Account["leftOut"] {
  return Object.entries(claims)
    .filter(([claim]) => !Object.hasOwn(identity.claims, claim))
    .map(([claim, value]) => ({ claim, why: `${shapeOf(value)}, which no template can match on` }));
}

function shapeOf(value: Json): string {
  if (value === null) return "null";
  return isList(value) ? "a list that is not all text" : "an object";
}
