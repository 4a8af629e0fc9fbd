import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Ending, Minted, Provider } from "../../src/lease/provider.ts";
import { intentOf } from "../conformance/provider.ts";
import { vaultMissing } from "../servers/missing.ts";
import { configured } from "./configured.ts";
import { engineLogin, openEquippedBench, type VaultBench } from "./vault-bench.ts";
import { text } from "./vault-engines-bench.ts";

const reason = vaultMissing();
let bench: VaultBench;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-vault-"));
  if (reason === undefined) bench = await openEquippedBench();
});
beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
afterAll(async () => {
  await bench?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const never = new AbortController().signal;
const database = { path: "database/creds/shop-migrate" };

function entry(part: Readonly<Record<string, unknown>>, as?: "host"): Promise<Provider<unknown>> {
  const whole = {
    address: bench.proxy.address,
    allow_plaintext: true,
    login: engineLogin,
    sweeper: { role: "sweeper" },
    ...part,
  };
  return configured("vault", whole, { authority: bench.authority, ...(as === undefined ? {} : { as }) });
}

function mint(provider: Provider<unknown>, options: unknown = database, ttl = 600_000): Promise<Minted> {
  const intent = intentOf({ ttl });
  return provider.mint({ intent, options, proof: bench.authority.proofs.mint(intent), signal: never });
}

async function renew(provider: Provider<unknown>, ending: Ending): Promise<void> {
  if (ending.kind !== "revoke" || provider.revocation === "none") throw new Error(ending.kind);
  await provider.revocation.renew?.(ending.handle, { proof: bench.authority.proofs.end("lse-any"), signal: never });
}

async function lifeOf(ending: Ending): Promise<number> {
  const accessor = ending.kind === "revoke" ? ending.handle["accessor"] : undefined;
  return Number((await bench.bao.call("POST", "auth/token/lookup-accessor", { accessor })).body.data?.["ttl"] ?? 0);
}

describe("a dead man's switch", () => {
  const switched = (role: string): Promise<Provider<unknown>> =>
    entry({ dead_man: "10s", login: { ...engineLogin, role }, timeout: "5s" });

  it("keeps a credential alive for as long as it is renewed, and no longer than was asked", async () => {
    const provider = await switched("renewed");
    const { ending } = await mint(provider);
    expect(ending).toMatchObject({ kind: "revoke", renewWithin: 10_000 });
    if (ending.kind !== "revoke") return;
    expect(ending.expiresAt).toBeGreaterThan(Date.now() + 590_000);
    await sleep(2_500);
    expect(await lifeOf(ending)).toBeLessThan(9);
    await renew(provider, ending);
    expect(await lifeOf(ending)).toBeGreaterThanOrEqual(9);
    // Near its end it is renewed up to its end and not beyond.
    await renew(provider, { ...ending, handle: { ...ending.handle, until: String(Date.now() + 4_500) } });
    expect(await lifeOf(ending)).toBeLessThanOrEqual(4);
    await renew(provider, { ...ending, handle: { ...ending.handle, until: String(Date.now() - 1) } });
    expect(await lifeOf(ending)).toBeLessThanOrEqual(4);
  });

  it("ends what nobody renews: the login, the child token and the certificate alike", async () => {
    const provider = await switched("renewed");
    const login = await mint(provider);
    const child = await mint(provider, { kind: "token", policies: ["shop-read"] });
    if (login.material.kind !== "username-password" || child.material.kind !== "bearer") throw new Error(login.material.kind);
    const as = { user: login.material.username, password: text(login.material.password) };
    const token = text(child.material.token);
    const works = async (): Promise<readonly boolean[]> => [
      (await bench.postgres.sql("select 1", as)).code === 0,
      (await bench.bao.call("GET", "secret/data/ci/519283746", undefined, token)).status === 200,
    ];
    expect(await works()).toEqual([true, true]);
    await sleep(12_500);
    expect(await works()).toEqual([false, false]);
    await expect(renew(provider, login.ending)).rejects.toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining("has ended"),
    });
  });

  it("says so when the role's own maximum is too low for the template", async () => {
    const provider = await switched("capped");
    const { ending } = await mint(provider);
    await sleep(5_000);
    await expect(renew(provider, ending)).rejects.toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining("token_max_ttl"),
    });
  });

  it.each([
    ["a role whose tokens live longer than the switch", { login: engineLogin }, "dead_man"],
    ["no switch, and a role whose tokens live longer than the credential", { dead_man: undefined }, "token_ttl"],
  ])("does not take %s", async (_, part, hint) => {
    const provider = await entry({ dead_man: "10s", ...part });
    const ttl = "login" in part ? 600_000 : 300_000;
    await expect(mint(provider, database, ttl)).rejects.toMatchObject({
      code: "provider-broken-promise",
      hint: expect.stringContaining(hint),
    });
  });

  it("is set by the broker itself where a token role makes the leases' tokens", async () => {
    const { login, sweeper } = await appRole({});
    const provider = await entry({ dead_man: "60s", login, sweeper }, "host");
    const { ending } = await mint(provider);
    expect(ending).toMatchObject({ renewWithin: 60_000 });
    await renew(provider, ending);
    expect(await lifeOf(ending)).toBeGreaterThan(55);
    const accessor = ending.kind === "revoke" ? ending.handle["accessor"] : undefined;
    const { body } = await bench.bao.call("POST", "auth/token/lookup-accessor", { accessor });
    expect(body.data?.["explicit_max_ttl"]).toBe(600);
  });
});

