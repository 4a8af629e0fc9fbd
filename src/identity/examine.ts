import { BrokerError, type Code } from "../errors.ts";
import type { Secret } from "../secret.ts";
import { bare } from "./bare.ts";
import { identityOf } from "./claims.ts";
import type { Identity } from "./identity.ts";
import { type ParsedToken, parseToken } from "./parse.ts";
import type { Profile } from "./profile.ts";
import { checkTimes } from "./times.ts";
import { checkHeader, checkSigned, type Gate, gateFor, type Moment, verified } from "./verify.ts";

/** One rule of the verifier's, and what became of it. */
export interface Check {
  readonly check: "form" | "issuer" | "header" | "keys" | "signature" | "audience" | "times" | "claims";
  /** `unchecked`: an earlier one failed that this one needs, or it was not to be asked. */
  readonly state: "held" | "failed" | "unchecked";
  readonly code: Code | undefined;
  /** For the operator, as a `BrokerError`'s detail is. */
  readonly why: string | undefined;
}

export interface Examination {
  readonly checks: readonly Check[];
  /** Why the verifier refuses the token; undefined where it accepts it, or would if its signature were good (`offline`). */
  readonly refusal: BrokerError | undefined;
  readonly parsed: ParsedToken | undefined;
  readonly profile: Profile | undefined;
  /** What is believed, or would be if the failed checks had held. */
  readonly identity: Identity | undefined;
}

/** `offline`: no keys are read, so the signature is not checked. */
export interface Examining extends Moment {
  readonly offline: boolean;
}

/**
 * What the verifier makes of a token, rule by rule. Its own functions are asked, each also past a rule that failed; whether the
 * token is accepted is the word of the verifier as a whole. Nothing is spent, and nothing is recorded.
 */
export async function examine(token: Secret, gates: readonly Gate[], at: Examining): Promise<Examination> {
  const [form, parsed] = tried("form", () => parseToken(token));
  if (parsed === undefined) return ended([form], { refusal: form.error });
  const [issuer, gate] = tried("issuer", () => gateFor(parsed, gates));
  if (gate === undefined) return ended([form, issuer], { parsed, refusal: issuer.error });
  const [header] = tried("header", () => checkHeader(parsed, gate.profile));
  const proven = header.error === undefined && !at.offline ? await proofOf(parsed, gate, at) : unproven;
  const rules = rulesOf(parsed, gate, at.now);
  const checks = [form, issuer, header, ...proven, ...rules.checks];
  const offlineRefusal = checks.find(({ error }) => error !== undefined)?.error;
  return ended(checks, {
    parsed,
    profile: gate.profile,
    identity: rules.identity,
    refusal: at.offline ? offlineRefusal : await refusalOf(verified(token, gates, at)),
  });
}

type Tried = Pick<Check, "check"> & { readonly error: BrokerError | undefined; readonly skipped?: true };

function tried<T>(check: Check["check"], work: () => T): [Tried, T | undefined] {
  try {
    return [{ check, error: undefined }, work()];
  } catch (error) {
    return [{ check, error: known(error) }, undefined];
  }
}

function known(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  throw error;
}

async function refusalOf(work: Promise<unknown>): Promise<BrokerError | undefined> {
  return work.then(
    () => undefined,
    (error: unknown) => known(error),
  );
}

const unproven: readonly Tried[] = [
  { check: "keys", error: undefined, skipped: true },
  { check: "signature", error: undefined, skipped: true },
];

async function proofOf(parsed: ParsedToken, gate: Gate, at: Moment): Promise<readonly Tried[]> {
  const keys = await refusalOf(Promise.resolve().then(() => gate.keys.find(parsed.header, at.signal)));
  if (keys !== undefined)
    return [
      { check: "keys", error: keys },
      { check: "signature", error: undefined, skipped: true },
    ];
  return [
    { check: "keys", error: undefined },
    { check: "signature", error: await refusalOf(checkSigned(parsed, gate, at.signal)) },
  ];
}

const ruleOf: Readonly<Partial<Record<Code, "audience" | "times" | "claims">>> = {
  "token-audience": "audience",
  "token-expired": "times",
  "token-not-yet-valid": "times",
  "token-lifetime": "times",
  "token-claim": "claims",
};

