import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { calculateJwkThumbprint, exportJWK, type JWK, SignJWT } from "jose";
import { loadOrCreate, unfit } from "../key-file.ts";
import { Secret } from "../secret.ts";
import type { Clock, Instant } from "../time.ts";

export type Algorithm = "RS256" | "ES256";

export interface Claims {
  readonly sub: string;
  readonly aud: string;
  readonly [claim: string]: unknown;
}

/** One issuer: its URL, its key, and what others need to check what it signs. */
export interface Signer {
  readonly issuer: string;
  readonly publicKey: { readonly pem: string; readonly jwk: JWK };
  /** Adds `iss` and `iat`, and `jti` where the claims bring none. */
  sign(claims: Claims, expiresAt: Instant): Promise<Secret>;
}

export interface SignerOpening {
  readonly path: string;
  readonly issuer: string;
  readonly algorithm: Algorithm;
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
}

/** The key comes from its PEM file and is made on the first start; refuses with `config-invalid` a file that holds another kind. */
export async function openSigner({ path, issuer, algorithm, clock, random }: SignerOpening): Promise<Signer> {
  const key = parse(path, await loadOrCreate(path, () => Promise.resolve(generate(algorithm))), algorithm);
  const publicKey = createPublicKey(key);
  const jwk = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint(jwk);
  return {
    issuer,
    publicKey: {
      pem: publicKey.export({ type: "spki", format: "pem" }).toString(),
      jwk: { ...jwk, kid, alg: algorithm, use: "sig" },
    },
    async sign(claims, expiresAt) {
      const whole = {
        jti: random(16).toString("hex"),
        ...claims,
        iss: issuer,
        iat: seconds(clock.now()),
        exp: seconds(expiresAt),
      };
      return Secret.of(await new SignJWT(whole).setProtectedHeader({ alg: algorithm, kid, typ: "JWT" }).sign(key));
    },
  };
}

function generate(algorithm: Algorithm): string {
  const pair =
    algorithm === "RS256"
      ? generateKeyPairSync("rsa", { modulusLength: 3072 })
      : generateKeyPairSync("ec", { namedCurve: "P-256" });
  return pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

function parse(path: string, pem: string, algorithm: Algorithm): KeyObject {
  const key = privateKey(pem);
  if (key?.asymmetricKeyType !== (algorithm === "RS256" ? "rsa" : "ec"))
    throw unfit(path, `does not hold a private key for ${algorithm} in PEM`);
  return key;
}

/** No cause is kept: OpenSSL's complaints may quote what they read. */
function privateKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

/** NumericDate (RFC 7519 section 2), rounded down: never a longer life than was asked. */
function seconds(instant: Instant): number {
  return Math.floor(instant / 1_000);
}
