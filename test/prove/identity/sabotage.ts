import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from "jose";
import { BrokerError } from "../../../src/errors.ts";
import { identityOf } from "../../../src/identity/believe.ts";
import type { Identity } from "../../../src/identity/identity.ts";
import type { parseToken } from "../../../src/identity/parse.ts";
import { algorithms, type Profile } from "../../../src/identity/profile.ts";
import { matterOf } from "../../../src/identity/rules.ts";
import { createVerifier, type VerifierParts } from "../../../src/identity/verify.ts";
import { Secret } from "../../../src/secret.ts";
import type { MakeVerifier } from "../../identity/bad-tokens/stage.ts";

/** What one sabotage takes out, and which parts of the proof must see it. */
export interface Sabotage {
  readonly makeVerifier: MakeVerifier;
  readonly parts: readonly string[];
}

const tokens = ["handMade", "mutated"];

/** Each is like the real thing but for one guard: with it, the proof must say that it does not hold. */
export const sabotages: Readonly<Record<string, Sabotage>> = {
  "no-audience": {
    parts: tokens,
    makeVerifier: perToken((profile, claims) => ({ ...profile, audience: audienceIn(claims, profile) })),
  },
  "no-lifetime": { parts: tokens, makeVerifier: withProfile((profile) => ({ ...profile, maxLifetime: 1e15, maxAge: 1e15 })) },
  "any-header": { parts: tokens, makeVerifier: withProfile((profile) => ({ ...profile, header: everyHeader })) },
  "any-algorithm": { parts: tokens, makeVerifier: withProfile((profile) => ({ ...profile, algorithms })) },
  "issuer-by-host": {
    parts: tokens,
    makeVerifier: perToken((profile, claims) =>
      sameHost(claims, profile) ? { ...profile, issuer: String(claims["iss"]) } : profile,
    ),
  },
  "everything-protected": {
    parts: [...tokens, "golden"],
    makeVerifier: withProfile((profile) => ({ ...profile, trust: () => "protected" })),
  },
  "lenient-base64": { parts: tokens, makeVerifier: around((token, verify) => verify(respelled(token))) },
  "no-hygiene": { parts: ["handMade"], makeVerifier: joseAlone() },
  "json-parse": { parts: ["mutated", "differential"], makeVerifier: joseAlone() },
  "whole-token-replay-key": {
    parts: ["mutated"],
    makeVerifier: around(async (token, verify) => {
      const identity = await verify(token);
      return { ...identity, token: { ...identity.token, key: token } };
    }),
  },
  "says-why": {
    parts: ["handMade"],
    makeVerifier: around((token, verify) =>
      verify(token).catch((error: unknown) => {
        throw error instanceof BrokerError ? new BrokerError(error.code, error.detail ?? error.message) : error;
      }),
    ),
  },
  "follows-jku": {
    parts: ["handMade"],
    makeVerifier: around(async (token, verify) => {
      const { jku } = headerOf(token);
      if (typeof jku === "string" && jku.startsWith("http:")) await fetch(jku).catch(() => undefined);
      return verify(token);
    }),
  },
  "tries-again": {
    parts: ["cost"],
    makeVerifier: around(async (token, verify) => {
      for (let tries = 0; tries < 4 && token.length < 20_000; tries++) await verify(token).catch(() => undefined);
      return verify(token);
    }),
  },
  "forgets-spent-tokens": { parts: ["againstBrokers"], makeVerifier: createVerifier },
};

const everyHeader = ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "cty", "zip", "b64"];

type Claims = Readonly<Record<string, unknown>>;

function withProfile(change: (profile: Profile) => Profile): MakeVerifier {
  return (parts) => createVerifier({ ...parts, profiles: parts.profiles.map(change) });
}

/** Another profile for each token, made to fit it. */
function perToken(change: (profile: Profile, claims: Claims) => Profile): MakeVerifier {
  return (parts) => ({
    verify: (token, signal) => {
      const claims = claimsOf(token);
      return createVerifier({ ...parts, profiles: parts.profiles.map((profile) => change(profile, claims)) }).verify(
        token,
        signal,
      );
    },
  });
}

function around(change: (token: string, verify: (token: string) => Promise<Identity>) => Promise<Identity>): MakeVerifier {
  return (parts) => {
    const verifier = createVerifier(parts);
    return { verify: (token, signal) => change(textOf(token), (text) => verifier.verify(Secret.of(text), signal)) };
  };
}

/** Whatever a lenient reader would take for the same bytes, in its one right spelling. */
function respelled(token: string): string {
  const segments = token.trim().split(".");
  return segments.map((segment) => Buffer.from(segment, "base64").toString("base64url")).join(".");
}

/** As many brokers do it: jose with a key set, an issuer, an audience and algorithms, and whatever it lets through is believed. */
function joseAlone(): MakeVerifier {
  return ({ profiles, clock }: VerifierParts) => ({
    async verify(token) {
      const text = textOf(token);
      const claims = claimsOf(token);
      const profile = profiles.find(({ issuer }) => issuer === claims["iss"]);
      if (profile?.keys.kind !== "inline") throw new BrokerError("token-issuer");
      const keys = createLocalJWKSet(JSON.parse(profile.keys.text) as Parameters<typeof createLocalJWKSet>[0]);
      const options = {
        issuer: profile.issuer,
        audience: profile.audience,
        algorithms: [...profile.algorithms],
        currentDate: new Date(clock.now()),
      };
      const { payload } = await jwtVerify(text, keys, options).catch(() => {
        throw new BrokerError("token-signature");
      });
      const parsed = {
        header: { alg: "RS256", kid: "", typ: undefined, others: [] },
        claims: payload,
        signingInput: text,
        compact: text,
      };
      return identityOf(matterOf(parsed as unknown as ReturnType<typeof parseToken>, profile));
    },
  });
}

function textOf(token: Secret): string {
  return token.use((bytes) => bytes.toString("latin1"));
}

function claimsOf(token: Secret): Claims {
  try {
    return decodeJwt(textOf(token));
  } catch {
    return {};
  }
}

function headerOf(token: string): { readonly jku?: unknown } {
  try {
    return decodeProtectedHeader(token);
  } catch {
    return {};
  }
}

function audienceIn(claims: Claims, profile: Profile): string {
  const [first] = [claims["aud"]].flat();
  return typeof first === "string" ? first : profile.audience;
}

function sameHost(claims: Claims, { issuer }: Profile): boolean {
  const iss = String(claims["iss"]);
  return URL.canParse(iss) && URL.canParse(issuer) && new URL(iss).host === new URL(issuer).host;
}
