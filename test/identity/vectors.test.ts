import { existsSync, readFileSync } from "node:fs";
import { compactVerify, decodeProtectedHeader } from "jose";
import { beforeEach, describe, expect, it } from "vitest";
import { compileProfiles, issuersSchema } from "../../src/identity/issuers.ts";
import { type KeySet, readKeySet } from "../../src/identity/keyset.ts";
import { parseToken } from "../../src/identity/parse.ts";
import { algorithms } from "../../src/identity/profile.ts";
import { createVerifier } from "../../src/identity/verify.ts";
import { Secret } from "../../src/secret.ts";
import { audience, now, part } from "./issuer.ts";
import { ManualClock } from "./manual-clock.ts";

/** Project Wycheproof's vectors (Apache-2.0): signatures and keys that other people's libraries have fallen for. */
const folder = new URL("../../../shared/vectors/", import.meta.url);

interface Case {
  readonly tcId: number;
  readonly comment: string;
  readonly result: string;
  readonly jws?: unknown;
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

type Jwk = Readonly<Record<string, unknown>>;

function groups(name: string): readonly Group[] {
  return (JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8")) as { testGroups: Group[] }).testGroups;
}

/** Each key wrapped as an issuer would serve it. */
function served({ public: open, private: closed }: Group): Uint8Array {
  const set = open ?? closed ?? {};
  return Buffer.from(JSON.stringify({ keys: set.keys ?? [set] }));
}

const names = ["json_web_signature_test", "json_web_key_test", "json_web_crypto_test"];

/** The signature alone, by the same keys and the same library call: their payloads are no claims. */
async function isAccepted(jws: string, keys: KeySet): Promise<boolean> {
  return compactVerify(jws, (header) => keys.find({ alg: header.alg ?? "", kid: header.kid ?? "" }), {
    algorithms: [...algorithms],
  }).then(
    () => true,
    () => false,
  );
}

function compact(test: Case): string {
  return typeof test.jws === "string" ? test.jws : JSON.stringify(test.jws);
}

/** A key says which algorithm it is for; one vector (RFC 7520's Figure 20) takes a PS256 key for PS384. */
function fits(jws: string, group: Group): boolean {
  const alg = group.public?.["alg"];
  return alg === undefined || alg === decodeProtectedHeader(jws).alg;
}

describe("published vectors", () => {
  beforeEach((context) => {
    if (!existsSync(folder)) context.skip("the published vectors are not beside this clone");
  });

  it("of the 356 invalid signatures and 22 invalid keys, the whole verifier accepts none", async () => {
    let tried = 0;
    for (const group of names.flatMap(groups)) {
      const config = issuersSchema.parse({
        test: {
          url: "https://issuer.example",
          audience,
          algorithms: [...algorithms],
          workload: ["a"],
          job: ["b"],
          jwks: { file: "/keys" },
        },
      });
      const profiles = compileProfiles(config, () => Buffer.from(served(group)).toString());
      const verifier = createVerifier({
        profiles,
        fetch: () => Promise.reject(new Error("no network")),
        clock: new ManualClock(now),
      });
      for (const test of group.tests.filter(({ jws }) => jws !== undefined)) {
        tried += 1;
        await expect(verifier.verify(Secret.of(compact(test)), AbortSignal.timeout(5_000)), test.comment).rejects.toThrow();
      }
    }
    expect(tried).toBeGreaterThanOrEqual(378);
  });

  it("our keys and jose accept no invalid signature, and every valid one by a key that we would use", async () => {
    const tally = { refused: 0, accepted: 0, unusable: 0 };
    for (const group of names.flatMap(groups)) {
      const keys = await readKeySet(served(group), algorithms).catch(() => undefined);
      for (const test of group.tests.filter(({ jws }) => typeof jws === "string")) {
        const accepted = keys !== undefined && (await isAccepted(compact(test), keys));
        if (test.result === "valid" && keys !== undefined && fits(compact(test), group)) {
          expect(accepted, `${test.tcId} ${test.comment}`).toBe(true);
          tally.accepted += 1;
        } else {
          expect(accepted, `${test.tcId} ${test.comment}`).toBe(false);
          tally[keys === undefined ? "unusable" : "refused"] += 1;
        }
      }
    }
    expect(tally.accepted).toBeGreaterThanOrEqual(30);
    expect(tally.refused).toBeGreaterThanOrEqual(300);
  });

  it.each<[string, string]>([
    ["rsa_signature_2048_sha256_test", "RS256"],
    ["rsa_signature_3072_sha256_test", "RS256"],
    ["ecdsa_secp256r1_sha256_p1363_test", "ES256"],
    ["ecdsa_secp384r1_sha384_p1363_test", "ES384"],
    ["ecdsa_secp521r1_sha512_p1363_test", "ES512"],
    ["ed25519_test", "EdDSA"],
  ])("%s: signatures over other messages never fit a token", async (name, alg) => {
    for (const group of groups(name)) {
      const jwk = group.publicKeyJwk ?? group.keyJwk;
      if (jwk === undefined) continue;
      const keys = await readKeySet(Buffer.from(JSON.stringify({ keys: [{ ...jwk, alg, kid: "k" }] })), algorithms).catch(
        () => undefined,
      );
      for (const test of group.tests) {
        const token = `${part({ alg, kid: "k" })}.${part({ a: 1 })}.${Buffer.from(test.sig ?? "", "hex").toString("base64url")}`;
        if (test.sig !== "") parseToken(Secret.of(token));
        if (keys !== undefined) expect(await isAccepted(token, keys), test.comment).toBe(false);
      }
    }
  });
});