let files = 0;
async function appRole({ wrap, mode = 0o600 }: { readonly wrap?: string; readonly mode?: number }): Promise<{
  readonly login: Readonly<Record<string, unknown>>;
  readonly sweeper: object;
}> {
  const { bao } = bench;
  const roleId = (await bao.call("GET", "auth/approle/role/broker/role-id")).body.data?.["role_id"];
  const file = join(folder, `secret-${++files}`);
  await writeFile(
    file,
    wrap ?? String((await bao.call("POST", "auth/approle/role/broker/secret-id")).body.data?.["secret_id"]),
    { mode },
  );
  await chmod(file, mode);
  const login = { method: "approle", role_id: roleId, secret_id_file: file, token_role: "job", wrapped: wrap !== undefined };
  return { login, sweeper: { role: "sweeper" } };
}

/** A response-wrapping token of what this path answers. */
const wrapping = (path: string, body?: unknown): Promise<string> => bench.bao.wrap(path, body);

describe("the host's own secret", () => {
  const stored = { path: "secret/data/ci/519283746" };

  it("opens a wrapped secret id once, also for jobs that come together, and takes a new one from the same file", async () => {
    const { login, sweeper } = await appRole({ wrap: await wrapping("auth/approle/role/broker/secret-id") });
    const provider = await entry({ login, sweeper }, "host");
    const minted = await Promise.all([mint(provider, stored), mint(provider, stored), mint(provider, stored)]);
    expect(minted.map(({ material }) => material.kind)).toEqual(["fields", "fields", "fields"]);
    await writeFile(String(login["secret_id_file"]), await wrapping("auth/approle/role/broker/secret-id"));
    expect((await mint(provider, stored)).material.kind).toBe("fields");
  });

  it("says so when somebody else opened it first", async () => {
    const wrap = await wrapping("auth/approle/role/broker/secret-id");
    await bench.bao.call("POST", "sys/wrapping/unwrap", { token: wrap });
    const { login, sweeper } = await appRole({ wrap });
    const error = mint(await entry({ login, sweeper }, "host"), stored);
    await expect(error).rejects.toMatchObject({ code: "provider-refused", hint: expect.stringContaining("stolen") });
  });

  it("does not take what somebody else wrapped", async () => {
    const { login, sweeper } = await appRole({ wrap: await wrapping("sys/wrapping/wrap", { secret_id: "planted" }) });
    const error = mint(await entry({ login, sweeper }, "host"), stored);
    await expect(error).rejects.toMatchObject({ code: "provider-refused", message: expect.stringContaining("something else") });
  });

  it("opens a wrapped token", async () => {
    const own = { policies: ["mayfly-host"], ttl: "1h", no_default_policy: true };
    const file = join(folder, "token");
    await writeFile(file, await wrapping("auth/token/create", own), { mode: 0o600 });
    const login = { method: "token", token_file: file, token_role: "job", wrapped: true };
    expect((await mint(await entry({ login }, "host"), stored)).material.kind).toBe("fields");
  });

  it.each([
    ["can be read by others", { mode: 0o644 }, "0600"],
    ["is empty", { wrap: "" }, "0600"],
    ["holds another secret", { wrap: "nonsense" }, "wrapping token"],
  ])("is refused where the file %s", async (_, part, hint) => {
    const { login, sweeper } = await appRole(part);
    const error = mint(await entry({ login, sweeper }, "host"), stored);
    await expect(error).rejects.toMatchObject({ code: "provider-refused", hint: expect.stringContaining(hint) });
  });

  it("is refused where the secret id is not the role's", async () => {
    const { login, sweeper } = await appRole({});
    await writeFile(String(login["secret_id_file"]), "nonsense");
    const error = mint(await entry({ login, sweeper }, "host"), stored);
    await expect(error).rejects.toMatchObject({ code: "provider-refused", hint: expect.stringContaining("secret id") });
  });

  it("gives its login back when the token role refuses", async () => {
    const { bao } = bench;
    const { login, sweeper } = await appRole({});
    const error = mint(await entry({ login: { ...login, token_role: "mayfly-none" }, sweeper }, "host"), stored);
    await expect(error).rejects.toMatchObject({ code: "provider-refused" });
    const keys = (await bao.call("GET", "auth/token/accessors?list=true")).body.data?.["keys"] as readonly string[];
    const tokens = await Promise.all(keys.map((accessor) => bao.call("POST", "auth/token/lookup-accessor", { accessor })));
    expect(tokens.filter(({ body }) => body.data?.["path"] === "auth/approle/login")).toEqual([]);
    // The control: others are listed.
    expect(tokens.length).toBeGreaterThan(0);
  });

  it("does not take a token role whose tokens hang on the login", async () => {
    const { login, sweeper } = await appRole({});
    const error = mint(await entry({ login: { ...login, token_role: "hanging" }, sweeper }, "host"), stored);
    await expect(error).rejects.toMatchObject({ code: "provider-broken-promise", hint: expect.stringContaining("orphan") });
  });
});

