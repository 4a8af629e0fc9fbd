import { BrokerError, type Code } from "../errors.ts";
import type { Secret } from "../secret.ts";
import { identityOf } from "./believe.ts";
import type { Identity } from "./identity.ts";
import { type ParsedToken, parseToken } from "./parse.ts";
import type { Profile } from "./profile.ts";
import { type Matter, matterOf, type Rule, rules } from "./rules.ts";
import { checkHeader, checkSigned, type Gate, gateFor, keyFor, type Moment } from "./verify.ts";

/** One rule of the verifier's, and what became of it. */
export interface Check {
  readonly check: "form" | "issuer" | "header" | "keys" | "signature" | Rule["name"];
  /** `unchecked`: an earlier one failed that this one needs, or it was not to be asked. */
  readonly state: "held" | "failed" | "unchecked";
  readonly code: Code | undefined;
  /** For the operator, as a `BrokerError`'s detail is. */
  readonly why: string | undefined;
}

export interface Examination {
  /** In the verifier's order. */
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
 * What the verifier makes of a token, rule by rule: the functions and the list that the verifier itself goes through, but on past one
 * that failed. The first that failed is the verifier's word. Nothing is spent, and nothing is recorded.
 */
export async function examine(token: Secret, gates: readonly Gate[], at: Examining): Promise<Examination> {
  const [form, parsed] = tried("form", () => parseToken(token));
  if (parsed === undefined) return ended([form]);
  const [issuer, gate] = tried("issuer", () => gateFor(parsed, gates));
  if (gate === undefined) return ended([form, issuer], { parsed });
  const [header] = tried("header", () => checkHeader(parsed, gate.profile));
  const matter = matterOf(parsed, gate.profile);
  const proof = header.error === undefined && !at.offline ? await proofOf(parsed, gate, at) : unproven;
  const judged = rules.map(({ name, check }) => tried(name, () => check(matter, at.now))[0]);
  return ended([form, issuer, header, ...proof, ...judged], { parsed, profile: gate.profile, identity: believable(matter) });
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

const unproven: readonly Tried[] = [
  { check: "keys", error: undefined, skipped: true },
  { check: "signature", error: undefined, skipped: true },
];

async function proofOf(parsed: ParsedToken, gate: Gate, at: Moment): Promise<readonly Tried[]> {
  const [keys, found] = await outcome("keys", async () => keyFor(parsed, gate, at));
  if (found === undefined) return [keys, { check: "signature", error: undefined, skipped: true }];
  return [keys, (await outcome("signature", () => checkSigned(parsed, found, gate)))[0]];
}

async function outcome<T>(check: Check["check"], work: () => Promise<T>): Promise<[Tried, T | undefined]> {
  return work().then(
    (value): [Tried, T] => [{ check, error: undefined }, value],
    (error: unknown): [Tried, undefined] => [{ check, error: known(error) }, undefined],
  );
}

/** Of a token that names nobody, or that never ends, nothing can be told. */
function believable(matter: Matter): Identity | undefined {
  const { sub, exp } = matter.token.claims;
  return typeof sub === "string" && typeof exp === "number" ? identityOf(matter) : undefined;
}

function ended(
  checks: readonly Tried[],
  { parsed, profile, identity }: Partial<Pick<Examination, "parsed" | "profile" | "identity">> = {},
): Examination {
  return {
    checks: checks.map(({ check, error, skipped }) => ({
      check,
      state: skipped === true ? "unchecked" : error === undefined ? "held" : "failed",
      code: error?.code,
      why: error?.detail,
    })),
    refusal: checks.find(({ error }) => error !== undefined)?.error,
    parsed,
    profile,
    identity,
  };
}
