import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { Provider } from "../../src/lease/provider.ts";
import { fill } from "../../src/policy/slots.ts";
import { systemClock } from "../../src/time.ts";
import { configured } from "./configured.ts";

const good = { app: "Iv23liMayflyTests", key_file: "/etc/mayfly/github-app.pem", installation: "42424242" };

let folder: string;
let authority: BrokerAuthority;
let provider: Provider<unknown>;
const configure = (config: unknown): Promise<Provider<unknown>> => configured("github", config, { authority });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  provider = await configure(good);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the entry in mayfly.yaml", () => {
  it.each([
    ["as the documentation has it", {}],
    ["ids that YAML reads as numbers", { app: 123456, installation: 42424242 }],
    ["GitHub Enterprise Server", { address: "https://github.example.com/api/v3" }],
    ["plain http on loopback, when that is said", { address: "http://127.0.0.1:1", allow_plaintext: true }],
  ])("loads: %s", async (_, part) => {
    await expect(configure({ ...good, ...part })).resolves.toBeDefined();
  });

  it.each([
    ["plain http", { address: "http://127.0.0.1:1" }, "the address must be https"],
    ["plain http to another host", { address: "http://api.example.com", allow_plaintext: true }, "the address must be https"],
    ["credentials in the address", { address: "https://a:b@github.example.com/api/v3" }, "the address must be https"],
    ["a key in mayfly.yaml", { key_file: "-----BEGIN RSA PRIVATE KEY-----" }, "key_file"],
    ["an installation that is a path", { installation: "1/../2" }, "installation"],
    ["no installation", { installation: undefined }, "installation"],
    ["a key that nobody knows", { token: "ghp_x" }, "token"],
    ["a ca that cannot be read", { ca: "/nonexistent/ca.pem" }, "/nonexistent/ca.pem cannot be read"],
  ])("does not load: %s", async (_, part, why) => {
    await expect(async () => configure({ ...good, ...part })).rejects.toThrow(
      expect.objectContaining({ code: "config-invalid", message: expect.stringContaining(why) }),
    );
  });
});

describe("a template's part", () => {
  const permissions = { contents: "read" };

  it.each([
    ["ids", { repository_ids: [519283746, "519283747"], permissions }, {}, { repository_ids: ["519283746", "519283747"] }],
    [
      "an id of a claim",
      { repository_ids: ["{repository_id}"], permissions },
      { repository_id: "7" },
      { repository_ids: ["7"] },
    ],
    [
      "names",
      { repositories: ["shop", ".github", "a_b-c.d"], permissions },
      {},
      { repositories: ["shop", ".github", "a_b-c.d"] },
    ],
    ["a hundred", { repository_ids: Array.from({ length: 100 }, (_, at) => at + 1), permissions }, {}, {}],
    ["several permissions", { repositories: ["shop"], permissions: { contents: "write", repository_hooks: "admin" } }, {}, {}],
  ])("takes %s", (_, written, claims, filled) => {
    expect(fill(provider.options.parse(written), claims)).toMatchObject(filled);
  });

  it.each([
    ["no permissions: GitHub would give all of the App's", { repositories: ["shop"] }],
    ["permissions that are empty, for the same reason", { repositories: ["shop"], permissions: {} }],
    ["no repositories: GitHub would give all of the installation's", { permissions }],
    ["an empty list of them", { repositories: [], permissions }],
    ["an empty list of ids", { repository_ids: [], permissions }],
    ["both ways to name them", { repositories: ["shop"], repository_ids: ["1"], permissions }],
    ["a hundred and one", { repository_ids: Array.from({ length: 101 }, (_, at) => at + 1), permissions }],
    ["an owner", { repositories: ["shop-org/shop"], permissions }],
    ["a pattern", { repositories: ["shop-*"], permissions }],
    ["a parent", { repositories: [".."], permissions }],
    ["an id that is none", { repository_ids: ["shop"], permissions }],
    ["zero", { repository_ids: [0], permissions }],
    ["a permission that a claim names", { repositories: ["shop"], permissions: { "{event_name}": "read" } }],
    ["a level that a claim names", { repositories: ["shop"], permissions: { contents: "{event_name}" } }],
    ["a level that there is none of", { repositories: ["shop"], permissions: { contents: "all" } }],
    ["a key that nobody knows", { repositories: ["shop"], permissions, installation: "1" }],
  ])("refuses %s", (_, written) => {
    expect(provider.options.safeParse(written).success).toBe(false);
  });
});