describe("rotation", () => {
  const paths = ["database/rotate-root/roots", "database/rotate-role/report", "transit/keys/shop/rotate"];

  it("leaves the old one useless", async () => {
    const provider = await entry({ rotation: { role: "rotator", paths } });
    const { rotation } = provider;
    if (rotation === undefined) throw new Error("it can rotate");
    expect(rotation.names).toEqual(paths);
    const request = () => ({ proof: bench.authority.proofs.end("rotation"), signal: never });
    const before = await mint(provider, { path: "database/static-creds/report" });
    if (before.material.kind !== "username-password") throw new Error(before.material.kind);
    const works = async (user: string, password: string): Promise<boolean> =>
      (await bench.postgres.sql("select 1", { user, password })).code === 0;
    const old = text(before.material.password);
    expect([await works("report", old), await works("roots", "before")]).toEqual([true, true]);
    for (const path of paths) await rotation.rotate(path, request());
    expect([await works("report", old), await works("roots", "before")]).toEqual([false, false]);
    const after = await mint(provider, { path: "database/static-creds/report" });
    if (after.material.kind !== "username-password") throw new Error(after.material.kind);
    expect(await works("report", text(after.material.password))).toBe(true);
  });

  it("is refused for what its role may not rotate, and is not there where nobody asked for it", async () => {
    const provider = await entry({ rotation: { role: "rotator", paths: ["database/rotate-root/shop"] } });
    const request = { proof: bench.authority.proofs.end("rotation"), signal: never };
    await expect(provider.rotation?.rotate("database/rotate-root/shop", request)).rejects.toMatchObject({
      code: "provider-refused",
    });
    expect(bench.provider.rotation).toBeUndefined();
  });
});

