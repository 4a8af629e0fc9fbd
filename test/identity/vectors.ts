import { existsSync, readFileSync } from "node:fs";
import { compactVerify } from "jose";
import { compileProfiles, issuersSchema } from "../../src/identity/issuers/issuers.ts";
import { noHistory } from "../../src/identity/keys/key-history.ts";
import { type KeySet, readKeySet } from "../../src/identity/keys/keyset.ts";
import { algorithms } from "../../src/identity/profile.ts";
import { createVerifier } from "../../src/identity/verify.ts";
import { Secret } from "../../src/secret.ts";
import type { MakeVerifier } from "./bad-tokens/stage.ts";
import { audience, now, part, seconds } from "./issuer.ts";
import { ManualClock } from "./manual-clock.ts";

/** Project Wycheproof's vectors (Apache-2.0): signatures and keys that other people's libraries have fallen for. */
const folder = new URL("../../../shared/vectors/", import.meta.url);

export const haveVectors = existsSync(folder);

/** The files, each with the JWS algorithm of its signatures; `undefined` where its vectors are whole JWS or JWE texts. */
export const vectorFiles: Readonly<Record<string, string | undefined>> = {
  json_web_signature_test: undefined,
  json_web_key_test: undefined,
  json_web_crypto_test: undefined,
  json_web_encryption_test: undefined,
  ecdsa_secp256r1_sha256_p1363_test: "ES256",
  ecdsa_secp384r1_sha384_p1363_test: "ES384",
  ecdsa_secp521r1_sha512_p1363_test: "ES512",
  ed25519_test: "EdDSA",
  rsa_signature_2048_sha256_test: "RS256",
  rsa_signature_2048_sha384_test: "RS384",
  rsa_signature_2048_sha512_test: "RS512",
  rsa_signature_3072_sha256_test: "RS256",
  rsa_signature_4096_sha256_test: "RS256",
  rsa_pss_2048_sha256_mgf1_32_test: "PS256",
  rsa_pss_4096_sha384_mgf1_48_test: "PS384",
  rsa_pss_4096_sha512_mgf1_64_test: "PS512",
};

type Jwk = Readonly<Record<string, unknown>>;

interface Case {
  readonly tcId: number;
  readonly comment: string;
  readonly result: "valid" | "invalid" | "acceptable";
  readonly jws?: unknown;
  readonly jwe?: unknown;
  readonly msg?: string;
  readonly sig?: string;
}

interface Group {
  readonly public?: { readonly keys?: readonly Jwk[] } & Jwk;
  readonly private?: { readonly keys?: readonly Jwk[] } & Jwk;
  readonly publicKeyJwk?: Jwk;
  readonly keyJwk?: Jwk;
  readonly tests: readonly Case[];
}

/** What became of one vector. */
export interface Judged {
  readonly name: string;
  readonly result: Case["result"];
  /** By the whole verifier, as a token: nothing that a vector says is a token of ours. */
  readonly asToken: boolean;
  /** Its signature, by a key that came through our key set: true where that accepts it, undefined where our rules leave no key. */
  readonly bySignature: boolean | undefined;
}

/** Every vector of a file, its key wrapped as an issuer would serve it. */
export async function* judge(file: string, make: MakeVerifier = createVerifier): AsyncGenerator<Judged> {
  const { testGroups } = JSON.parse(readFileSync(new URL(`${file}.json`, folder), "utf8")) as {
    readonly testGroups: readonly Group[];
  };
  const alg = vectorFiles[file];
  for (const group of testGroups) {
    const served = servedKeys(group, alg);
    const verifier = verifierOf(served, make);
    const keys = await readKeySet(Buffer.from(JSON.stringify({ keys: served })), { algorithms, keyUse: "sig" }).catch(
      () => undefined,
    );
    for (const test of group.tests) {
      const token = tokenOf(test, alg);
      const asToken = await verifier.verify(Secret.of(token), AbortSignal.timeout(10_000)).then(isTrue, isFalse);
      const bySignature = keys === undefined ? undefined : await verifies(test, keys, alg);
      yield { name: `${file} ${test.tcId} ${test.comment}`, result: test.result, asToken, bySignature };
    }
  }
}

const isTrue = (): boolean => true;
const isFalse = (): boolean => false;

/** Public parts only, since a published private part alone would be a reason to refuse; with a kid, which our rules ask for. */
function servedKeys({ public: open, private: closed, publicKeyJwk, keyJwk }: Group, alg: string | undefined): readonly Jwk[] {
  const set: { readonly keys?: readonly Jwk[] } = open ?? closed ?? publicKeyJwk ?? keyJwk ?? {};
  const members = ["kty", "crv", "x", "y", "n", "e", "k", "use", "key_ops", "alg", "kid"];
  return (set.keys ?? [set as Jwk]).map((key, nth) => ({
    kid: `vector-${nth}`,
    ...Object.fromEntries(Object.entries(key).filter(([name]) => members.includes(name))),
    ...(alg !== undefined && { alg, kid: "vector-0" }),
  }));
}

function verifierOf(keys: readonly Jwk[], make: MakeVerifier): ReturnType<MakeVerifier> {
  const issuer = {
    url: "https://issuer.example",
    audience,
    algorithms: [...algorithms],
    workload: ["a"],
    job: ["b"],
    // Many of these keys would not load if they were written out.
    jwks: { file: "/vectors.jwks" },
  };
  return make({
    profiles: compileProfiles(issuersSchema.parse({ test: issuer }), () => ""),
    fetch: () => Promise.reject(new Error("no network")),
    readFile: () => Promise.resolve(Buffer.from(JSON.stringify({ keys }))),
    clock: new ManualClock(now),
    history: noHistory,
  });
}

/** A bare signature is presented as that of a token which is good in every other way. */
function tokenOf({ jws, jwe, sig = "" }: Case, alg: string | undefined): string {
  const text = jws ?? jwe;
  if (text !== undefined) return typeof text === "string" ? text : JSON.stringify(text);
  const times = { iat: seconds(0), exp: seconds(300) };
  const claims = { iss: "https://issuer.example", aud: audience, sub: "s", jti: "j", a: "1", b: "2", ...times };
  return `${part({ alg, kid: "vector-0" })}.${part(claims)}.${Buffer.from(sig, "hex").toString("base64url")}`;
}

async function verifies(test: Case, keys: KeySet, alg: string | undefined): Promise<boolean> {
  if (alg !== undefined) return verifiesBytes(test, keys, alg);
  if (typeof test.jws !== "string") return false;
  return compactVerify(test.jws, (header) => keys.find({ alg: header.alg ?? "", kid: header.kid ?? "vector-0" }), {
    algorithms: [...algorithms],
  }).then(isTrue, isFalse);
}

/** What jose itself calls, with the key that our key set gives for the token's header. */
async function verifiesBytes({ msg = "", sig = "" }: Case, keys: KeySet, alg: string): Promise<boolean> {
  const key = keys.find({ alg, kid: "vector-0" });
  return crypto.subtle.verify(parameters(alg), key, Buffer.from(sig, "hex"), Buffer.from(msg, "hex"));
}

function parameters(alg: string): Parameters<typeof crypto.subtle.verify>[0] {
  const bits = alg.slice(2);
  switch (alg.slice(0, 2)) {
    case "ES":
      return { name: "ECDSA", hash: `SHA-${bits}` };
    case "PS":
      return { name: "RSA-PSS", hash: `SHA-${bits}`, saltLength: Number(bits) / 8 };
    case "RS":
      return { name: "RSASSA-PKCS1-v1_5" };
    default:
      return { name: "Ed25519" };
  }
}
