import type { OpenBao } from "./openbao.ts";
import type { Postgres } from "./postgres.ts";

/**
 * What an operator does once for the engines and logins beyond `trustBroker` (docs/providers/vault.md has the same as commands): pki, ssh,
 * transit, static and root credentials of a database, and a token role, an AppRole and a token for brokers without a proof of their own.
 */
export async function equip(
  bao: OpenBao,
  { audience, postgres }: { readonly audience: string; readonly postgres: Postgres },
): Promise<void> {
  const must = async (method: string, path: string, body: unknown = {}): Promise<void> => {
    const answer = await bao.call(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  };
  for (const [name, policy] of Object.entries(policies)) await must("PUT", `sys/policies/acl/${name}`, { policy });
  const tokens = { user_claim: "sub", token_no_default_policy: true, token_type: "service", role_type: "jwt" } as const;
  const jwt = { ...tokens, bound_audiences: [audience], claim_mappings: { lease: "lease" } };
  const mint = { ...jwt, bound_claims: { purpose: "mint" }, token_policies: ["mayfly-engines", "shop-read"] };
  await must("POST", "auth/mayfly/role/engines", { ...mint, token_ttl: 600, token_max_ttl: 600 });
  await must("POST", "auth/mayfly/role/renewed", { ...mint, token_ttl: 10, token_max_ttl: 86_400 });
  await must("POST", "auth/mayfly/role/capped", { ...mint, token_ttl: 10, token_max_ttl: 12 });
  await must("POST", "auth/mayfly/role/rotator", {
    ...jwt,
    bound_claims: { purpose: "end" },
    token_policies: ["mayfly-rotator"],
    token_ttl: 60,
  });
  await must("POST", "sys/mounts/pki", { type: "pki" });
  await must("POST", "pki/root/generate/internal", { common_name: "example.com", ttl: "87600h" });
  const web = {
    allowed_domains: ["jobs.example.com"],
    allow_subdomains: true,
    allow_localhost: false,
    key_type: "any",
    max_ttl: "24h",
  };
  await must("POST", "pki/roles/web", web);
  await must("POST", "pki/roles/revocable", { ...web, key_type: "ec", key_bits: 256, generate_lease: true });
  await must("POST", "sys/mounts/ssh", { type: "ssh" });
  await must("POST", "ssh/config/ca", { generate_signing_key: true, key_type: "ed25519" });
  const ssh = {
    key_type: "ca",
    allow_user_certificates: true,
    allowed_users: "deploy,app",
    allow_user_key_ids: true,
    max_ttl: "24h",
  };
  await must("POST", "ssh/roles/ci", {
    ...ssh,
    allowed_extensions: "permit-pty",
    allowed_critical_options: "force-command,source-address",
  });
  await must("POST", "ssh/roles/generous", { ...ssh, default_extensions: { "permit-port-forwarding": "" } });
  await must("POST", "ssh/roles/nameless", { ...ssh, allow_user_key_ids: false });
  await must("POST", "sys/mounts/transit", { type: "transit" });
  await must("POST", "transit/keys/shop", { type: "aes256-gcm96" });
  await must("POST", "secret/data/other/1", { data: { token: "not-the-shop's" } });
  await databaseRoots(must, postgres);
  await hostLogins(must);
}

async function databaseRoots(
  must: (method: string, path: string, body?: unknown) => Promise<void>,
  postgres: Postgres,
): Promise<void> {
  await postgres.sql("create role report login password 'before'; create role roots login superuser password 'before'");
  await must("POST", "database/config/roots", {
    plugin_name: "postgresql-database-plugin",
    allowed_roles: ["*"],
    connection_url: `postgresql://{{username}}:{{password}}@${postgres.host}:${postgres.port}/${postgres.database}?sslmode=disable`,
    username: "roots",
    password: "before",
  });
  await must("POST", "database/static-roles/report", { db_name: "shop", username: "report", rotation_period: 86_400 });
}

async function hostLogins(must: (method: string, path: string, body?: unknown) => Promise<void>): Promise<void> {
  const role = { orphan: true, token_type: "service", token_no_default_policy: true, renewable: true };
  await must("POST", "auth/token/roles/job", { ...role, allowed_policies: ["mayfly-engines", "shop-read"] });
  await must("POST", "auth/token/roles/sweeper", { ...role, allowed_policies: ["mayfly-sweeper"] });
  await must("POST", "auth/token/roles/hanging", { ...role, orphan: false, allowed_policies: ["mayfly-engines"] });
  await must("POST", "sys/auth/approle", { type: "approle" });
  const host = { token_policies: ["mayfly-host"], token_ttl: 60, token_max_ttl: 60, token_no_default_policy: true };
  await must("POST", "auth/approle/role/broker", host);
}

const policies = {
  "mayfly-engines": `
path "secret/data/ci/*" { capabilities = ["read"] }
path "database/creds/*" { capabilities = ["read"] }
path "database/static-creds/*" { capabilities = ["read"] }
path "pki/issue/*" { capabilities = ["update"] }
path "pki/sign/*" { capabilities = ["update"] }
path "ssh/issue/*" { capabilities = ["update"] }
path "ssh/sign/*" { capabilities = ["update"] }
path "kubernetes/creds/*" { capabilities = ["update"] }
path "kubernetes/roles/*" { capabilities = ["read"] }
path "transit/datakey/plaintext/shop" { capabilities = ["update"] }
path "auth/token/create" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
`,
  "shop-read": `
path "secret/data/ci/519283746" { capabilities = ["read"] }
path "transit/encrypt/shop" { capabilities = ["update"] }
`,
  "mayfly-host": `
path "auth/token/create/job" { capabilities = ["update"] }
path "auth/token/create/hanging" { capabilities = ["update"] }
path "auth/token/create/sweeper" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
`,
  "mayfly-rotator": `
path "database/rotate-root/roots" { capabilities = ["update"] }
path "database/rotate-role/report" { capabilities = ["update"] }
path "transit/keys/shop/rotate" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
`,
} as const;
