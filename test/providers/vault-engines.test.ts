import type { Material } from "../../src/material.ts";
import { fill } from "../../src/policy/slots.ts";
import { type Bench, provesProvider } from "../conformance/provider.ts";
import { startKubernetesForVault } from "../servers/kubernetes-for-vault.ts";
import { vaultMissing } from "../servers/missing.ts";
import { engineLogin, openEquippedBench, type VaultBench } from "./vault-bench.ts";
import { aliveIn, isLetIn, signsAs, text } from "./vault-engines-bench.ts";

const reason = vaultMissing();

/** What one engine's proof needs beside what all of them do. */
interface Engine {
  readonly options: Readonly<Record<string, unknown>>;
  readonly refused: Readonly<Record<string, unknown>>;
  readonly effect: string;
  readonly path?: string;
  readonly effects?: readonly string[];
  works(bench: VaultBench, material: Material): Promise<boolean>;
}

const gone = "/auth/token/revoke-self";

const engines: Readonly<Record<string, Engine>> = {
  "a certificate that can be revoked": {
    options: { kind: "pki", path: "pki/issue/revocable", common_name: "a.jobs.example.com", revocable: true },
    refused: { kind: "pki", path: "pki/issue/revocable", common_name: "a.elsewhere.example.com", revocable: true },
    effect: "/pki/issue/revocable",
    path: "pki/issue/revocable",
    works: ({ bao }, material) => isLetIn(bao, material),
  },
  "a certificate for a key that never travels": {
    options: { kind: "pki", path: "pki/sign/web", common_name: "a.jobs.example.com", dns_names: ["b.jobs.example.com"] },
    refused: { kind: "pki", path: "pki/sign/web", common_name: "a.elsewhere.example.com" },
    effect: "/pki/sign/web",
    effects: [gone],
    works: ({ bao }, material) => isLetIn(bao, material),
  },
  "an ssh certificate for a key that never travels": {
    options: { kind: "ssh", path: "ssh/sign/ci", principals: ["deploy"], extensions: ["permit-pty"] },
    refused: { kind: "ssh", path: "ssh/sign/ci", principals: ["root"] },
    effect: "/ssh/sign/ci",
    effects: [gone],
    works: ({ bao }, material) => signsAs(bao, material, "deploy"),
  },
  "a child token": {
    options: { kind: "token", policies: ["shop-read"] },
    refused: { kind: "token", policies: ["shop-read", "mayfly-sweeper"] },
    effect: "/auth/token/create",
    works: async ({ bao }, material) =>
      material.kind === "bearer" &&
      (await bao.call("GET", "secret/data/ci/519283746", undefined, text(material.token))).status === 200,
  },
  "a data key": {
    options: { kind: "datakey", path: "transit/datakey/plaintext/shop" },
    refused: { kind: "datakey", path: "transit/datakey/plaintext/none" },
    effect: "/transit/datakey/plaintext/shop",
    effects: [gone],
    works: async ({ bao }, material) => {
      if (material.kind !== "fields") return false;
      const { ciphertext, plaintext } = material.fields;
      const opened = await bao.call("POST", "transit/decrypt/shop", {
        ciphertext: ciphertext === undefined ? "" : text(ciphertext),
      });
      return plaintext !== undefined && opened.body.data?.["plaintext"] === text(plaintext);
    },
  },
  "a static role's password": {
    options: { path: "database/static-creds/report" },
    refused: { path: "database/static-creds/none" },
    effect: "/database/static-creds/report",
    effects: [gone],
    works: async ({ postgres }, material) =>
      material.kind === "username-password" &&
      (await postgres.sql("select 1", { user: material.username, password: text(material.password) })).code === 0,
  },
};

for (const [name, engine] of Object.entries(engines)) provesProvider(`vault, with ${name}`, () => open(engine), reason);

async function open({ options, refused, effect, path, effects = [], works }: Engine): Promise<Bench> {
  const bench = await openEquippedBench();
  const { provider, authority, proxy, bao } = bench;
  const paths = path === undefined ? [] : [path];
  return {
    provider,
    proofs: authority.proofs,
    options: fill(provider.options.parse(options), {}),
    ttl: 600_000,
    works: (material) => works(bench, material),
    alive: (lease) => aliveIn(bao, lease, paths),
    upstream: {
      proxy,
      effects: ["/auth/mayfly/login", effect, ...effects].map((part) => ({ path: part })),
      refused: fill(provider.options.parse(refused), {}),
      never: { accessor: "nonesuch", ...(path === undefined ? {} : { path, leaseId: `${path}/nonesuch` }) },
    },
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}

provesProvider("vault, with a kubernetes account of its own", kubernetesBench, reason);

/** OpenBao's real engine over a stand-in for the API server. */
async function kubernetesBench(): Promise<Bench> {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startKubernetesForVault());
  // The engine asks Kubernetes at most five things a second (client-go's own limit), and four of them for each account.
  const bench = stack.use(await openEquippedBench(() => Promise.resolve({ entry: { login: engineLogin, timeout: "15s" } })));
  const { bao, provider, proxy, authority } = bench;
  await bao.call("POST", "sys/mounts/kubernetes", { type: "kubernetes" });
  await bao.call("POST", "kubernetes/config", {
    kubernetes_host: cluster.address,
    service_account_jwt: cluster.token,
    disable_local_ca_jwt: true,
  });
  await bao.call("POST", "kubernetes/roles/deployer", {
    allowed_kubernetes_namespaces: ["shop"],
    generated_role_rules: '{"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["list"]}]}',
    token_max_ttl: "24h",
    token_default_ttl: "10m",
  });
  const options = {
    kind: "kubernetes",
    path: "kubernetes/creds/deployer",
    namespace: "shop",
    account: "generated",
    audiences: ["https://cluster.example.com"],
  };
  const kept = stack.move();
  return {
    provider,
    proofs: authority.proofs,
    options: fill(provider.options.parse(options), {}),
    ttl: 600_000,
    works: (material) =>
      Promise.resolve(material.kind === "bearer" && cluster.review(text(material.token), "https://cluster.example.com")),
    alive: async (lease) => [
      ...(await aliveIn(bao, lease, ["kubernetes/creds/deployer"])),
      ...forgotten(cluster.accounts.size - 1, (await bao.leases("kubernetes/creds/deployer")).length),
    ],
    upstream: {
      proxy,
      effects: [{ path: "/auth/mayfly/login" }, { path: "/kubernetes/creds/deployer" }],
      refused: fill(provider.options.parse({ ...options, namespace: "elsewhere" }), {}),
      never: { accessor: "nonesuch", path: "kubernetes/creds/deployer", leaseId: "kubernetes/creds/deployer/nonesuch" },
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Accounts are not named after a lease, so one that no lease of OpenBao's stands for counts as anybody's. */
function forgotten(accounts: number, leases: number): readonly string[] {
  return accounts > leases ? [`${accounts} accounts, ${leases} leases`] : [];
}
