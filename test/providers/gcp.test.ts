import { createLocalJWKSet, jwtVerify } from "jose";
import type { Material } from "../../src/material.ts";
import { type Bench, provesProvider, type Upstream } from "../conformance/provider.ts";
import { address } from "../servers/google-apis.ts";
import { asJob, bearerOf, type GcpBench, objects, openGcpBench, read, textsOf } from "./gcp-bench.ts";

const exchange = { method: "POST", path: "/v1/token" } as const;
const impersonation = { method: "POST", path: ":generateAccessToken" } as const;

const reading = "https://www.googleapis.com/auth/devstorage.read_only";
const rules = [
  {
    bucket: "shop-artifacts",
    roles: ["roles/storage.objectViewer"],
    condition: `resource.name.startsWith('${objects}/519283746/')`,
  },
];

const readsMine = async (bench: GcpBench, material: Material): Promise<boolean> =>
  (await asJob(bench, bearerOf(material), read("shop-artifacts", "519283746/app.tgz"))) === 200;

interface Case {
  readonly options: unknown;
  readonly ttl?: number;
  readonly works: (bench: GcpBench, material: Material) => Promise<boolean>;
  readonly upstream: Pick<Upstream, "effects" | "refused" | "tooLong">;
}

const account = address("ci-deploy");
const nobody = address("ci-nobody");

const cases: Readonly<Record<string, Case>> = {
  "with a service account's token": {
    options: { service_account: account, scopes: [reading] },
    works: readsMine,
    upstream: {
      effects: [exchange, impersonation],
      refused: { service_account: nobody, scopes: [reading] },
      tooLong: { service_account: address("ci-eternal"), scopes: [reading] },
    },
  },
  "with a token within an access boundary": {
    options: { service_account: account, storage: rules },
    works: readsMine,
    upstream: {
      effects: [exchange, impersonation],
      refused: { service_account: nobody, storage: rules },
      tooLong: { service_account: address("ci-eternal"), storage: rules },
    },
  },
  "with an ID token": {
    options: { service_account: account, id_token: "https://shop.example.com" },
    ttl: 3_600_000,
    works: async ({ google }, material) => {
      const verify = { issuer: "https://accounts.google.com", audience: "https://shop.example.com" };
      const { payload } = await jwtVerify(bearerOf(material), createLocalJWKSet(await google.idTokenKeys()), verify);
      return payload["email"] === account;
    },
    upstream: {
      effects: [exchange, { method: "POST", path: ":generateIdToken" }],
      refused: { service_account: nobody, id_token: "https://shop.example.com" },
    },
  },
  "with the pool's own token": {
    options: { scopes: ["https://www.googleapis.com/auth/cloud-platform"] },
    ttl: 3_600_000,
    works: async (bench, material) =>
      (await asJob(bench, bearerOf(material), ["GET", "/v1/projects/shop-prod/secrets/direct/versions/latest:access"])) === 200,
    upstream: { effects: [exchange], refused: { service_account: nobody, scopes: [reading] } },
  },
  "with a stored secret": {
    options: { service_account: address("ci-reader"), secret: "projects/shop-prod/secrets/npm-519283746" },
    works: (_, material) => Promise.resolve(textsOf(material)["value"] === "npm_token-of-the-shop"),
    upstream: {
      effects: [exchange, impersonation, { method: "GET", path: "/secrets/" }],
      refused: { service_account: address("ci-reader"), secret: "projects/shop-prod/secrets/other" },
    },
  },
};

for (const [name, one] of Object.entries(cases)) provesProvider(`gcp, ${name}`, () => open(one));

async function open({ options, ttl = 600_000, works, upstream }: Case): Promise<Bench> {
  const bench = await openGcpBench();
  return {
    provider: bench.provider,
    proofs: bench.authority.proofs,
    options,
    ttl,
    works: (material) => works(bench, material),
    alive: (lease) => Promise.resolve(bench.google.alive(lease)),
    upstream: { proxy: bench.proxy, never: {}, ...upstream },
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}