describe("a namespace", () => {
  it("holds the login, the secret, the lease and its end", async () => {
    const { bao, authority } = bench;
    const inside = (method: string, path: string, body?: unknown): Promise<{ readonly status: number }> =>
      bao.call(method, `team/${path}`, body);
    await bao.call("POST", "sys/namespaces/team");
    const { issuer, pem } = authority.publicKeys().proofs;
    for (const policy of ["mayfly-engines", "mayfly-sweeper"]) {
      const text = (await bao.call("GET", `sys/policies/acl/${policy}`)).body.data?.["policy"];
      expect((await inside("POST", `sys/policies/acl/${policy}`, { policy: text })).status).toBeLessThan(300);
    }
    await inside("POST", "sys/auth/mayfly", { type: "jwt" });
    await inside("POST", "auth/mayfly/config", {
      jwt_validation_pubkeys: [pem],
      bound_issuer: issuer,
      jwt_supported_algs: ["RS256"],
    });
    const role = {
      role_type: "jwt",
      user_claim: "sub",
      bound_audiences: ["https://vault.test"],
      claim_mappings: { lease: "lease" },
      token_no_default_policy: true,
      token_ttl: 600,
      token_type: "service",
    };
    await inside("POST", "auth/mayfly/role/engines", {
      ...role,
      bound_claims: { purpose: "mint" },
      token_policies: ["mayfly-engines"],
    });
    await inside("POST", "auth/mayfly/role/sweeper", {
      ...role,
      bound_claims: { purpose: "end" },
      token_policies: ["mayfly-sweeper"],
    });
    await inside("POST", "sys/mounts/pki", { type: "pki" });
    await inside("POST", "pki/root/generate/internal", { common_name: "example.com", ttl: "87600h" });
    const web = {
      allowed_domains: ["jobs.example.com"],
      allow_subdomains: true,
      max_ttl: "24h",
      generate_lease: true,
      key_type: "ec",
      key_bits: 256,
    };
    await inside("POST", "pki/roles/web", web);

    const provider = await entry({ namespace: "team" });
    const options = { kind: "pki", path: "pki/issue/web", common_name: "a.jobs.example.com", revocable: true };
    const intent = intentOf({ ttl: 600_000 });
    const { ending } = await provider.mint({ intent, options, proof: authority.proofs.mint(intent), signal: never });
    expect(ending).toMatchObject({ kind: "revoke", handle: { leaseId: expect.stringMatching(/^pki\/issue\/web\/.+\..+$/) } });
    const { revocation } = provider;
    if (ending.kind !== "revoke" || revocation === "none") return;
    const request = { proof: authority.proofs.end(intent.lease), signal: never };
    expect(await revocation.recover(intent, options, request)).toMatchObject({ kind: "found" });
    await revocation.revoke(ending.handle, request);
    expect((await bao.call("POST", "sys/leases/lookup", { lease_id: ending.handle["leaseId"] })).status).toBe(400);
    expect(await revocation.recover(intent, options, request)).toEqual({ kind: "never-happened" });
  });

  it("is not written into a template's path: the lease would be looked for elsewhere", async () => {
    const options = { kind: "pki", path: "team/pki/issue/web", common_name: "a.jobs.example.com", revocable: true };
    await bench.bao.call("POST", "sys/policies/acl/shop-read", {
      policy: 'path "team/pki/issue/*" { capabilities = ["update"] }',
    });
    await expect(mint(bench.provider, options)).rejects.toMatchObject({
      code: "provider-broken-promise",
      hint: expect.stringContaining("namespace"),
    });
  });
});
