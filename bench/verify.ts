import { generateKeyPairSync } from "node:crypto";
import { type CryptoKey, createLocalJWKSet, importJWK, type JWK, type JWTVerifyGetKey, jwtVerify } from "jose";
import { compileProfiles, issuersSchema } from "../src/identity/issuers/issuers.ts";
import { noHistory } from "../src/identity/keys/key-history.ts";
import { createVerifier } from "../src/identity/verify.ts";
import { Secret } from "../src/secret.ts";
import { systemClock } from "../src/time.ts";
import { signedBy } from "../test/identity/bad-tokens/makers.ts";
import { audience, ecKey, githubClaims, headerOf, rsaKey, type TestKey } from "../test/identity/issuer.ts";
import type { Contender, Race } from "./bench.ts";

const issuer = "https://token.actions.githubusercontent.com";
/** Tokens of one turn; each is verified once, as a broker does. */
const amount = 2_000;

/**
 * Ours, everything that a broker believes before it decides, against jose alone, told the issuer, the audience and the algorithm, with the
 * key imported before and with a key set in which it is looked for.
 */
export async function bench(): Promise<readonly Race[]> {
  const keys = [rsaKey("bench"), ecKey("bench"), edwardsKey("bench")];
  return Promise.all(keys.map(raceOf));
}

async function raceOf(key: TestKey): Promise<Race> {
  const now = Math.floor(systemClock.now() / 1000);
  const times = { iat: now, nbf: now - 600, exp: now + 900 };
  const tokens = Array.from({ length: amount }, () => signedBy(key, headerOf(key), githubClaims(issuer, times)));
  const jwk: JWK = { ...key.jwk };
  const imported = await importJWK(jwk, key.alg);
  if (imported instanceof Uint8Array) throw new Error("a symmetric key");
  return {
    name: `verify, ${key.alg}`,
    boundary: `GitHub's sample token (${tokens[0]?.length} characters), from its text to whom we believe; one thread, CPU time`,
    contenders: [
      ours(tokens, key),
      jose("raw jose, its key imported before", tokens, key.alg, imported),
      jose("raw jose, with a local key set", tokens, key.alg, createLocalJWKSet({ keys: [jwk] })),
    ],
  };
}

function ours(tokens: readonly string[], { jwk, alg }: TestKey): Contender {
  const config = issuersSchema.parse({ github: { preset: "github", audience, algorithms: [alg], jwks: { keys: [jwk] } } });
  const verifier = createVerifier({
    profiles: compileProfiles(config, () => ""),
    fetch: () => Promise.reject(new Error("no network")),
    readFile: () => Promise.reject(new Error("no file")),
    history: noHistory,
    clock: systemClock,
  });
  const { signal } = new AbortController();
  return {
    name: "ours: parsed strictly, verified by jose, its claims believed",
    run: async () => {
      for (const token of tokens) await verifier.verify(Secret.of(token), signal);
      return tokens.length;
    },
  };
}

function jose(name: string, tokens: readonly string[], alg: string, key: CryptoKey | JWTVerifyGetKey): Contender {
  const options = { algorithms: [alg], issuer, audience };
  const getKey: JWTVerifyGetKey = typeof key === "function" ? key : () => key;
  return {
    name,
    run: async () => {
      for (const token of tokens) await jwtVerify(token, getKey, options);
      return tokens.length;
    },
  };
}

function edwardsKey(kid: string): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return { kid, alg: "EdDSA", privateKey, jwk: { ...publicKey.export({ format: "jwk" }), kid, alg: "EdDSA", use: "sig" } };
}
