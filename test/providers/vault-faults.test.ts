import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { BrokerError } from "../../src/errors.ts";
import type { Provider } from "../../src/lease/provider.ts";
import { Secret } from "../../src/secret.ts";
import { intentOf } from "../conformance/provider.ts";
import type { Fault, Matching } from "../servers/fault-proxy.ts";
import { vaultMissing } from "../servers/missing.ts";
import { configured } from "./configured.ts";
import { audience, engineLogin, openEquippedBench, type VaultBench } from "./vault-bench.ts";

/** What an operator sees of Vault's usual troubles: a code, and what to do next. */
const reason = vaultMissing();
let bench: VaultBench;
beforeAll(async () => {
  if (reason === undefined) bench = await openEquippedBench();
});
beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
afterEach(() => bench?.proxy.heal());
afterAll(() => bench?.[Symbol.asyncDispose]());

const never = new AbortController().signal;
const secret = { path: "secret/data/ci/519283746" };

async function failure(provider: Provider<unknown>, options: unknown = secret): Promise<BrokerError> {
  const intent = intentOf({ ttl: 600_000 });
  const asked = { intent, options, proof: bench.authority.proofs.mint(intent), signal: never };
  const error: unknown = await provider.mint(asked).catch((thrown: unknown) => thrown);
  expect(await bench.bao.tokensFor(intent.lease)).toEqual([]);
  return error as BrokerError;
}

const entry = (part: Readonly<Record<string, unknown>>): Promise<Provider<unknown>> =>
  configured(
    "vault",
    {
      address: bench.proxy.address,
      allow_plaintext: true,
      timeout: "2s",
      login: engineLogin,
      sweeper: { role: "sweeper" },
      ...part,
    },
    { authority: bench.authority },
  );

describe("what the real OpenBao refuses", () => {
  it.each([
    [
      "an audience that the role does not know",
      { login: { ...engineLogin, audience: "https://other.test" } },
      "bound_audiences",
    ],
    ["a role that is not there", { login: { ...engineLogin, role: "nobody" } }, "no such role"],
    ["a role that is for the sweeper", { login: { ...engineLogin, role: "sweeper" } }, "bound_claims"],
    ["a mount that is not there", { login: { ...engineLogin, mount: "nowhere" } }, "mount of the login"],
    ["a namespace that is not there", { namespace: "nowhere" }, "namespace of the provider's entry"],
  ])("%s", async (_, part, hint) => {
    expect(await failure(await entry(part))).toMatchObject({ code: "provider-refused", hint: expect.stringContaining(hint) });
  });

  it.each([
    ["a path that the policy lacks", { path: "secret/data/other/1" }, "policy lacks"],
    ["a secret that is not there", { path: "secret/data/ci/none" }, "nothing is stored"],
    ["an engine that is not there", { path: "nowhere/data/ci" }, "policy lacks"],
    ["a database role that is not there", { path: "database/creds/none" }, "no such role"],
    ["azure, which OpenBao does not have", { kind: "azure", path: "azure/creds/deploy" }, "policy lacks"],
    [
      "an ssh role that forbids naming the lease",
      { kind: "ssh", path: "ssh/sign/nameless", principals: ["deploy"] },
      "allow_user_key_ids",
    ],
    ["a policy that the login has not", { kind: "token", policies: ["mayfly-sweeper"] }, "add it to the role's policies"],
  ])("%s", async (_, options, hint) => {
    expect(await failure(bench.provider, options)).toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining(hint),
    });
  });

  it("a token whose issuer or signature is another's", async () => {
    const { bao } = bench;
    const before = (await bao.call("GET", "auth/mayfly/config")).body.data;
    await bao.call("POST", "auth/mayfly/config", { ...before, bound_issuer: "https://other.test" });
    expect(await failure(bench.provider)).toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining("bound_issuer"),
    });
    await bao.call("POST", "auth/mayfly/config", before);
    const intent = intentOf({ ttl: 600_000 });
    const [head, claims] = (await bench.authority.proofs.mint(intent).token(audience))
      .use((bytes) => bytes.toString())
      .split(".");
    const forged = { token: () => Promise.resolve(Secret.of(`${head}.${claims}.${Buffer.alloc(384).toString("base64url")}`)) };
    await expect(bench.provider.mint({ intent, options: secret, proof: forged, signal: never })).rejects.toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining("keys show"),
    });
    expect(
      await bench.provider.mint({ intent, options: secret, proof: bench.authority.proofs.mint(intent), signal: never }),
    ).toMatchObject({
      ending: { kind: "static" },
    });
  });

  it("everything while it is sealed, and nothing once it is not", async () => {
    const sealed = await openEquippedBench();
    await sealed.bao.seal();
    const intent = intentOf({ ttl: 600_000 });
    const asked = { intent, options: secret, proof: sealed.authority.proofs.mint(intent), signal: never };
    await expect(sealed.provider.mint(asked)).rejects.toMatchObject({
      code: "provider-unavailable",
      hint: expect.stringContaining("unseal"),
    });
    await sealed.bao.unseal();
    expect((await sealed.provider.mint(asked)).material.kind).toBe("fields");
    await sealed[Symbol.asyncDispose]();
  });
});

