import type { Material } from "../../src/material.ts";
import { type Bench, provesProvider, type Upstream } from "../conformance/provider.ts";
import { apps } from "../servers/entra.ts";
import { type AzureBench, asJob, life, openAzureBench, scope } from "./azure-bench.ts";

const login = { method: "POST", path: "/oauth2/v2.0/token" } as const;

interface Case {
  readonly options: unknown;
  readonly works: (bench: AzureBench, material: Material) => Promise<boolean>;
  readonly upstream: Pick<Upstream, "effects" | "refused" | "tooLong">;
}

const cases: Readonly<Record<string, Case>> = {
  "with an app's token": {
    options: { client_id: apps.deploy, scope },
    works: async (bench, material) => {
      if (material.kind !== "bearer") return false;
      const token = material.token.use((bytes) => bytes.toString("utf8"));
      return (await asJob(bench, token, ["GET", "/resourceGroups/shop"])) === 200;
    },
    upstream: { effects: [login], refused: { client_id: apps.stranger, scope }, tooLong: { client_id: apps.eternal, scope } },
  },
  "with a stored secret": {
    options: { client_id: apps.reader, vault: "shop-ci", secret: "npm-519283746" },
    works: (_, material) =>
      Promise.resolve(
        material.kind === "fields" && material.fields["value"]?.use((bytes) => bytes.toString()) === "npm_token-of-the-shop",
      ),
    upstream: {
      effects: [login, { method: "GET", path: "/secrets/" }],
      refused: { client_id: apps.reader, vault: "shop-ci", secret: "other" },
    },
  },
};

for (const [name, one] of Object.entries(cases)) provesProvider(`azure, ${name}`, () => open(one));

async function open({ options, works, upstream }: Case): Promise<Bench> {
  const bench = await openAzureBench();
  return {
    provider: bench.provider,
    proofs: bench.authority.proofs,
    options,
    ttl: life,
    works: (material) => works(bench, material),
    alive: (lease) => Promise.resolve(bench.entra.alive(lease)),
    upstream: { proxy: bench.proxy, never: {}, ...upstream },
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}
