import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Provider } from "../../src/lease/provider.ts";
import { address } from "../servers/google-apis.ts";
import { asJob, bearerOf, type GcpBench, minted, objects, openGcpBench, read, textsOf, write } from "./gcp-bench.ts";

/** What a credential may do, by the stand-in's own word; and what was sent, to the letter. */
let bench: GcpBench;
const environment = { ...process.env };
beforeAll(async () => {
  bench = await openGcpBench();
});
afterAll(async () => {
  for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
  await bench[Symbol.asyncDispose]();
});

const mine = "519283746/app.tgz";
const secretOf = (name: string): readonly string[] => ["GET", `/v1/projects/shop-prod/secrets/${name}/versions/latest:access`];
const actAs = (name: string): readonly string[] => [
  "POST",
  `/v1/projects/-/serviceAccounts/${address(name)}:generateAccessToken`,
];
const account = address("ci-deploy");
const scope = (name: string): string => `https://www.googleapis.com/auth/${name}`;
const storage = (role: string, condition?: string): object => ({
  service_account: account,
  storage: [{ bucket: "shop-artifacts", roles: [role], ...(condition === undefined ? {} : { condition }) }],
});
const prefix = `resource.name.startsWith('${objects}/{repository_id}/')`;
const exactly = `resource.name == '${objects}/{repository_id}/app.tgz'`;

type Actions = Readonly<Record<string, readonly string[]>>;

const tables: readonly (readonly [string, unknown, Actions, Actions])[] = [
  [
    "scopes to read",
    { service_account: account, scopes: [scope("devstorage.read_only")] },
    { "reads an object": read("shop-artifacts", mine) },
    {
      "writes one": write("shop-artifacts", mine),
      "reads a bucket that its account may not": read("shop-private", mine),
      "reads a secret": secretOf("npm-519283746"),
      "acts as its own account again, for more": actAs("ci-deploy"),
    },
  ],
  [
    "a prefix to read",
    storage("roles/storage.objectViewer", prefix),
    { "reads below it": read("shop-artifacts", mine) },
    {
      "writes below it": write("shop-artifacts", mine),
      "reads its neighbour": read("shop-artifacts", "5192837460/app.tgz"),
      "reads another bucket": read("shop-other", mine),
      "reads a secret": secretOf("npm-519283746"),
      "acts as its own account again": actAs("ci-deploy"),
    },
  ],
  [
    "one object to write",
    storage("roles/storage.objectAdmin", exactly),
    { "writes it": write("shop-artifacts", mine), "reads it": read("shop-artifacts", mine) },
    {
      "writes beside it": write("shop-artifacts", "519283746/other.tgz"),
      "writes below it": write("shop-artifacts", `${mine}/x`),
      "writes another bucket's": write("shop-other", mine),
      "acts as another account": actAs("ci-reader"),
    },
  ],
  [
    "a bucket, whole",
    storage("roles/storage.objectViewer"),
    { "reads any object": read("shop-artifacts", "anything") },
    {
      "writes one": write("shop-artifacts", "anything"),
      "reads another bucket": read("shop-other", "anything"),
      "reads a secret": secretOf("npm-519283746"),
      "acts as its own account again": actAs("ci-deploy"),
    },
  ],
];

describe.each(tables)("a token for %s", (_, options, may, mayNot) => {
  let token: string;
  beforeAll(async () => {
    token = bearerOf((await minted(bench, options, { claims: { repository_id: "519283746" } })).material);
  });
  it.each(Object.entries(may))("%s", async (_action, call) => expect(await asJob(bench, token, call)).toBe(200));
  it.each(Object.entries(mayNot))("is refused when it %s", async (_action, call) =>
    expect(await asJob(bench, token, call)).toBe(403),
  );
});