/** What this OpenBao cannot be made to answer, word by word as Vault answers it. */
describe("what vault answers elsewhere", () => {
  const login: Matching = { path: "/login" };
  const answers: readonly (readonly [string, Fault, string, string])[] = [
    [
      "a standby that forwards nothing",
      { kind: "answer", status: 307, body: "", headers: { location: "https://10.0.0.2:8200/" } },
      "provider-unavailable",
      "standby",
    ],
    ["a standby that says so by its status", { kind: "answer", status: 429, body: "" }, "provider-unavailable", "standby"],
    [
      "a rate limit",
      { kind: "answer", status: 429, body: '{"errors":["request path \\"auth/x\\": rate limit quota exceeded"]}' },
      "provider-unavailable",
      "quota",
    ],
    [
      "a sealed vault",
      { kind: "answer", status: 503, body: '{"errors":["Vault is sealed"]}' },
      "provider-unavailable",
      "unseal",
    ],
    ["a vault in maintenance", { kind: "answer", status: 503, body: '{"errors":[]}' }, "provider-unavailable", "maintenance"],
    [
      "a clock that is ahead",
      {
        kind: "answer",
        status: 400,
        body: '{"errors":["error validating token: invalid issued at (iat) claim: token issued in the future"]}',
      },
      "provider-refused",
      "clocks",
    ],
    [
      "an expired token",
      {
        kind: "answer",
        status: 400,
        body: '{"errors":["error validating token: invalid expiration time (exp) claim: token is expired"]}',
      },
      "provider-refused",
      "clocks",
    ],
  ];
  it.each(answers)("%s", async (_, fault, code, hint) => {
    bench.proxy.next(fault, login);
    expect(await failure(bench.provider)).toMatchObject({ code, hint: expect.stringContaining(hint) });
  });

  it("202 on a revocation: asked again until it is gone", async () => {
    const intent = intentOf({ ttl: 600_000 });
    const options = { path: "database/creds/shop-migrate" };
    const { ending } = await bench.provider.mint({
      intent,
      options,
      proof: bench.authority.proofs.mint(intent),
      signal: never,
    });
    if (ending.kind !== "revoke" || bench.provider.revocation === "none") throw new Error(ending.kind);
    const { revocation } = bench.provider;
    const request = { proof: bench.authority.proofs.end(intent.lease), signal: never };
    // Taken on by nobody: the lease is still there, so it is not called revoked.
    bench.proxy.next({ kind: "answer", status: 202, body: "" }, { path: "/sys/leases/revoke" });
    await expect(revocation.revoke(ending.handle, request)).rejects.toMatchObject({
      hint: expect.stringContaining("has not done it"),
    });
    expect(await bench.bao.leases("database/creds/shop-migrate")).toHaveLength(1);
    // Taken on and done a moment later.
    bench.proxy.next({ kind: "answer", status: 202, body: "" }, { path: "/sys/leases/revoke" });
    const later = setTimeout(
      () => void bench.bao.call("POST", "sys/leases/revoke", { lease_id: ending.handle["leaseId"], sync: true }),
      400,
    );
    await revocation.revoke(ending.handle, request);
    clearTimeout(later);
    expect(await bench.bao.leases("database/creds/shop-migrate")).toEqual([]);
    expect(await bench.bao.tokensFor(intent.lease)).toEqual([]);
  });
});
