import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Secret } from "../../src/secret.ts";
import { intentOf } from "../conformance/provider.ts";
import { apps, management, tenant, vaultResource, version } from "../servers/entra.ts";
import { type AzureBench, asJob, authorityOf, life, minted, openAzureBench, scope } from "./azure-bench.ts";

let bench: AzureBench;
beforeAll(async () => {
  bench = await openAzureBench();
});
afterAll(() => bench[Symbol.asyncDispose]());

const usual = { client_id: apps.deploy, scope };
const stored = (secret: string, more: object = {}): object => ({ client_id: apps.reader, vault: "shop-ci", secret, ...more });
const caught = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "it was given",
    (error: unknown) => error,
  );

describe("a token for one resource", () => {
  let token: string;
  beforeAll(async () => {
    const { material } = await minted(bench, usual);
    token = material.kind === "bearer" ? material.token.use((bytes) => bytes.toString("utf8")) : "";
  });
  it("reads its app's resource group", async () =>
    expect(await asJob(bench, token, ["GET", "/resourceGroups/shop"])).toBe(200));
  it.each([
    ["reads another's", ["GET", "/resourceGroups/payroll"], 403],
    ["changes its own", ["PUT", "/resourceGroups/shop"], 403],
    ["reads a secret: that is another resource", ["GET", "/secrets/npm-519283746/?api-version=2025-07-01"], 401],
    ["asks for a token with it", ["POST", `/${tenant}/oauth2/v2.0/token`], 401],
  ])("is refused when it %s", async (_, call, status) => expect(await asJob(bench, token, call)).toBe(status));

  it("is another for each lease, each with an assertion of its own", async () => {
    const before = bench.entra.issued.length;
    await Promise.all(Array.from({ length: 4 }, () => minted(bench, usual)));
    const given = bench.entra.issued.slice(before);
    expect(given).toHaveLength(4);
    expect(new Set(given.map(({ lease }) => lease)).size).toBe(4);
    expect(new Set(given.map(({ token: one }) => one)).size).toBe(4);
  });

  it("has its life stated as what it is", async () => {
    const { ending } = await minted(bench, usual);
    const last = bench.entra.issued.at(-1);
    expect(ending.kind).toBe("expires");
    expect(Math.abs((ending.kind === "expires" ? ending.at : 0) - (last?.until ?? 0))).toBeLessThan(2_000);
  });

  it("is asked for to the letter", async () => {
    await minted(bench, usual);
    const form = new URLSearchParams(bench.entra.seen.at(-1)?.split(" ")[2]);
    form.delete("client_assertion");
    expect(Object.fromEntries(form)).toEqual({
      grant_type: "client_credentials",
      client_id: apps.deploy,
      scope: "https://management.azure.com/.default",
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    });
  });
});

describe("a ttl that entra does not keep", () => {
  it.each([
    ["an hour", 3_600_000, {}, "ttl: 90m"],
    ["a millisecond less", life - 1, {}, "ttl: 90m"],
    ["less than the policy that mayfly.yaml tells of", life, { token_life: "4h" }, "ttl: 4h"],
  ])("is refused before anybody is asked: %s", async (_, ttl, config, hint) => {
    const before = bench.proxy.seen.length;
    const error = await caught(minted(bench, usual, { ttl, provider: await bench.again(config) }));
    expect(error).toMatchObject({ code: "provider-refused", hint: expect.stringContaining(hint) });
    expect(bench.proxy.seen.slice(before)).toEqual([]);
  });
  it("is a broken promise where a policy gives more than was said", async () => {
    const error = await caught(minted(bench, { client_id: apps.eternal, scope }));
    expect(error).toMatchObject({ code: "provider-broken-promise", hint: expect.stringContaining("token_life") });
  });
  it("is kept where both say the policy's", async () => {
    const provider = await bench.again({ token_life: "4h" });
    const { ending } = await minted(bench, { client_id: apps.eternal, scope }, { ttl: 14_400_000, provider });
    expect(ending.kind === "expires" && ending.at - Date.now()).toBeGreaterThan(14_000_000);
  });
  it("may be short where a policy makes it so", async () => {
    const provider = await bench.again({ token_life: "15m" });
    const { ending } = await minted(bench, { client_id: apps.brief, scope }, { ttl: 900_000, provider });
    expect(ending.kind === "expires" && ending.at - Date.now()).toBeLessThanOrEqual(900_000);
  });
  it("does not matter to a secret, which is read at once", async () => {
    expect((await minted(bench, stored("npm-519283746"), { ttl: 60_000 })).ending).toEqual({ kind: "static" });
  });
});

