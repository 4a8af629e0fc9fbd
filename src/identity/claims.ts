import { createHash } from "node:crypto";
import { BrokerError } from "../errors.ts";
import { bare } from "./bare.ts";
import type { Claim, Identity } from "./identity.ts";
import { joined } from "./join.ts";
import { isList, type Json, type JsonObject } from "./json.ts";
import type { ParsedToken } from "./parse.ts";
import type { Profile } from "./profile.ts";

/**
 * What a token says in the terms of its issuer's profile. Called only once jose has checked its signature, issuer and
 * times; what jose is too lenient about is checked here.
 */
export function identityOf(parsed: ParsedToken, profile: Profile): Identity {
  const claims = believed(parsed.claims);
  checkAudience(parsed.claims["aud"], profile);
  const expiresAt = checkedExpiry(parsed.claims, profile);
  checkClaims(parsed.claims, profile);
  const ids = (names: readonly string[]): readonly string[] => names.map((name) => String(claims[name]));
  return {
    issuer: profile.name,
    subject: String(claims["sub"]),
    workload: joined([profile.name, ...ids(profile.workload)]),
    job: joined([profile.name, ...ids(profile.workload), ...ids(profile.job)]),
    trust: profile.trust(claims),
    claims,
    token: { key: replayKey(parsed, profile), expiresAt },
  };
}

/** Claims of other shapes (null, objects, mixed lists) cannot be matched on and are left out, which makes them absent. */
function believed(claims: JsonObject): Readonly<Record<string, Claim>> {
  return bare(Object.entries(claims).filter((entry): entry is [string, Claim] => isClaim(entry[1])));
}

function isClaim(value: Json): value is Claim {
  if (isList(value)) return value.every((item) => typeof item === "string");
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
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

/** By the token's own members: a claim of a shape that is not believed must not pass for an absent one. */
function checkClaims(claims: JsonObject, profile: Profile): void {
  const { sub } = claims;
  // No CI system writes `*` into a subject; in somebody else's policy it would mean everything.
  if (typeof sub !== "string" || sub.includes("*")) throw lacking("a plain sub");
  const lacked = profile.required.find((name) => !isFilled(claims[name]) && typeof claims[name] !== "number");
  if (lacked !== undefined) throw lacking(lacked);
  const odd = profile.text.find((name) => claims[name] !== undefined && !isFilled(claims[name]));
  if (odd !== undefined) throw lacking(`${odd} as text`);
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
