import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { ProofKind, Provider } from "../../src/lease/provider.ts";
import { fill } from "../../src/policy/slots.ts";
import { systemClock } from "../../src/time.ts";
import { configured } from "./configured.ts";

const pool = "projects/123456789012/locations/global/workloadIdentityPools/mayfly/providers/mayfly";

let folder: string;
let authority: BrokerAuthority;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const configure = (config: object, as: ProofKind = "broker"): Promise<Provider<unknown>> =>
  configured("gcp", config, { authority, as });

describe("the entry in mayfly.yaml", () => {
  it.each([
    ["as the documentation has it", { pool }],
    ["an audience of its own", { pool, audience: "https://mayfly.example.com" }],
    ["private endpoints", { pool, endpoints: { sts: "https://sts.example.com" } }],
    ["plain http on loopback, when that is said", { pool, endpoints: { sts: "http://127.0.0.1:1" }, allow_plaintext: true }],
  ])("loads %s", async (_, config) => expect((await configure(config)).revocation).toBe("none"));

  it("needs no pool as: host", async () => expect((await configure({}, "host")).revocation).toBe("none"));

  it.each([
    ["no pool", {}],
    ["a project by its name", { pool: pool.replace("123456789012", "shop-prod") }],
    ["a pool with its scheme", { pool: `//iam.googleapis.com/${pool}` }],
    ["a pool without its provider", { pool: pool.replace(/\/providers.*/, "") }],
    ["plain http", { pool, endpoints: { sts: "http://127.0.0.1:1" } }],
    ["plain http elsewhere", { pool, endpoints: { sts: "http://sts.example.com" }, allow_plaintext: true }],
    ["an endpoint with a user", { pool, endpoints: { sts: "https://user:pw@sts.example.com" } }],
    ["an endpoint with a path", { pool, endpoints: { sts: "https://sts.example.com/v1" } }],
    ["an endpoint of something else", { pool, endpoints: { compute: "https://compute.example.com" } }],
    ["a file that is not there", { pool, ca: "/nonexistent" }],
    ["a key", { pool, credentials_json: "{}" }],
  ])("does not load %s", async (_, config) => {
    await expect(configure(config)).rejects.toMatchObject({ code: "config-invalid" });
  });
});

const account = "ci-deploy@shop-prod.iam.gserviceaccount.com";
const scopes = ["https://www.googleapis.com/auth/devstorage.read_only"];
const objects = "projects/_/buckets/shop/objects";
const rule = { bucket: "shop", roles: ["roles/storage.objectViewer"] };
const when = (condition: string): object => ({ service_account: account, storage: [{ ...rule, condition }] });
const accepts = async (options: object, as?: ProofKind): Promise<boolean> =>
  (await configure({ pool }, as)).options.safeParse(options).success;

