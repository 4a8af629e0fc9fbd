import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { catalogue } from "../../providers/catalogue.ts";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { Provider } from "../../src/lease/provider.ts";
import { fill } from "../../src/policy/slots.ts";
import { systemClock } from "../../src/time.ts";

const good = {
  address: "https://vault.test:8200",
  login: { mount: "jwt", role: "ci", audience: "https://vault.test" },
  sweeper: { role: "sweeper" },
};

let folder: string;
let authority: BrokerAuthority;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const configure = (config: unknown): Provider<unknown> => {
  const vault = catalogue.get("vault");
  if (vault === undefined) throw new Error("the catalogue has no vault");
  return vault.configure(config, { clock: systemClock, authority });
};

describe("the entry in mayfly.yaml", () => {
  it.each([
    ["as the documentation has it", {}],
    ["plain http on loopback, when that is said", { address: "http://127.0.0.1:8200", allow_plaintext: true }],
    ["plain http on IPv6 loopback", { address: "http://[::1]:8200", allow_plaintext: true }],
    ["a namespace", { namespace: "team/shop" }],
    ["another timeout", { timeout: "10s" }],
  ])("loads: %s", (_, part) => {
    expect(() => configure({ ...good, ...part })).not.toThrow();
  });

  it.each([
    ["plain http", { address: "http://127.0.0.1:8200" }, "the address must be https"],
    [
      "plain http to another host, whatever is said",
      { address: "http://vault.test", allow_plaintext: true },
      "the address must be https",
    ],
    [
      "plain http to a name that begins like loopback",
      { address: "http://127.0.0.1.evil.test", allow_plaintext: true },
      "the address must be https",
    ],
    ["credentials in the address", { address: "https://root:token@vault.test" }, "the address must be https"],
    ["another protocol", { address: "ftp://vault.test" }, "address"],
    ["a mount that leaves its place", { login: { ...good.login, mount: "../sys" } }, "login.mount"],
    ["a bare number as timeout", { timeout: "5" }, "timeout"],
    ["a key that nobody knows", { token: "root" }, "token"],
    ["a ca that cannot be read", { ca: "/nonexistent/ca.pem" }, "/nonexistent/ca.pem cannot be read"],
  ])("does not load: %s", (_, part, why) => {
    expect(() => configure({ ...good, ...part })).toThrow(
      expect.objectContaining({ code: "config-invalid", message: expect.stringContaining(why) }),
    );
  });
});

describe("a template's part", () => {
  const give = (options: unknown, claims: Readonly<Record<string, unknown>> = {}): unknown =>
    fill(configure(good).options.parse(options), claims);

  it.each([
    ["secret/data/ci/{repository_id}", { repository_id: "519" }, { path: "secret/data/ci/519", kind: "kv" }],
    ["secret/ci/plain", {}, { path: "secret/ci/plain", kind: "kv" }],
    ["secret/data/creds/x", {}, { path: "secret/data/creds/x", kind: "kv" }],
    ["database/creds/shop-migrate", {}, { path: "database/creds/shop-migrate", kind: "dynamic" }],
    ["team/database/creds/{ref_name}-ro", { ref_name: "main" }, { path: "team/database/creds/main-ro", kind: "dynamic" }],
    ["kv/ci/{oidc.circleci.com/project-id}", { "oidc.circleci.com/project-id": "7f3a" }, { path: "kv/ci/7f3a", kind: "kv" }],
    ["kv/{example.com/creds/id}/x", { "example.com/creds/id": "1" }, { path: "kv/1/x", kind: "kv" }],
  ])("takes %s", (path, claims, filled) => {
    expect(give({ path }, claims)).toMatchObject(filled);
  });

  it.each([
    ["/secret/data/x"],
    ["secret"],
    ["secret/../sys/raw"],
    ["secret/./x"],
    ["secret//x"],
    ["secret/x/"],
    ["secret/x?list=true"],
    ["secret/x#y"],
    ["secret/%2e%2e/x"],
    ["secret/a b"],
    ["{mount}/data/x"],
    ["sys/internal/ui/mounts"],
    ["auth/token/lookup-self"],
    ["identity/oidc/token/x"],
    ["cubbyhole/x"],
    ["secret/{a/../b"],
    ["secret/{../b}"],
    ["secret/${a/b}"],
    [""],
  ])("refuses %s", (path) => {
    expect(configure(good).options.safeParse({ path }).success).toBe(false);
  });

  it.each([["../x"], [".."], ["a/b"], ["a%2fb"], ["a?b"], [""], [{ a: 1 }], [undefined]])(
    "denies the claim %j in a path",
    (value) => {
      expect(() => give({ path: "secret/data/{repository}" }, { repository: value })).toThrow(
        expect.objectContaining({ code: "slot-unfillable" }),
      );
    },
  );

  it("says what it gives by what is written, not by who asks", () => {
    const provider = configure(good);
    expect(provider.gives({ path: "database/creds/x" })).toBe("username-password");
    expect(provider.gives({ path: "secret/data/x" })).toBe("fields");
    expect(provider.gives({ path: "secret/odd/creds/x", kind: "kv" })).toBe("fields");
  });
});
