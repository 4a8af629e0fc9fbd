import { BrokerError } from "../errors.ts";
import { type ReadClaims, readClaims } from "./claims.ts";
import { isList, type Json } from "./json.ts";
import type { ParsedToken } from "./parse.ts";
import type { Profile } from "./profile.ts";
import { namesItsToken } from "./replay-key.ts";
import { checkTimes } from "./times.ts";

/** What the rules are asked about: a token as it is read by the profile of the issuer that it names. */
export interface Matter extends ReadClaims {
  readonly token: ParsedToken;
  readonly profile: Profile;
}

/** What a token must be besides signed. */
export interface Rule {
  readonly name: "audience" | "times" | "claims";
  /** Throws the `BrokerError` that the token is refused with. */
  check(matter: Matter, now: Date): void;
}

/**
 * In the order in which the verifier asks. None needs another to have held, so that an operator can be shown all that is wrong with a
 * token (`examine.ts`). jose checks none of this: it is asked about the signature alone.
 */
export const rules: readonly Rule[] = [
  { name: "audience", check: checkAudience },
  { name: "times", check: ({ token, profile }, now) => checkTimes(token.claims, profile, now) },
  { name: "claims", check: checkClaims },
];

export function matterOf(token: ParsedToken, profile: Profile): Matter {
  return { token, profile, ...readClaims(token.claims, profile) };
}

/** Exactly one: a token that names others too was handed to them, and each could present it here. */
function checkAudience({ token, profile }: Matter): void {
  const { aud } = token.claims;
  const named = isList(aud) ? aud : [aud];
  const [only, second] = named;
  if (second === undefined && only === profile.audience) return;
  throw new BrokerError("token-audience", undefined, { detail: second === undefined ? anothers(only) : severals });
}

const severals = "it has several audiences, and each of them could present it here: ask for one with the broker's alone";

/** Never whose it ought to be. */
function anothers(only: Json | undefined): string {
  return only === undefined
    ? "it has no audience"
    : "its one audience is another than `audience` of its issuer in mayfly.yaml: where the job asks for its token, ask for that one";
}

function checkClaims(matter: Matter): void {
  const lacked = whatLacks(matter);
  // What the profile refuses comes last, since only a token that is good in every other way is worth a reason.
  const flaw = lacked === undefined ? matter.profile.refuses(matter.claims) : `lacks ${lacked}`;
  if (flaw !== undefined) throw new BrokerError("token-claim", undefined, { detail: flaw });
}

/**
 * By the members as they are written: a claim of a shape that is not believed must not pass for an absent one. Names the claim for the
 * operator, never its value.
 */
function whatLacks({ token, profile, written }: Matter): string | undefined {
  // Else a member that is merely called `kubernetes.io/pod/uid` would speak for the one inside.
  const taken = profile.nested.find(({ as }) => token.claims[as] !== undefined);
  if (taken !== undefined) return `${taken.as} inside its object only`;
  const { sub, jti } = token.claims;
  // No CI system writes `*` into a subject; in somebody else's policy it would mean everything.
  if (typeof sub !== "string" || sub.includes("*")) return "a plain sub";
  if (profile.jti === "required" && !namesItsToken(jti)) return "a jti of at most 256 characters";
  return whatLacksOf(written, profile);
}

function whatLacksOf(written: Matter["written"], { required, jobWhereSent, text }: Profile): string | undefined {
  const isOdd = (fits: (value: Json | undefined) => boolean) => (name: string) =>
    written[name] !== undefined && !fits(written[name]);
  const missing = required.find((name) => !isId(written[name]));
  if (missing !== undefined) return missing;
  const unreadable = jobWhereSent.find(isOdd(isId));
  if (unreadable !== undefined) return `${unreadable} as an id`;
  const odd = text.find(isOdd(isFilled));
  return odd === undefined ? undefined : `${odd} as text`;
}

/** No id is a fraction, and readers differ in how they write one. */
function isId(value: Json | undefined): boolean {
  return isFilled(value) || Number.isInteger(value);
}

function isFilled(value: Json | undefined): boolean {
  return typeof value === "string" && value !== "";
}