describe("a template's part", () => {
  it.each([
    ["scopes", { service_account: account, scopes }],
    ["a domain's project", { service_account: "ci-deploy@shop-prod.example.com.iam.gserviceaccount.com", scopes }],
    ["the pool's own principal", { scopes }],
    ["a bucket", { service_account: account, storage: [rule] }],
    ["a custom role", { service_account: account, storage: [{ ...rule, roles: ["projects/shop-prod/roles/ciUpload"] }] }],
    [
      "ten rules",
      {
        service_account: account,
        storage: Array.from({ length: 10 }, () => ({ bucket: "b1", roles: ["roles/storage.admin"] })),
      },
    ],
    ["an ID token", { service_account: account, id_token: "https://shop.example.com" }],
    ["a secret", { secret: "projects/shop-prod/secrets/npm-{repository_id}" }],
    ["a regional secret", { secret: "projects/shop-prod/locations/europe-west3/secrets/npm", version: "7", format: "fields" }],
    ["a prefix with a slot", when(`resource.name.startsWith('${objects}/{repository_id}/')`)],
    ["a slot inside a segment", when(`resource.name.startsWith("${objects}/ci-{repository_id}/x")`)],
    ["a whole name", when(`resource.name == '${objects}/{repository_id}/{run_id}.tgz'`)],
    ["a whole name, first", when(`'${objects}/{repository_id}' == resource.name`)],
    ["a slot behind another kind of quote", when(`"it's" == '{ref}'`)],
    ["a condition without slots, whatever it says", when(`resource.name.matches('.*\\\\.tgz') || true`)],
  ])("may say %s", async (_, options) => expect(await accepts(options)).toBe(true));

  it.each([
    ["nothing", {}],
    ["an account alone", { service_account: account }],
    ["two kinds", { service_account: account, scopes, id_token: "https://shop.example.com" }],
    ["no scopes", { service_account: account, scopes: [] }],
    ["a slot in a scope", { service_account: account, scopes: ["https://www.googleapis.com/auth/{event_name}"] }],
    ["a scope by its short name", { service_account: account, scopes: ["cloud-platform"] }],
    [
      "two scopes in one",
      { service_account: account, scopes: [`${scopes[0]} https://www.googleapis.com/auth/cloud-platform`] },
    ],
    ["a slot in an account", { service_account: "ci-{ref}@shop-prod.iam.gserviceaccount.com", scopes }],
    ["a person", { service_account: "mona@example.com", scopes }],
    ["the default account of a project's machines", { service_account: "1234-compute@developer.gserviceaccount.com", scopes }],
    ["a path in an account", { service_account: "x/y:z@shop-prod.iam.gserviceaccount.com", scopes }],
    ["storage without an account", { storage: [rule] }],
    ["an ID token without an account", { id_token: "https://shop.example.com" }],
    ["a slot in an audience", { service_account: account, id_token: "https://{ref}.example.com" }],
    ["a boundary without rules", { service_account: account, storage: [] }],
    ["eleven rules", { service_account: account, storage: Array.from({ length: 11 }, () => rule) }],
    ["a rule without roles", { service_account: account, storage: [{ ...rule, roles: [] }] }],
    ["a role of everything", { service_account: account, storage: [{ ...rule, roles: ["roles/owner"] }] }],
    ["a slot in a bucket", { service_account: account, storage: [{ ...rule, bucket: "shop-{ref}" }] }],
    ["every bucket", { service_account: account, storage: [{ ...rule, bucket: "*" }] }],
    ["a boundary that is too long", when(`resource.name == '${"x".repeat(2_000)}'`)],
    ["a slot outside of a string", when(`resource.name == {ref}`)],
    ["a slot in a prefix that ends with it", when(`resource.name.startsWith('${objects}/{repository_id}')`)],
    ["a slot behind the last slash of a prefix", when(`resource.name.startsWith('${objects}/{repository_id}/{ref}')`)],
    ["a slot that is compared by !=", when(`resource.name != '${objects}/{repository_id}/x'`)],
    ["a slot that is compared by >=", when(`resource.name >= '${objects}/{repository_id}/x'`)],
    ["a slot in a suffix", when(`resource.name.endsWith('/{repository_id}/')`)],
    ["a slot in a pattern", when(`resource.name.matches('${objects}/{repository_id}/')`)],
    ["a slot in a string of three quotes", when(`resource.name == '''{ref}'''`)],
    ["a slot beside a backslash", when(`resource.name == '\\'{ref}'`)],
    ["a slot in a string within a string", when(`resource.name.contains("== '{ref}'")`)],
    ["a slot between two strings", when(`"'" + {ref} + "'" == resource.name`)],
    ["a secret of any project", { secret: "projects/{ref}/secrets/npm" }],
    ["a secret's version in its name", { secret: "projects/shop-prod/secrets/npm/versions/7" }],
    ["a version of a token", { service_account: account, scopes, version: "7" }],
    ["a key that nobody knows", { service_account: account, scopes, lifetime: "3600s" }],
  ])("may not say %s", async (_, options) => expect(await accepts(options)).toBe(false));

  it("may not hand on the host's own token", async () => {
    expect(await accepts({ scopes }, "host")).toBe(false);
    expect(await accepts({ service_account: account, scopes }, "host")).toBe(true);
  });

  it.each([
    ["another's directory", "77/../78"],
    ["the end of the string", "77') || true || ('"],
    ["a pattern", "*"],
    ["nothing", ""],
  ])("is not filled with %s", async (_, ref) => {
    const options = (await configure({ pool })).options.parse(when(`resource.name.startsWith('${objects}/{ref}/')`));
    expect(() => fill(options, { ref })).toThrow(expect.objectContaining({ code: "slot-unfillable" }));
  });

  it("is what is sent once it is filled, to the letter", async () => {
    const { options } = await configure({ pool });
    const filled = fill(options.parse(when(`resource.name.startsWith('${objects}/{ref}/')`)), { ref: "77" });
    expect(filled).toMatchObject({ storage: [{ condition: `resource.name.startsWith('${objects}/77/')` }] });
  });
});