describe("what is sent", () => {
  const lastOf = (path: string): string => bench.google.seen.findLast((line) => line.includes(path)) ?? "";

  it("asks for the template's scopes and its ttl, to the second", async () => {
    const before = Date.now();
    const { ending } = await minted(
      bench,
      { service_account: account, scopes: [scope("devstorage.read_only")] },
      { ttl: 421_500 },
    );
    expect(lastOf(":generateAccessToken")).toContain(
      JSON.stringify({ scope: [scope("devstorage.read_only")], lifetime: "421s" }),
    );
    expect(ending.kind === "expires" && ending.at - before).toBeLessThanOrEqual(421_500);
    expect(ending.kind === "expires" && ending.at - before).toBeGreaterThan(400_000);
  });

  it("gives a token within a boundary no longer life than the token that it is made of", async () => {
    const { material, ending } = await minted(bench, storage("roles/storage.objectViewer"), { ttl: 300_000 });
    const found = bench.google.issued.find(({ token }) => token === bearerOf(material));
    expect(found).toMatchObject({ kind: "downscoped" });
    expect(ending.kind === "expires" && ending.at).toBeLessThanOrEqual(found?.until ?? 0);
  });

  it("shows each mint a proof of its own, and takes no token from a cache", async () => {
    const options = { service_account: account, scopes: [scope("devstorage.read_only")] };
    const before = bench.google.issued.length;
    const leases = await Promise.all(Array.from({ length: 4 }, () => minted(bench, options)));
    const given = bench.google.issued.slice(before);
    expect(given.filter(({ kind }) => kind === "pool")).toHaveLength(4);
    expect(new Set(given.map(({ lease }) => lease)).size).toBe(4);
    expect(new Set(leases.map(({ material }) => bearerOf(material))).size).toBe(4);
  });
});

describe("a stored secret", () => {
  const reader = address("ci-reader");
  const secret = (name: string): string => `projects/shop-prod/secrets/${name}`;
  it.each([
    ["a text", { service_account: reader, secret: secret("npm-{repository_id}") }, { value: "npm_token-of-the-shop" }],
    [
      "an object's fields",
      { service_account: reader, secret: secret("registry"), format: "fields" },
      { username: "ci", password: "pw-of-the-registry", port: "5000" },
    ],
    ["one version", { service_account: reader, secret: secret("registry"), version: "7" }, {}],
    ["a regional one", { service_account: reader, secret: "projects/shop-prod/locations/europe-west3/secrets/registry" }, {}],
    ["without a service account", { secret: secret("direct") }, { value: "known-without-an-account" }],
  ])("is read: %s", async (_, options, fields) => {
    const { material, ending } = await minted(bench, options, { claims: { repository_id: "519283746" } });
    expect(textsOf(material)).toMatchObject(fields);
    expect(ending).toEqual({ kind: "static" });
  });

  it("is read byte by byte", async () => {
    const { material } = await minted(bench, { service_account: reader, secret: secret("binary") });
    const bytes = material.kind === "fields" ? material.fields["value"]?.use((held) => [...held]) : undefined;
    expect(bytes).toEqual(Array.from({ length: 256 }, (_, index) => index));
  });

  it("is read with a token that lives for five minutes, whatever the ttl", async () => {
    await minted(bench, { service_account: reader, secret: secret("registry") }, { ttl: 3_600_000 });
    const last = bench.google.issued.findLast(({ kind }) => kind === "access");
    expect((last?.until ?? 0) - Date.now()).toBeLessThanOrEqual(300_000);
  });
});

describe("as: host", () => {
  const asHost = async (): Promise<Provider<unknown>> => bench.again({ pool: undefined, timeout: "10s" }, "host");

  it("acts as a service account with the host's identity, by Google's default chain", async () => {
    Object.assign(process.env, {
      GCE_METADATA_HOST: `127.0.0.1:${bench.google.port}`,
      METADATA_SERVER_DETECTION: "assume-present",
    });
    const provider = await asHost();
    const options = { service_account: account, scopes: [scope("devstorage.read_only")] };
    const { material } = await minted(bench, options, { provider });
    const token = bearerOf(material);
    expect(await asJob(bench, token, read("shop-artifacts", mine))).toBe(200);
    expect(await asJob(bench, token, write("shop-artifacts", mine))).toBe(403);
    expect(bench.google.issued.find((one) => one.token === token)).toMatchObject({ kind: "access", principal: account });
    expect(textsOf((await minted(bench, { secret: "projects/shop-prod/secrets/direct" }, { provider })).material)).toEqual({
      value: "known-without-an-account",
    });
  });

  it("gives no job the host's own token", async () => {
    const provider = await asHost();
    expect(provider.options.safeParse({ scopes: [scope("devstorage.read_only")] }).success).toBe(false);
  });

  it("says so where the host has none", async () => {
    for (const name of ["GCE_METADATA_HOST", "GOOGLE_APPLICATION_CREDENTIALS"]) delete process.env[name];
    Object.assign(process.env, { METADATA_SERVER_DETECTION: "none", HOME: "/nonexistent" });
    const refused = minted(
      bench,
      { service_account: account, scopes: [scope("devstorage.read_only")] },
      { provider: await asHost() },
    );
    await expect(refused).rejects.toMatchObject({ code: "provider-unavailable", message: "this host has no Google identity" });
    Object.assign(process.env, { HOME: environment["HOME"] ?? "/root" });
  });
});
