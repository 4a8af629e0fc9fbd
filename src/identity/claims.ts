import { createHash } from "node:crypto";
import { BrokerError } from "../errors.ts";
import { bare } from "./bare.ts";
import type { Claim, Identity } from "./identity.ts";
import { joined } from "./join.ts";
import { isList, isObject, type Json, type JsonObject } from "./json.ts";
import type { ParsedToken } from "./parse.ts";
import type { Claims, Profile } from "./profile.ts";

/**
 * What a token says in the terms of its issuer's profile. Called only once jose has checked its signature, issuer and
 * times; what jose is too lenient about is checked here.
 */
export function identityOf(parsed: ParsedToken, profile: Profile): Identity {
  checkAudience(parsed.claims["aud"], profile);
  const expiresAt = checkedExpiry(parsed.claims, profile);
  const written = unfolded(parsed.claims, profile);
  checkClaims(written, profile);
  const claims = believed(written);
  checkWelcome(claims, profile);
  return {
    issuer: profile.name,
    subject: String(claims["sub"]),
    ...idsOf(claims, profile),
    trust: profile.trust(claims),
    claims,
    token: { key: replayKey(parsed, profile), expiresAt },
  };
}

/** An id that was not sent keeps its place, so that those around it cannot be read as it. */
function idsOf(claims: Claims, profile: Profile): Pick<Identity, "workload" | "job"> {
  const ids = (names: readonly string[]): readonly string[] => names.map((name) => String(claims[name] ?? ""));
  const workload = [profile.name, ...ids(profile.workload)];
  return { workload: joined(workload), job: joined([...workload, ...ids(profile.job), ...ids(profile.jobWhereSent)]) };
}

/** Claims of other shapes (null, objects, mixed lists) cannot be matched on and are left out, which makes them absent. */
function believed(claims: JsonObject): Claims {
  // Nearly every token, and then a copy would be half of what believing costs.
  return areClaims(claims)
    ? claims
    : bare(Object.entries(claims).filter((entry): entry is [string, Claim] => isClaim(entry[1])));
}

function areClaims(claims: JsonObject): claims is Readonly<Record<string, Claim>> {
  return Object.values(claims).every(isClaim);
}

function isClaim(value: Json): value is Claim {
  if (isList(value)) return value.every((item) => typeof item === "string");
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

/** The token's members, and what its profile believes of their inside, under names of their own. */
function unfolded(claims: JsonObject, { nested }: Profile): JsonObject {
  if (nested.length === 0) return claims;
  const taken = nested.find(({ as }) => claims[as] !== undefined);
  // Else a member that is merely called `kubernetes.io/pod/uid` would speak for the one inside.
  if (taken !== undefined) throw lacking(`${taken.as} inside its object only`);
  const inside = nested.flatMap(({ path, as }): [string, Json][] => {
    const value = memberAt(claims, path);
    return value === undefined ? [] : [[as, value]];
  });
  return bare([...Object.entries(claims), ...inside]);
}

/** Null, which no claim is, where something on the way is there but not an object: it must not pass for absent. */
function memberAt(value: Json | undefined, [name, ...rest]: readonly string[]): Json | undefined {
  if (name === undefined || value === undefined) return value;
  return isObject(value) ? memberAt(Object.hasOwn(value, name) ? value[name] : undefined, rest) : null;
}

/** Exactly one: a token that names others too was handed to them, and each could present it here. */
function checkAudience(aud: Json | undefined, profile: Profile): void {
  const only = isList(aud) && aud.length === 1 ? aud[0] : aud;
  if (only !== profile.audience) throw new BrokerError("token-audience", undefined, { detail: "not exactly one audience" });
}

/** When the token stops being valid, by the wall clock. */
function checkedExpiry(claims: JsonObject, profile: Profile): number {
  const { exp, iat, nbf } = claims;
  if (typeof exp !== "number" || typeof iat !== "number") throw lacking("exp and iat");
  const lifetime = (exp - iat) * 1000;
  if (lifetime <= 0 || lifetime > profile.maxLifetime)
    throw new BrokerError("token-lifetime", undefined, { detail: `lives ${lifetime} ms` });
  if (typeof nbf === "number" && nbf > exp) throw lacking("an nbf before exp");
  return exp * 1000;
}

/** By the members as they are written: a claim of a shape that is not believed must not pass for an absent one. */
function checkClaims(claims: JsonObject, profile: Profile): void {
  const { sub } = claims;
  // No CI system writes `*` into a subject; in somebody else's policy it would mean everything.
  if (typeof sub !== "string" || sub.includes("*")) throw lacking("a plain sub");
  const lacked = profile.required.find((name) => !isId(claims[name]));
  if (lacked !== undefined) throw lacking(lacked);
  const unreadable = profile.jobWhereSent.find((name) => claims[name] !== undefined && !isId(claims[name]));
  if (unreadable !== undefined) throw lacking(`${unreadable} as an id`);
  const odd = profile.text.find((name) => claims[name] !== undefined && !isFilled(claims[name]));
  if (odd !== undefined) throw lacking(`${odd} as text`);
}

/** Last, since only a token that is good in every other way is worth a reason. */
function checkWelcome(claims: Claims, profile: Profile): void {
  const why = profile.refuses(claims);
  if (why !== undefined) throw new BrokerError("token-claim", undefined, { detail: why });
}

function isId(value: Json | undefined): boolean {
  return isFilled(value) || typeof value === "number";
}

function isFilled(value: Json | undefined): boolean {
  return typeof value === "string" && value !== "";
}

/** Names the claim for the operator, never its value. */
function lacking(what: string): BrokerError {
  return new BrokerError("token-claim", undefined, { detail: `lacks ${what}` });
}

/**
 * Which token this was. Without a jti it is a digest of the signing input: an ECDSA signature has a twin (r, n - s), so the
 * whole token has two spellings. The issuer is part of it, since a jti is unique only for its issuer.
 */
function replayKey(parsed: ParsedToken, profile: Profile): string {
  if (profile.jti === "absent") return joined(["sha256", createHash("sha256").update(parsed.signingInput).digest("hex")]);
  const { jti } = parsed.claims;
  if (typeof jti !== "string" || jti.length > 256) throw lacking("a jti of at most 256 characters");
  return joined(["jti", profile.issuer, jti]);
}