describe("a stored secret", () => {
  it.each([
    ["a text", stored("npm-{repository_id}"), { value: "npm_token-of-the-shop" }],
    ["an object's fields", stored("registry", { format: "fields" }), { username: "ci", password: "pw-of-the-registry" }],
    ["one version", stored("npm-519283746", { version }), { value: "npm_token-of-the-shop" }],
  ])("is read: %s", async (_, options, fields) => {
    const { material } = await minted(bench, options, { claims: { repository_id: "519283746" } });
    const texts =
      material.kind === "fields"
        ? Object.entries(material.fields).map(([name, one]) => [name, one.use((bytes) => bytes.toString())])
        : [];
    expect(Object.fromEntries(texts)).toEqual(fields);
    expect(bench.entra.issued.at(-1)).toMatchObject({ audience: vaultResource, client: apps.reader });
  });
});

describe("entra refuses", () => {
  const refusals: readonly (readonly [string, object, Readonly<Record<string, unknown>>, number, string])[] = [
    ["an audience that the app does not take", usual, { audience: "api://other" }, 700212, "federated credential"],
    [
      "an app that it does not know",
      { ...usual, client_id: "aaaaaaaa-0000-4000-8000-0000000000ff" },
      {},
      700016,
      "`client_id`",
    ],
    ["an app of other workloads", { ...usual, client_id: apps.stranger }, {}, 700213, "federated credential"],
    ["an app that is disabled", { ...usual, client_id: apps.disabled }, {}, 7000112, "enable"],
    ["a resource that is not there", { ...usual, scope: "https://nowhere.example.com/.default" }, {}, 500011, "one resource"],
  ];
  it.each(refusals)("%s", async (_, ...[options, config, code, hint]) => {
    const error = await caught(minted(bench, options, { provider: await bench.again(config) }));
    expect(error).toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining(hint),
      detail: expect.stringContaining(`AADSTS${code}`),
    });
  });

  it.each([
    ["another issuer's assertion", "https://other.test", 0, 700211, "federated credential"],
    ["an issuer with a slash too many", "https://mayfly.test/", 0, 700211, "federated credential"],
    ["another key's signature", "https://mayfly.test", 0, 50013, "mayfly keys publish"],
    ["an assertion from the past", "https://mayfly.test", 600_000, 700024, "clock"],
  ])("%s", async (_, ...[issuer, age, code, hint]) => {
    const { proofs } = await authorityOf(issuer, age);
    const error = await caught(minted(bench, usual, { proof: proofs.mint(intentOf({ ttl: life })) }));
    expect(error).toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining(hint),
      detail: expect.stringContaining(`AADSTS${code}`),
    });
  });
  it("another workload's job, and the broker's own proof for ending", async () => {
    const proofs = [
      bench.authority.proofs.mint(intentOf({ ttl: life }, { workload: "github:1" })),
      bench.authority.proofs.end("lse-0"),
    ];
    for (const proof of proofs)
      expect(await caught(minted(bench, usual, { proof }))).toMatchObject({ detail: expect.stringContaining("AADSTS700213") });
  });
  it("nothing of an app that names the workload", async () => {
    expect(await caught(minted(bench, { ...usual, client_id: apps.stranger }, { workload: "github:1" }))).toBe("it was given");
  });

  it.each([
    ["a secret of others", stored("other"), "Key Vault Secrets User"],
    ["a secret that is disabled", stored("off"), "enable it"],
    ["a version that is not there", stored("npm-519283746", { version: "f".repeat(32) }), "`version`"],
    ["a text that is no object", stored("npm-519283746", { format: "fields" }), "format: text"],
  ])("the vault: %s", async (_, options, hint) => {
    expect(await caught(minted(bench, options))).toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining(hint),
    });
  });
  it("the vault: a quota that is used up", async () => {
    bench.proxy.next(
      { kind: "answer", status: 429, body: '{"error":{"code":"Throttled","message":"slow"}}' },
      { path: "/secrets/" },
    );
    expect(await caught(minted(bench, stored("registry")))).toMatchObject({
      code: "provider-unavailable",
      hint: "its quota is used up",
    });
  });
});

