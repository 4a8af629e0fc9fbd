import { createHmac, createPrivateKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { audience, ecKey, githubClaims, headerOf, part, rsaKey, seconds, type TestKey } from "../issuer.ts";

/** The issuers of the stage; none of them is ever asked for anything, their keys are written in its configuration. */
export const issuers = {
  github: "https://token.actions.githubusercontent.com",
  /** A GitHub Enterprise Server whose key has the same kid. */
  enterprise: "https://ghes.example/_services/token",
  /** Access tokens (RFC 9068) signed with ES256, as a system that is described by hand has them; no jti. */
  generic: "https://generic.example/ci",
  /** Any algorithm, and among its keys every one that must not be used. */
  poisoned: "https://poisoned.example",
  /** Two that serve one key set. */
  shared: "https://shared.example",
  sharing: "https://sharing.example",
} as const;

/** What every issuer of the stage has; the enterprise's has the kid of GitHub's. */
export const keys = {
  github: rsaKey("k1"),
  /** Served without `alg`, as many issuers do: the profile alone says what it may sign with. */
  plain: rsaKey("plain"),
  encryption: rsaKey("enc"),
  enterprise: rsaKey("k1"),
  generic: ecKey("e1"),
  shared: rsaKey("s1"),
  attacker: rsaKey("k1"),
} as const;

export type Changes = Readonly<Record<string, unknown>>;

export const without = (name: string): Changes => ({ [name]: undefined });

/** Signed as the key's algorithm says, whatever the parts say: what refuses such a token is the rule under test. */
export function signedBy(key: Pick<TestKey, "alg" | "privateKey">, header: unknown, payload: unknown): string {
  const input = `${part(header)}.${payload instanceof Uint8Array ? Buffer.from(payload).toString("base64url") : part(payload)}`;
  return `${input}.${signatureBy(key, input).toString("base64url")}`;
}

export function signatureBy({ alg, privateKey }: Pick<TestKey, "alg" | "privateKey">, input: string): Buffer {
  const hash = alg === "EdDSA" ? null : `sha${alg.slice(2)}`;
  const key = alg.startsWith("ES") ? { key: privateKey, dsaEncoding: "ieee-p1363" as const } : privateKey;
  return sign(hash, Buffer.from(input), key);
}

/** GitHub's own sample, changed. */
export function githubToken(claims: Changes = {}, header: Changes = {}): string {
  return raw({ ...headerOf(keys.github), ...header }, githubClaims(issuers.github, claims));
}

/** Any header and payload under GitHub's key; text and bytes are taken as they are. */
export function raw(header: unknown, payload: unknown = githubClaims(issuers.github)): string {
  return signedBy(keys.github, header, payload);
}

export function genericClaims(changes: Changes = {}): Changes {
  return {
    iss: issuers.generic,
    aud: [audience],
    sub: "someone",
    iat: seconds(0),
    exp: seconds(3600),
    project: "20",
    job: "302",
    ref_protected: "true",
    ...changes,
  };
}

export const genericHeader = { alg: "ES256", kid: "e1", typ: "at+jwt" } as const;

export function genericToken(claims: Changes = {}, header: Changes = {}): string {
  return signedBy(keys.generic, { ...genericHeader, ...header }, genericClaims(claims));
}

export function hmacToken(secret: string | Buffer, alg: string, kid = "k1"): string {
  const input = `${part({ alg, kid, typ: "JWT" })}.${part(githubClaims(issuers.github))}`;
  return `${input}.${createHmac(alg.replace("HS", "sha"), secret).update(input).digest("base64url")}`;
}

/** With a member written into the text of the claims, before all others or after them. */
export function claimsWith(member: string, where: "first" | "last", changes: Changes = {}): string {
  return raw(headerOf(keys.github), withMember(githubClaims(issuers.github, changes), member, where));
}

export function headerWith(member: string, where: "first" | "last"): string {
  return raw(withMember(headerOf(keys.github), member, where));
}

function withMember(object: Changes, member: string, where: "first" | "last"): string {
  const text = JSON.stringify(object);
  return where === "first" ? text.replace("{", `{${member},`) : text.replace(/}$/, `,${member}}`);
}

export function inputOf(token: string): string {
  return token.slice(0, token.lastIndexOf("."));
}

export function signatureOf(token: string): string {
  return token.slice(token.lastIndexOf(".") + 1);
}

/** A key pair of a kind that no profile knows, as a private key. */
export function strangeKey(kind: "P-384" | "secp256k1" | "ed448"): KeyObject {
  if (kind === "ed448") return generateKeyPairSync("ed448").privateKey;
  return generateKeyPairSync("ec", { namedCurve: kind }).privateKey;
}

export function privateKeyOf(jwk: Changes): KeyObject {
  return createPrivateKey({ key: jwk, format: "jwk" });
}
