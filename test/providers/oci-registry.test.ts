import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLocalJWKSet, jwtVerify } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { noAuthority } from "../../src/commands/templates.ts";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { Intent, Minted, ProofKind, Provider } from "../../src/lease/provider.ts";
import type { Material } from "../../src/material.ts";
import { fill } from "../../src/policy/slots.ts";
import { systemClock } from "../../src/time.ts";
import { type Bench, intentOf, provesProvider } from "../conformance/provider.ts";
import { type Fault, FaultProxy } from "../servers/fault-proxy.ts";
import { type Registry, registryMissing, startRegistry } from "../servers/registry.ts";
import { configured } from "./configured.ts";

const reason = registryMissing();
const ttl = 600_000;
const password = "the-account's-own-password";
const audience = "https://auth.example.com";
const app = { repositories: [{ name: "shop/app", actions: ["pull", "push"] }] };

interface RegistryBench extends AsyncDisposable {
  readonly registry: Registry;
  readonly proxy: FaultProxy;
  readonly authority: BrokerAuthority;
  readonly provider: Provider<unknown>;
  configure(config: object, as?: ProofKind): Promise<Provider<unknown>>;
}

async function openBench(): Promise<RegistryBench> {
  const stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-registry-provider-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  const may = { "shop/app": ["pull", "push"], "shop/base": ["pull", "push", "delete"], "shop/read": ["pull"] };
  const registry = stack.use(
    await startRegistry({
      mayfly: { knows: (given) => given === password, may },
      federated: { knows: (given) => isProof(authority, given), may },
      other: { knows: (given) => given === "x", may },
    }),
  );
  const proxy = stack.use(await FaultProxy.start(registry.auth.port));
  const passwordFile = join(folder, "password");
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  const whole = {
    registry: registry.service,
    realm: `${proxy.address}/token`,
    service: registry.service,
    issuer: registry.issuer,
    login: { username: "mayfly", password_file: passwordFile },
    allow_plaintext: true,
    timeout: "1s",
  };
  const configure: RegistryBench["configure"] = (config, as = "host") =>
    configured("oci-registry", { ...whole, ...config }, { authority, as });
  const provider = await configure({});
  return { registry, proxy, authority, provider, configure, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** As a token server that trusts the broker would: by its published keys. */
async function isProof(authority: BrokerAuthority, given: string): Promise<boolean> {
  const { issuer, jwks } = authority.publicKeys().proofs;
  const keys = createLocalJWKSet({ keys: [...jwks.keys] });
  return jwtVerify(given, keys, { issuer, audience }).then(
    ({ payload }) => payload["purpose"] === "mint",
    () => false,
  );
}

async function mint(
  { provider, authority }: RegistryBench,
  options: object,
  using: { readonly provider?: Provider<unknown>; readonly intent?: Partial<Intent> } = {},
): Promise<Minted & { readonly token: string; readonly intent: Intent }> {
  const intent = intentOf({ ttl }, using.intent);
  const asked = using.provider ?? provider;
  const parsed = fill(asked.options.parse(options), {});
  const { signal } = new AbortController();
  const minted = await asked.mint({ intent, options: parsed, signal, proof: authority.proofs.mint(intent) });
  return { ...minted, intent, token: tokenOf(minted.material) };
}

function tokenOf(material: Material): string {
  if (material.kind !== "registry-login") throw new Error("no login");
  return material.password.use(String);
}

provesProvider(
  "oci-registry",
  async (): Promise<Bench> => {
    const bench = await openBench();
    const { provider, authority, proxy, registry } = bench;
    const parsed = (options: object): unknown => fill(provider.options.parse(options), {});
    return {
      provider,
      proofs: authority.proofs,
      options: parsed(app),
      ttl,
      works: async (material) => (await registry.push("shop/app", tokenOf(material))) === 201,
      alive: (lease) =>
        Promise.resolve(registry.auth.granted.filter(({ client }) => client === `mayfly-${lease}`).map(({ token }) => token)),
      upstream: {
        proxy,
        effects: [{ method: "GET", path: "/token" }],
        refused: parsed({ repositories: [{ name: "others/app", actions: ["pull"] }] }),
        never: {},
      },
      [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
    };
  },
  reason,
);

let bench: RegistryBench;
beforeAll(async () => {
  if (reason === undefined) bench = await openBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());

const caught = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "it went well",
    (error: unknown) => error,
  );

describe("a registry's token, by the word of a real registry,", () => {
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));

  it("works for what was asked, and names the registry", async () => {
    const { material, token } = await mint(bench, app);
    expect(material).toMatchObject({ registry: "registry.example.com", username: "registrytoken" });
    expect(await bench.registry.push("shop/app", token)).toBe(201);
    expect(await bench.registry.pull("shop/app", token)).toBe(200);
  });

  it("is refused for everything beside that", async () => {
    const all = await mint(bench, { repositories: [{ name: "shop/base", actions: ["pull", "push", "delete"] }] });
    expect(await bench.registry.push("shop/base", all.token)).toBe(201);
    const { token } = await mint(bench, { repositories: [{ name: "shop/base", actions: ["pull"] }] });
    // The account may do all of it; this token may only pull.
    expect(await bench.registry.pull("shop/base", token)).toBe(200);
    expect(await bench.registry.push("shop/base", token)).toBe(401);
    expect(await bench.registry.remove("shop/base", token)).toBe(401);
    expect(await bench.registry.push("shop/app", token)).toBe(401);
    expect(await bench.registry.pull("shop/app", token)).toBe(401);
    expect(await bench.registry.pull("shop/base-images", token)).toBe(401);
    expect(await bench.registry.catalog(token)).toBe(401);
    expect(await bench.registry.remove("shop/base", all.token)).toBe(202);
  });

  it("is good for several repositories, each in its own way", async () => {
    const { token } = await mint(bench, { repositories: [...app.repositories, { name: "shop/read", actions: ["pull"] }] });
    expect(await bench.registry.push("shop/app", token)).toBe(201);
    // 404: it may look, and there is nothing.
    expect(await bench.registry.pull("shop/read", token)).toBe(404);
    expect(await bench.registry.push("shop/read", token)).toBe(401);
  });

  it("is taken for a minute after its time, and no longer", async () => {
    const late = (seconds: number): number => Math.floor(Date.now() / 1_000) - seconds;
    const spent = async (seconds: number): Promise<number> => {
      bench.registry.auth.twist({ exp: late(seconds) });
      await caught(mint(bench, app));
      return bench.registry.push("shop/app", bench.registry.auth.granted.at(-1)?.token ?? "");
    };
    expect(await spent(45)).toBe(201);
    expect(await spent(75)).toBe(401);
    const { ending, token } = await mint(bench, app);
    const { exp } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as { readonly exp: number };
    expect(ending).toEqual({ kind: "expires", at: (exp + 60) * 1_000 });
  });

  it("is had with a proof of the broker's own, where the token server trusts it", async () => {
    const provider = await bench.configure({ login: { username: "federated", audience } }, "broker");
    const { token, intent } = await mint(bench, app, { provider });
    expect(await bench.registry.push("shop/app", token)).toBe(201);
    expect(bench.registry.auth.granted.at(-1)?.client).toBe(`mayfly-${intent.lease}`);
    const elsewhere = await bench.configure(
      { login: { username: "federated", audience: "https://other.example.com" } },
      "broker",
    );
    expect(await caught(mint(bench, app, { provider: elsewhere }))).toMatchObject({ code: "provider-refused" });
  });
});

describe("a token server that", () => {
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));

  const soon = (seconds: number): number => Math.floor(Date.now() / 1_000) + seconds;
  const access = (name: string, actions: readonly string[], type = "repository"): { readonly access: unknown } => ({
    access: [{ type, name, actions }],
  });

  const twists: readonly (readonly [string, () => Readonly<Record<string, unknown>>, string, string])[] = [
    [
      "gives another action too",
      () => access("shop/app", ["pull", "push", "delete"]),
      "provider-broken-promise",
      "more than was asked",
    ],
    ["gives another repository", () => access("shop/app2", ["pull", "push"]), "provider-broken-promise", "more than was asked"],
    ["gives everything", () => access("shop/app", ["*"]), "provider-broken-promise", "more than was asked"],
    ["gives the whole registry", () => access("catalog", ["*"], "registry"), "provider-broken-promise", "more than was asked"],
    ["gives less", () => access("shop/app", ["pull"]), "provider-refused", "less than the template asks for"],
    ["gives nothing, and does not say so", () => ({ access: null }), "provider-refused", "less than the template asks for"],
    ["gives it for another service", () => ({ aud: "other.example.com" }), "provider-broken-promise", "another service"],
    [
      "gives it for another service too",
      () => ({ aud: ["registry.example.com", "other.example.com"] }),
      "provider-broken-promise",
      "another service",
    ],
    ["signs as somebody else", () => ({ iss: "other.example.com" }), "provider-broken-promise", "another issuer"],
    ["gives it for longer", () => ({ exp: soon(541) }), "provider-broken-promise", "lives longer"],
    ["gives it for ever", () => ({ exp: undefined }), "provider-broken-promise", "does not say what it is good for"],
    ["gives an old one", () => ({ exp: soon(-1) }), "provider-broken-promise", "already expired"],
    ["is ahead of its time", () => ({ nbf: soon(120) }), "provider-broken-promise", "not valid yet"],
  ];
  it.each(twists)("%s is not believed", async (_, claims, code, message) => {
    bench.registry.auth.twist(claims());
    expect(await caught(mint(bench, app))).toMatchObject({ code, message: expect.stringContaining(message) });
    // The control.
    expect(await bench.registry.pull("shop/app", (await mint(bench, app)).token)).not.toBe(401);
  });

  const faults: readonly (readonly [string, Fault, string, string])[] = [
    ["does not take the login", { kind: "answer", status: 401, body: "{}" }, "provider-refused", "is its password still good"],
    ["does not know the service", { kind: "answer", status: 400, body: "{}" }, "provider-refused", "compare `service`"],
    ["is not there", { kind: "answer", status: 404, body: "" }, "provider-refused", "no token server at `realm`"],
    ["is asked too often", { kind: "answer", status: 429, body: "" }, "provider-unavailable", "asked too often"],
    [
      "sends elsewhere",
      { kind: "answer", status: 302, body: "", headers: { location: "https://x" } },
      "provider-unavailable",
      "right `realm`",
    ],
    [
      "gives what cannot be read",
      { kind: "answer", status: 200, body: '{"token":"ghp_opaque"}' },
      "provider-broken-promise",
      "opaque",
    ],
  ];
  it.each(faults)("%s: says what to do", async (_, fault, code, hint) => {
    bench.proxy.next(fault);
    expect(await caught(mint(bench, app))).toMatchObject({ code, hint: expect.stringContaining(hint) });
  });

  it("is asked for nothing that registries would not take", async () => {
    const before = bench.proxy.seen.length;
    const refused: readonly (readonly [readonly { readonly name: string; readonly actions: readonly string[] }[], string])[] = [
      [[{ name: "Shop/App", actions: ["pull"] }], "a repository's name"],
      [[{ name: "shop//app", actions: ["pull"] }], ""],
      [[{ name: "shop/app@x", actions: ["pull"] }], "a repository's name"],
      [[{ name: `shop/${"a".repeat(251)}`, actions: ["pull"] }], "a repository's name"],
      [[...app.repositories, ...app.repositories], "named twice"],
      [
        Array.from({ length: 16 }, (_, index) => ({ name: `${"a".repeat(250)}${index}`, actions: ["pull"] })),
        "longer than 4000",
      ],
    ];
    for (const [repositories, message] of refused)
      expect(String(await caught(mint(bench, { repositories })))).toContain(message);
    expect(bench.proxy.seen.length).toBe(before);
  });
});