describe("an answer that was not asked for", () => {
  const jwt = (payload: object): string =>
    `${Buffer.from('{"alg":"RS256"}').toString("base64url")}.${Buffer.from(JSON.stringify(payload)).toString("base64url")}.AAAA`;
  const exp = Math.floor(Date.now() / 1_000) + 3_600;
  const token = (claims: object, seconds = 3_599): object => ({
    token_type: "Bearer",
    expires_in: seconds,
    access_token: jwt({ exp, tid: tenant, appid: apps.deploy, ...claims }),
  });
  it.each([
    ["of another app", usual, token({ appid: apps.reader }), "another app"],
    ["of another tenant", usual, token({ tid: "99999999-2222-3333-4444-555555555555" }), "another app"],
    ["that lives for a day", usual, token({}, 86_400), "lives longer"],
    ["that lives for a day, and says less", usual, token({ exp: exp + 86_400 }), "lives longer"],
    [
      "of another secret",
      stored("registry"),
      { value: "x", id: `https://shop-ci.vault.azure.net/secrets/other/${version}` },
      "another secret",
    ],
    [
      "of another version",
      stored("registry", { version }),
      { value: "x", id: `https://x.vault.azure.net/secrets/registry/${"f".repeat(32)}` },
      "another secret",
    ],
  ])("is a broken promise: one %s", async (_, options, body, message) => {
    const path = options === usual ? "/oauth2/" : "/secrets/";
    bench.proxy.next({ kind: "answer", status: 200, body: JSON.stringify(body) }, { path });
    expect(await caught(minted(bench, options))).toMatchObject({
      code: "provider-broken-promise",
      message: expect.stringContaining(message),
    });
  });
  it("is taken where it cannot be read: it is the resource's", async () => {
    bench.proxy.next({
      kind: "answer",
      status: 200,
      body: '{"token_type":"Bearer","expires_in":3599,"access_token":"opaque"}',
    });
    expect(await caught(minted(bench, usual))).toBe("it was given");
  });
});

