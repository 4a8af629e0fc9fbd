import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { catalogue } from "../../providers/catalogue.ts";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { ProofKind, Provider } from "../../src/lease/provider.ts";
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

const vault = await catalogue.load("vault");
const configure = (config: unknown, as: ProofKind = "broker"): Provider<unknown> => {
  if (vault === undefined) throw new Error("the catalogue has no vault");
  return vault.configure(config, { clock: systemClock, authority, as });
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

describe("as whom the broker logs in", () => {
  const byRole = { method: "approle", role_id: "r", secret_id_file: "/etc/mayfly/vault-secret-id", token_role: "job" };
  const byToken = { method: "token", token_file: "/run/vault-agent/token", token_role: "job" };
  const forJob = { ...good.login, token_role: "job" };
  const other = { role: "sweeper", mount: "mayfly", audience: "https://vault.test" };
  it.each<readonly [string, ProofKind, object]>([
    ["a JWT as broker", "broker", {}],
    ["a JWT as broker, through a token role", "broker", { login: forJob }],
    ["a JWT as job, with a sweeper of the broker's own", "job", { login: forJob, sweeper: other }],
    ["an AppRole as host", "host", { login: byRole }],
    ["a wrapped AppRole as host", "host", { login: { ...byRole, wrapped: true } }],
    ["a token as host", "host", { login: byToken }],
    ["a dead man's switch", "broker", { dead_man: "60s" }],
    [
      "rotation",
      "broker",
      {
        rotation: { role: "rotator", paths: ["database/rotate-root/shop", "aws/config/rotate-root", "transit/keys/k/rotate"] },
      },
    ],
  ])("loads: %s", (_, as, part) => {
    expect(() => configure({ ...good, ...part }, as)).not.toThrow();
  });

  it.each<readonly [string, ProofKind, object, string]>([
    ["an AppRole that is called the broker", "broker", { login: byRole }, "write as: host"],
    ["a token that is called the job", "job", { login: byToken }, "write as: host"],
    ["a JWT that is called the host", "host", {}, "approle or token"],
    ["a job's token that would name no lease", "job", { sweeper: other }, "login.token_role"],
    ["a job's token at the lease's end", "job", { login: forJob }, "sweeper.mount"],
    ["a sweeper elsewhere than the host's login", "host", { login: byRole, sweeper: other }, "nothing more"],
    ["a secret in mayfly.yaml", "host", { login: { ...byRole, secret_id: "s" } }, "secret_id"],
    ["a file by a relative path", "host", { login: { ...byToken, token_file: "token" } }, "absolute path"],
    ["no token role", "host", { login: { ...byToken, token_role: undefined } }, "token_role"],
    ["another way to log in", "broker", { login: { method: "userpass" } }, "login.method"],
    ["a switch that nobody can keep up", "broker", { dead_man: "5s" }, "dead_man"],
    [
      "the rotation of what is not rotated",
      "broker",
      { rotation: { role: "r", paths: ["database/config/shop"] } },
      "rotation.paths",
    ],
    ["a rotation in Vault's own mounts", "broker", { rotation: { role: "r", paths: ["sys/rotate-root/x"] } }, "rotation.paths"],
    ["no rotation at all", "broker", { rotation: { role: "r", paths: [] } }, "rotation.paths"],
  ])("does not load: %s", (_, as, part, why) => {
    expect(() => configure({ ...good, ...part }, as)).toThrow(
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

  const kinds: readonly (readonly [object, string, string])[] = [
    [{ path: "secret/data/x" }, "fields", "static"],
    [{ path: "database/creds/x" }, "username-password", "revoke"],
    [{ path: "database/static-creds/x" }, "username-password", "static"],
    [{ kind: "pki", path: "pki/sign/{repository_id}", common_name: "{repository_id}.example.com" }, "x509", "expires"],
    [
      { kind: "pki", path: "pki/issue/web", common_name: "a.example.com", dns_names: ["b.example.com"], revocable: true },
      "x509",
      "revoke",
    ],
    [
      { kind: "ssh", path: "ssh/sign/ci", principals: ["deploy-{repository_id}"], force_command: "true" },
      "ssh-certificate",
      "expires",
    ],
    [{ kind: "kubernetes", path: "kubernetes/creds/x", namespace: "shop", audiences: ["a"] }, "bearer", "expires"],
    [
      { kind: "kubernetes", path: "kubernetes/creds/x", namespace: "shop", audiences: ["a"], account: "generated" },
      "bearer",
      "revoke",
    ],
    [{ kind: "datakey", path: "transit/datakey/plaintext/shop" }, "fields", "static"],
    [{ kind: "token", policies: ["shop-read"], uses: 3 }, "bearer", "revoke"],
    [{ kind: "aws", path: "aws/sts/x", role_arn: "arn:aws:iam::1:role/x" }, "aws-session", "expires"],
    [{ kind: "gcp", path: "gcp/impersonated-account/x/token" }, "bearer", "expires"],
    [{ kind: "azure", path: "azure/creds/x" }, "fields", "revoke"],
  ];
  it.each(kinds)("%j gives %s, which ends by: %s", (options, gives, ends) => {
    const provider = configure(good);
    const filled = give(options, { repository_id: "519" });
    expect([provider.gives(filled), provider.ends(filled)]).toEqual([gives, ends]);
    // As it comes back from the ledger.
    expect(give(JSON.parse(JSON.stringify(filled)))).toEqual(filled);
  });

  it.each<readonly [string, object, string]>([
    ["no path", { kind: "kv" }, "path"],
    ["another kind's key", { path: "secret/data/x", principals: ["deploy"] }, "principals"],
    ["pki without a name", { kind: "pki", path: "pki/sign/web" }, "common_name"],
    ["pki at another path", { kind: "pki", path: "pki/root/sign-intermediate", common_name: "x" }, "pki/sign/ROLE"],
    ["a wildcard certificate", { kind: "pki", path: "pki/sign/web", common_name: "*.example.com" }, "common_name"],
    ["ssh for no account", { kind: "ssh", path: "ssh/sign/ci", principals: [] }, "principals"],
    ["ssh for two accounts in one", { kind: "ssh", path: "ssh/sign/ci", principals: ["deploy,root"] }, "comma"],
    ["ssh for any account", { kind: "ssh", path: "ssh/sign/ci", principals: ["*"] }, "wildcard"],
    [
      "two audiences in one",
      { kind: "kubernetes", path: "kubernetes/creds/x", namespace: "shop", audiences: ["a,b"] },
      "comma",
    ],
    [
      "an ssh right that there is not",
      { kind: "ssh", path: "ssh/sign/ci", principals: ["a"], extensions: ["permit-all"] },
      "extensions",
    ],
    [
      "kubernetes for anybody",
      { kind: "kubernetes", path: "kubernetes/creds/x", namespace: "shop", audiences: [] },
      "audiences",
    ],
    ["kubernetes in no namespace", { kind: "kubernetes", path: "kubernetes/creds/x", audiences: ["a"] }, "namespace"],
    ["a child token with every policy", { kind: "token" }, "policies"],
    ["a child token with no policy named", { kind: "token", policies: [] }, "policies"],
    ["a child token that is root", { kind: "token", policies: ["root"] }, "root"],
    ["a policy that a claim names", { kind: "token", policies: ["{repository}"] }, "policies"],
    ["the path of a token", { kind: "token", path: "auth/token/create", policies: ["a"] }, "path"],
    ["a key of Google's, which lives for years", { kind: "gcp", path: "gcp/roleset/x/key" }, "too long"],
    ["a transit key itself", { kind: "datakey", path: "transit/export/encryption-key/shop" }, "datakey"],
    ["a kind that there is not", { kind: "raw", path: "secret/data/x" }, "kind"],
  ])("refuses %s", (_, options, why) => {
    const read = configure(good).options.safeParse(options);
    expect(read.success).toBe(false);
    expect(JSON.stringify(read.error?.issues)).toContain(why);
  });

  it.each([
    [{ kind: "pki", path: "pki/sign/web", common_name: "{ref}.example.com" }, "a.b"],
    [{ kind: "pki", path: "pki/sign/web", common_name: "{ref}.example.com" }, "*"],
    [{ kind: "ssh", path: "ssh/sign/ci", principals: ["{ref}"] }, "deploy,root"],
    [{ kind: "ssh", path: "ssh/sign/ci", principals: ["{ref}"] }, ""],
    [{ kind: "kubernetes", path: "kubernetes/creds/x", namespace: "{ref}", audiences: ["a"] }, "a/b"],
  ])("denies what would make %j wider: %j", (options, ref) => {
    expect(() => give(options, { ref })).toThrow(expect.objectContaining({ code: "slot-unfillable" }));
  });

  it("says what it gives by what is written, not by who asks", () => {
    const provider = configure(good);
    expect(provider.gives({ path: "database/creds/x" })).toBe("username-password");
    expect(provider.gives({ path: "secret/data/x" })).toBe("fields");
    expect(provider.gives({ path: "secret/odd/creds/x", kind: "kv" })).toBe("fields");
  });
});
