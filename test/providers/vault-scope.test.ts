import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Intent, Minted } from "../../src/lease/provider.ts";
import { intentOf } from "../conformance/provider.ts";
import { type KubernetesForVault, startKubernetesForVault } from "../servers/kubernetes-for-vault.ts";
import { vaultMissing } from "../servers/missing.ts";
import { openEquippedBench, type VaultBench } from "./vault-bench.ts";
import { isLetIn, signsAs, text } from "./vault-engines-bench.ts";

const reason = vaultMissing();
let bench: VaultBench;
let cluster: KubernetesForVault;
beforeAll(async () => {
  if (reason !== undefined) return;
  cluster = await startKubernetesForVault();
  bench = await openEquippedBench();
  const { bao } = bench;
  await bao.call("POST", "sys/mounts/kubernetes", { type: "kubernetes" });
  const config = { kubernetes_host: cluster.address, service_account_jwt: cluster.token, disable_local_ca_jwt: true };
  await bao.call("POST", "kubernetes/config", config);
  await bao.call("POST", "kubernetes/roles/fixed", {
    allowed_kubernetes_namespaces: ["shop"],
    service_account_name: "fixed",
    token_max_ttl: "24h",
  });
});
beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
afterAll(async () => {
  await bench?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

const never = new AbortController().signal;

async function mint(options: unknown, parts: Partial<Intent> = {}): Promise<Minted> {
  const intent = intentOf({ ttl: 600_000 }, parts);
  return bench.provider.mint({ intent, options, proof: bench.authority.proofs.mint(intent), signal: never });
}

describe("what a credential is good for", () => {
  it("a child token: the one secret, and the one key", async () => {
    const { material } = await mint({ kind: "token", policies: ["shop-read"] });
    if (material.kind !== "bearer") throw new Error(material.kind);
    const as = async (method: string, path: string, body?: unknown): Promise<number> =>
      (await bench.bao.call(method, path, body, text(material.token))).status;
    expect(await as("GET", "secret/data/ci/519283746")).toBe(200);
    expect(await as("POST", "transit/encrypt/shop", { plaintext: "aGVsbG8=" })).toBe(200);
    expect(
      await Promise.all([
        as("GET", "secret/data/other/1"),
        as("POST", "secret/data/ci/519283746", { data: { token: "x" } }),
        as("GET", "database/creds/shop-migrate"),
        as("POST", "auth/token/create", {}),
        as("POST", "auth/token/renew-self", {}),
        as("POST", "transit/datakey/plaintext/shop", {}),
        as("POST", "sys/seal"),
      ]),
    ).toEqual([403, 403, 403, 403, 403, 403, 403]);
  });

  it("a child token with uses: so many requests and not one more", async () => {
    const { material } = await mint({ kind: "token", policies: ["shop-read"], uses: 2 });
    if (material.kind !== "bearer") throw new Error(material.kind);
    const token = text(material.token);
    const statuses = [];
    for (let times = 0; times < 3; times++)
      statuses.push((await bench.bao.call("GET", "secret/data/ci/519283746", undefined, token)).status);
    expect(statuses).toEqual([200, 200, 403]);
  });

  it.each([["sign"], ["issue"]])("an ssh certificate by %s: its account and no other", async (verb) => {
    const { material } = await mint({ kind: "ssh", path: `ssh/${verb}/ci`, principals: ["deploy"] });
    const good = await Promise.all(
      ["deploy", "root", "app", "deploy2", "*x"].map((account) => signsAs(bench.bao, material, account)),
    );
    expect(good).toEqual([true, false, false, false, false]);
  });

  it("a certificate: the names that were asked, also by the server's own check", async () => {
    const { material } = await mint({ kind: "pki", path: "pki/sign/web", common_name: "a.jobs.example.com" });
    expect(await isLetIn(bench.bao, material)).toBe(true);
    await Promise.all(
      ["b.example.com", "jobs.example.com.evil.example", "a.elsewhere.example.com", "example.com"].map((common_name) =>
        expect(mint({ kind: "pki", path: "pki/sign/web", common_name })).rejects.toMatchObject({ code: "provider-refused" }),
      ),
    );
  });

  it("a database login: its role's rights, while its lease lives", async () => {
    const { material } = await mint({ path: "database/creds/shop-migrate" });
    if (material.kind !== "username-password") throw new Error(material.kind);
    const as = { user: material.username, password: text(material.password) };
    const code = async (sql: string): Promise<number | null> => (await bench.postgres.sql(sql, as)).code;
    expect(await code("select 1")).toBe(0);
    const refused = ["create role x", "create database x", "select * from pg_authid", "alter system set fsync = off"];
    for (const sql of refused) expect(await code(sql), sql).not.toBe(0);
  });

  it("a token of a kubernetes account that stays: for its audience, and it is said that it only expires", async () => {
    const asked = {
      kind: "kubernetes",
      path: "kubernetes/creds/fixed",
      namespace: "shop",
      audiences: ["https://a.example.com"],
    };
    const { material, ending } = await mint(asked);
    if (material.kind !== "bearer") throw new Error(material.kind);
    expect(ending.kind).toBe("expires");
    expect(["https://a.example.com", "https://b.example.com"].map((one) => cluster.review(text(material.token), one))).toEqual([
      true,
      false,
    ]);
  });
});

describe("an answer that is more than was asked", () => {
  const broader: readonly (readonly [string, unknown, string])[] = [
    [
      "an ssh certificate with a right that the role adds",
      { kind: "ssh", path: "ssh/sign/generous", principals: ["deploy"] },
      "default_extensions",
    ],
    [
      "a certificate with a lease that nobody wanted",
      { kind: "pki", path: "pki/issue/revocable", common_name: "a.jobs.example.com" },
      "revocable: true",
    ],
    [
      "a certificate without the lease that was promised",
      { kind: "pki", path: "pki/sign/web", common_name: "a.jobs.example.com", revocable: true },
      "check the kind",
    ],
    ["a login's lease where a stored value was meant", { path: "database/creds/shop-migrate", kind: "kv" }, "kind"],
  ];
  it.each(broader)("is refused, and its way there ended: %s", async (_, options, hint) => {
    const intent = intentOf({ ttl: 600_000 });
    const asked = { intent, options, proof: bench.authority.proofs.mint(intent), signal: never };
    await expect(bench.provider.mint(asked)).rejects.toMatchObject({
      code: "provider-broken-promise",
      hint: expect.stringContaining(hint),
    });
    await endFound(intent, options);
    expect(await bench.bao.tokensFor(intent.lease)).toEqual([]);
  });

  it.each([
    ["lives longer", { common_name: "a.jobs.example.com", ttl: "3h" }, "lives longer"],
    ["has a second name", { common_name: "a.jobs.example.com", alt_names: "b.jobs.example.com", ttl: "5m" }, "other names"],
    ["has another name", { common_name: "b.jobs.example.com", ttl: "5m" }, "other names"],
  ])("a real certificate that %s, in the place of the one that was asked", async (_, asked, why) => {
    const { body } = await bench.bao.call("POST", "pki/issue/web", {
      ...asked,
      key_type: "ec",
      key_bits: 256,
      private_key_format: "pkcs8",
    });
    const answer = { kind: "answer", status: 200, body: JSON.stringify(body) } as const;
    bench.proxy.next(answer, { path: "/pki/issue/web" });
    const options = { kind: "pki", path: "pki/issue/web", common_name: "a.jobs.example.com" };
    await expect(mint(options)).rejects.toMatchObject({
      code: "provider-broken-promise",
      message: expect.stringContaining(why),
    });
  });

  it("a child token to which an identity adds a policy", async () => {
    const intent = intentOf({ ttl: 600_000 }, { workload: "github:77" });
    const first = await mint({ kind: "token", policies: ["shop-read"] }, intent);
    if (first.ending.kind !== "revoke") throw new Error(first.ending.kind);
    const { accessor } = first.ending.handle;
    const known = await bench.bao.call("POST", "auth/token/lookup-accessor", { accessor });
    await bench.bao.call("POST", `identity/entity/id/${String(known.body.data?.["entity_id"])}`, {
      policies: ["mayfly-sweeper"],
    });
    await expect(mint({ kind: "token", policies: ["shop-read"] }, { workload: "github:77" })).rejects.toMatchObject({
      code: "provider-broken-promise",
      hint: expect.stringContaining("identity"),
    });
  });

  it.each([
    ["another audience", { aud: ["https://elsewhere.example.com"] }],
    ["a second audience", { aud: ["https://a.example.com", "https://elsewhere.example.com"] }],
    ["another namespace", { "kubernetes.io": { namespace: "kube-system" } }],
    ["a longer life", { exp: 4_102_444_800 }],
    ["an end that is past", { exp: 1_000_000_000 }],
  ])("a kubernetes token with %s", async (_, claims) => {
    cluster.lie(claims);
    const asked = {
      kind: "kubernetes",
      path: "kubernetes/creds/fixed",
      namespace: "shop",
      audiences: ["https://a.example.com"],
    };
    await expect(mint(asked)).rejects.toMatchObject({ code: "provider-broken-promise" });
    cluster.lie({});
    expect((await mint(asked)).material.kind).toBe("bearer");
  });

  async function endFound(intent: Intent, options: unknown): Promise<void> {
    const { revocation } = bench.provider;
    if (revocation === "none") throw new Error("it can revoke");
    const request = { proof: bench.authority.proofs.end(intent.lease), signal: never };
    const found = await revocation.recover(intent, options, request);
    if (found.kind === "found" && found.ending.kind === "revoke") await revocation.revoke(found.ending.handle, request);
  }
});

describe("a limit that is known beforehand", () => {
  it.each([
    [
      "kubernetes' shortest token",
      { kind: "kubernetes", path: "kubernetes/creds/fixed", namespace: "shop", audiences: ["a"] },
      599_000,
      "10m",
    ],
    ["aws' shortest session", { kind: "aws", path: "aws/sts/deploy" }, 899_000, "15m"],
    ["aws' longest session", { kind: "aws", path: "aws/sts/deploy" }, 43_201_000, "12h"],
  ])("is said before vault is asked: %s", async (_, options, ttl, hint) => {
    const before = bench.proxy.seen.length;
    await expect(mint(options, { ttl })).rejects.toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining(hint),
    });
    expect(bench.proxy.seen.length).toBe(before);
  });

  it("a kubernetes role whose account stays cannot be called generated", async () => {
    const asked = {
      kind: "kubernetes",
      path: "kubernetes/creds/fixed",
      namespace: "shop",
      account: "generated",
      audiences: ["a"],
    };
    const intent = intentOf({ ttl: 600_000 });
    await expect(mint(asked, intent)).rejects.toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining("account: existing"),
    });
    expect(await bench.bao.tokensFor(intent.lease)).toEqual([]);
  });
});