describe("the way to azure", () => {
  it("gives up on a black hole when it is told to", async () => {
    bench.proxy.next({ kind: "black-hole" });
    const before = performance.now();
    expect(await caught(minted(bench, usual, { signal: AbortSignal.timeout(100) }))).toBeInstanceOf(Error);
    expect(performance.now() - before).toBeLessThan(1_000);
  });
  it("goes through no proxy", async () => {
    const elsewhere: IncomingMessage[] = [];
    const proxy = createServer((request, response) => {
      elsewhere.push(request);
      response.end();
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    Object.assign(process.env, { HTTP_PROXY: url, HTTPS_PROXY: url, http_proxy: url });
    await minted(bench, usual);
    for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy"]) delete process.env[name];
    await new Promise((resolve) => proxy.close(resolve));
    expect(elsewhere).toEqual([]);
  });
  it("keeps what entra repeats out of the error", async () => {
    bench.proxy.next({
      kind: "answer",
      status: 400,
      body: JSON.stringify({ error_codes: [70021], error_description: "I saw canary-assertion" }),
    });
    const proof = { token: () => Promise.resolve(Secret.of("canary-assertion")) };
    expect(await caught(minted(bench, usual, { proof }))).toMatchObject({
      detail: "entra: status 400: AADSTS70021: I saw [secret]",
    });
  });
});

describe("the entry in mayfly.yaml", () => {
  const loads = async (config: object): Promise<unknown> =>
    caught(bench.again({ endpoints: {}, allow_plaintext: false, ...config }));
  it.each([
    ["as the documentation has it", {}],
    ["another cloud", { cloud: "china", token_life: "24h" }],
    ["a private link", { endpoints: { vaults: { "shop-ci": "https://shop-ci.privatelink.example.com" } } }],
  ])("loads %s", async (_, config) => expect(await loads(config)).toBe("it was given"));
  it.each([
    ["a tenant by its name", { tenant: "example.onmicrosoft.com" }],
    ["another cloud than there is", { cloud: "mars" }],
    ["a life that no policy gives", { token_life: "5m" }],
    ["a life of more than a day", { token_life: "25h" }],
    ["plain http", { endpoints: { login: "http://127.0.0.1:1" } }],
    ["plain http elsewhere", { endpoints: { vaults: { "shop-ci": "http://vault.example.com" } }, allow_plaintext: true }],
    ["an endpoint with a path", { endpoints: { login: "https://login.example.com/tenant" } }],
    ["a file that is not there", { ca: "/nonexistent" }],
    ["a secret", { client_secret: "x" }],
  ])("does not load %s", async (_, config) => expect(await loads(config)).toMatchObject({ code: "config-invalid" }));
});

describe("a template's part", () => {
  const accepts = (options: object): boolean => bench.provider.options.safeParse(options).success;
  it.each([
    ["a resource", usual],
    ["an API of one's own", { ...usual, scope: "api://11111111-2222-3333-4444-555555555555/.default" }],
    ["a secret with a slot", stored("npm-{repository_id}")],
  ])("may say %s", (_, options) => expect(accepts(options)).toBe(true));
  it.each([
    ["nothing", {}],
    ["both", { ...usual, vault: "shop-ci", secret: "npm" }],
    ["no app", { scope }],
    ["a slot in an app", { ...usual, client_id: "{client_id}" }],
    ["a slot in a resource", { ...usual, scope: "https://{ref}/.default" }],
    ["two resources", { ...usual, scope: `${scope} ${vaultResource}/.default` }],
    ["one permission", { ...usual, scope: `${management}/user_impersonation` }],
    ["a secret without its vault", { client_id: apps.reader, secret: "npm" }],
    ["a vault by its address", { ...stored("npm"), vault: "shop-ci.vault.azure.net" }],
    ["a slot in a vault", { ...stored("npm"), vault: "{ref}" }],
    ["a vault's name that is too long", { ...stored("npm"), vault: "a-b-c-d-e-f-g-h-i-j-k-l-mn" }],
    ["a path in a secret", stored("a/b")],
    ["a version of a token", { ...usual, version }],
    ["a key that nobody knows", { ...usual, tenant }],
  ])("may not say %s", (_, options) => expect(accepts(options)).toBe(false));
  it.each([["../x"], ["a/b"], ["a?x=1"], ["a.b"], ["x".repeat(128)]])("is refused, filled with %s", async (ref) => {
    const before = bench.proxy.seen.length;
    const error = await caught(minted(bench, stored("npm-{ref}"), { claims: { ref } }));
    expect(["slot-unfillable", "provider-refused"]).toContain(error instanceof Error && "code" in error ? error.code : error);
    expect(bench.proxy.seen.slice(before)).toEqual([]);
  });
});