describe("an entry of mayfly.yaml", () => {
  const whole = {
    registry: "registry.example.com",
    realm: "https://auth.example.com/token",
    service: "registry.example.com",
    login: { username: "mayfly", password_file: "/etc/mayfly/registry.password" },
  };
  const entry = (config: object, as: ProofKind = "host"): Promise<Provider<unknown>> =>
    configured("oci-registry", { ...whole, ...config }, { authority: noAuthority, as });
  const shown = { username: "mayfly", audience };

  it.each([
    ["a password", {}, "host"],
    ["a proof", { login: shown }, "broker"],
    ["the job's own token", { login: shown }, "job"],
  ] as const)("loads with %s", async (_, config, as) => {
    await expect(entry(config, as)).resolves.toMatchObject({ as });
  });

  it.each([
    ["plain http elsewhere", { realm: "http://auth.example.com/token", allow_plaintext: true }, "host", "must be https"],
    ["plain http that is not said", { realm: "http://127.0.0.1/token" }, "host", "must be https"],
    ["a scope of its own", { realm: "https://auth.example.com/token?scope=registry:catalog:*" }, "host", "must be https"],
    ["a registry that is an URL", { registry: "https://registry.example.com" }, "host", "as images name it"],
    ["a password as: broker", {}, "broker", "names an audience"],
    ["a proof as: host", { login: shown }, "host", "needs a password_file"],
    ["neither", { login: { username: "mayfly" } }, "host", "either a password_file or an audience"],
    ["an account with a colon", { login: { username: "a:b", audience } }, "broker", "an account's name"],
  ] as const)("does not load with %s", async (_, config, as, message) => {
    await expect(entry(config, as)).rejects.toMatchObject({
      code: "config-invalid",
      message: expect.stringContaining(message),
    });
  });

  it.each([
    ["no repository", []],
    ["every action", [{ name: "shop/app", actions: ["*"] }]],
    ["no action", [{ name: "shop/app", actions: [] }]],
    ["a claim as an action", [{ name: "shop/app", actions: ["{ref_type}"] }]],
    ["the catalogue", [{ name: "shop/app", actions: ["pull"], type: "registry" }]],
    ["a way up", [{ name: "shop/../others", actions: ["pull"] }]],
  ] as const)("refuses a template with %s", async (_, repositories) => {
    expect((await entry({})).options.safeParse({ repositories }).success).toBe(false);
    expect(
      (await entry({})).options.safeParse({ repositories: [{ name: "ci/{project_path_slug}", actions: ["pull"] }] }).success,
    ).toBe(true);
  });
});