/** What the rules over claims are asked about. */
interface Matter {
  readonly parsed: ParsedToken;
  readonly profile: Profile;
  readonly now: Date;
}

/** A rule that fails is noted, and put right in a copy, so that the next ones can be seen. */
function rulesOf(
  parsed: ParsedToken,
  { profile }: Gate,
  now: Date,
): { readonly checks: readonly Tried[]; readonly identity: Identity | undefined } {
  const failed = new Map<Code, BrokerError>();
  const identity = identityPast({ parsed, profile, now }, failed);
  const checks = (["audience", "times", "claims"] as const).map((check): Tried => {
    const error = [...failed].find(([code]) => ruleOf[code] === check)?.[1];
    // Without an end, what did not fail may not have been reached.
    return error === undefined && identity === undefined ? { check, error, skipped: true } : { check, error };
  });
  return { checks, identity };
}

/** One code fails once: what is still wrong after it was put right cannot be. */
function identityPast(matter: Matter, failed: Map<Code, BrokerError>): Identity | undefined {
  const [{ error }, identity] = tried("claims", () => identityAt(matter));
  if (error === undefined || failed.has(error.code)) return identity;
  failed.set(error.code, error);
  const next = putRight(matter, error.code);
  return next === undefined ? undefined : identityPast(next, failed);
}

function identityAt({ parsed, profile, now }: Matter): Identity {
  checkTimes(parsed.claims, profile, now);
  return identityOf(parsed, profile);
}

function putRight(matter: Matter, code: Code): Matter | undefined {
  const rule = ruleOf[code];
  if (rule === undefined) return undefined;
  switch (rule) {
    case "audience":
      return { ...matter, ...withAudience(matter) };
    case "times":
      return code === "token-lifetime" ? { ...matter, ...withoutAge(matter) } : { ...matter, now: validMoment(matter, code) };
    case "claims":
      return { ...matter, ...withoutDemands(matter) };
  }
}

function withAudience({ parsed, profile }: Matter): Pick<Matter, "parsed"> {
  const claims = bare([...Object.entries(parsed.claims), ["aud", profile.audience] as const]);
  return { parsed: { ...parsed, claims } };
}

function withoutAge({ profile }: Matter): Pick<Matter, "profile"> {
  return { profile: { ...profile, maxAge: Number.POSITIVE_INFINITY, maxLifetime: Number.POSITIVE_INFINITY } };
}

function withoutDemands({ profile }: Matter): Pick<Matter, "profile"> {
  const undemanding = { required: [], text: [], jti: "absent", refuses: () => undefined } as const;
  return { profile: { ...profile, ...undemanding } };
}

/** The last one before it expires, or the first one. */
function validMoment({ parsed: { claims } }: Matter, code: Code): Date {
  const seconds = (names: readonly string[]) =>
    names.map((name) => claims[name]).filter((second) => typeof second === "number");
  const second = code === "token-expired" ? Math.min(...seconds(["exp"])) - 1 : Math.max(...seconds(["iat", "nbf"]));
  return new Date(second * 1000);
}

function ended(checks: readonly Tried[], rest: Partial<Omit<Examination, "checks">>): Examination {
  const { refusal: why, parsed, profile, identity } = rest;
  return {
    checks: checks.map(({ check, error, skipped }) => ({
      check,
      state: skipped === true ? "unchecked" : error === undefined ? "held" : "failed",
      code: error?.code,
      why: error?.detail,
    })),
    refusal: why,
    parsed,
    profile,
    identity,
  };
}

/** The claims from which the profile derives trust, as it reads them from these; a claim that it asked for may be absent. */
export function trustClaims({ trust }: Profile, { claims }: Identity): readonly string[] {
  const asked = new Set<string>();
  const note = (name: string | symbol): void => {
    if (typeof name === "string") asked.add(name);
  };
  trust(
    new Proxy(claims, {
      get(target, name) {
        note(name);
        return typeof name === "string" ? target[name] : undefined;
      },
      has(target, name) {
        note(name);
        return name in target;
      },
      getOwnPropertyDescriptor(target, name) {
        note(name);
        return Object.getOwnPropertyDescriptor(target, name);
      },
    }),
  );
  return [...asked];
}
