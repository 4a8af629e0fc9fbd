import { generateKeyPairSync } from "node:crypto";
import { genericClaims, genericHeader, issuers, keys, signedBy } from "../../identity/bad-tokens/makers.ts";
import { audience, githubClaims, headerOf, now, seconds, type TestKey } from "../../identity/issuer.ts";

/** Who signs: an issuer of the stage, with what its good tokens say. */
export interface Source {
  readonly name: string;
  readonly key: Pick<TestKey, "alg" | "privateKey" | "jwk">;
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: () => Readonly<Record<string, unknown>>;
  /** Its issuer's part of mayfly.yaml. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Claims that must be there and be an id. */
  readonly ids: readonly string[];
  readonly jti: boolean;
}

const edwards = edwardsKey("ed1");

function edwardsKey(kid: string): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return { kid, alg: "EdDSA", privateKey, jwk: { ...publicKey.export({ format: "jwk" }), kid, alg: "EdDSA" } };
}

const edwardsUrl = "https://edwards.example";

export const sources: readonly Source[] = [
  {
    name: "github",
    key: keys.github,
    header: headerOf(keys.github),
    claims: () => githubClaims(issuers.github),
    config: { preset: "github", audience, jwks: { keys: [keys.github.jwk] } },
    ids: ["repository_id", "run_id", "run_attempt"],
    jti: true,
  },
  {
    name: "generic",
    key: keys.generic,
    header: genericHeader,
    claims: () => genericClaims({ nonce: crypto.randomUUID() }),
    config: {
      url: issuers.generic,
      audience,
      algorithms: ["ES256"],
      type: "at+jwt",
      jti: "absent",
      workload: ["project"],
      job: ["job"],
      jwks: { keys: [keys.generic.jwk] },
    },
    ids: ["project", "job"],
    jti: false,
  },
  {
    name: "edwards",
    key: edwards,
    header: headerOf(edwards),
    claims: () => ({ ...genericClaims({ iss: edwardsUrl }), exp: seconds(300), jti: crypto.randomUUID() }),
    config: {
      url: edwardsUrl,
      audience,
      algorithms: ["EdDSA"],
      workload: ["project"],
      job: ["job"],
      jwks: { keys: [edwards.jwk] },
    },
    ids: ["project", "job"],
    jti: true,
  },
];

export const at = now;

export function tokenOf({ key, header, claims }: Source): string {
  return signedBy(key, header, claims());
}
