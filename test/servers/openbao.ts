import { randomBytes } from "node:crypto";
import { openBaoPath } from "./openbao-binary.ts";
import type { Postgres } from "./postgres.ts";
import { freePort, startProcess } from "./process.ts";

export interface Answer {
  readonly status: number;
  readonly body: Body;
}

/** The envelope of every answer (facts E.1); only what tests look at. */
interface Body {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly string[];
  readonly auth?: { readonly client_token: string; readonly accessor: string } | null;
  readonly wrap_info?: { readonly token: string } | null;
}

/** A real OpenBao in dev mode: in memory, on loopback, with a random root token that only this test knows. */
export interface OpenBao extends AsyncDisposable {
  readonly port: number;
  readonly address: string;
  /** As root, or as whoever's token is given. */
  call(method: string, path: string, body?: unknown, token?: string): Promise<Answer>;
  /** OpenBao's own word on which leases are alive under a path such as `database/creds/shop-migrate`. */
  leases(path: string): Promise<readonly string[]>;
  /** Accessors of living tokens whose metadata says that they were made for this lease. */
  tokensFor(lease: string): Promise<readonly string[]>;
  /** Every living token that was made for any lease. */
  tokens(): Promise<readonly string[]>;
  /** A token that opens once, and then gives what this path answers. */
  wrap(path: string, body?: unknown): Promise<string>;
  seal(): Promise<void>;
  unseal(): Promise<void>;
  readonly pid: number;
  stop(): Promise<void>;
}

export async function startOpenBao(): Promise<OpenBao> {
  const port = await freePort();
  const root = randomBytes(16).toString("hex");
  const address = `http://127.0.0.1:${port}`;
  const ready = async (): Promise<boolean> =>
    (await fetch(`${address}/v1/sys/health`)).status === 200 &&
    (await fetch(`${address}/v1/sys/mounts`, { headers: { "X-Vault-Token": root } })).status === 200;
  const server = await startProcess({
    command: openBaoPath(),
    args: ["server", "-dev", `-dev-listen-address=127.0.0.1:${port}`, "-dev-no-store-token", "-log-level=warn"],
    env: { BAO_DEV_ROOT_TOKEN_ID: root, HOME: "/nonexistent" },
    ready,
  });
  const call = caller(address, root);
  const accessors = async (): Promise<readonly string[]> => keysOf(await call("LIST", "auth/token/accessors"));
  const metadata = async (accessor: string): Promise<Readonly<Record<string, unknown>> | undefined> =>
    (await call("POST", "auth/token/lookup-accessor", { accessor })).body.data ?? undefined;
  const tokens = async (): Promise<readonly { readonly accessor: string; readonly lease: unknown }[]> => {
    const all = await Promise.all((await accessors()).map(async (accessor) => ({ accessor, data: await metadata(accessor) })));
    return all
      .filter(({ data }) => data !== undefined && data["path"] !== "auth/token/root")
      .map(({ accessor, data }) => ({ accessor, lease: leaseIn(data?.["meta"]) }));
  };
  return {
    port,
    address,
    pid: server.pid,
    call,
    leases: async (path) => keysOf(await call("LIST", `sys/leases/lookup/${path}`)).map((key) => `${path}/${key}`),
    tokensFor: async (lease) => (await tokens()).filter((token) => token.lease === lease).map(({ accessor }) => accessor),
    tokens: async () => (await tokens()).filter((token) => token.lease !== undefined).map(({ accessor }) => accessor),
    wrap: async (path, body = {}) => {
      const headers = { "X-Vault-Token": root, "X-Vault-Wrap-TTL": "60" };
      const response = await fetch(`${address}/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
      return ((await response.json()) as Body).wrap_info?.token ?? "";
    },
    seal: async () => void (await call("POST", "sys/seal")),
    unseal: async () => {
      await call("POST", "sys/unseal", { key: /Unseal Key: (\S+)/.exec(server.output())?.[1] });
      while (!(await ready().catch(() => false))) await new Promise((resolve) => setTimeout(resolve, 50));
    },
    stop: () => server.stop(),
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

function caller(address: string, root: string): OpenBao["call"] {
  return async (method, path, body, token = root) => {
    const response = await fetch(`${address}/v1/${path}`, {
      method,
      headers: { "X-Vault-Token": token },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? {} : (JSON.parse(text) as Body) };
  };
}

function keysOf(answer: Answer): readonly string[] {
  const keys = answer.body.data?.["keys"];
  return Array.isArray(keys) ? keys.filter((key): key is string => typeof key === "string") : [];
}

function leaseIn(meta: unknown): unknown {
  return typeof meta === "object" && meta !== null && "lease" in meta ? meta.lease : undefined;
}

export interface Trust {
  /** What the broker signs its proofs with. */
  readonly publicKey: string;
  readonly issuer: string;
  readonly audience: string;
  readonly postgres?: Postgres;
}

/**
 * What an operator does once (docs/providers/vault.md has the same as commands): trust the broker's proofs, a narrow policy
 * for jobs, a revoke-only one for the sweeper, a KV secret, and a database role that lives ten minutes.
 */
export async function trustBroker(bao: OpenBao, trust: Trust): Promise<void> {
  const must = async (method: string, path: string, body: unknown): Promise<void> => {
    const answer = await bao.call(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  };
  await must("PUT", "sys/policies/acl/mayfly-job", { policy: jobPolicy });
  await must("PUT", "sys/policies/acl/mayfly-sweeper", { policy: sweeperPolicy });
  await must("POST", "sys/auth/mayfly", { type: "jwt" });
  await must("POST", "auth/mayfly/config", {
    jwt_validation_pubkeys: [trust.publicKey],
    bound_issuer: trust.issuer,
    jwt_supported_algs: ["RS256"],
  });
  await must("POST", "auth/mayfly/role/job", jwtRole(trust.audience, "mint", "mayfly-job", 600));
  await must("POST", "auth/mayfly/role/sweeper", jwtRole(trust.audience, "end", "mayfly-sweeper", 60));
  await must("POST", "secret/data/ci/519283746", { data: { token: "kv-token-of-the-shop", user: "shop" } });
  if (trust.postgres !== undefined) await databaseEngine(must, trust.postgres);
}

function jwtRole(audience: string, purpose: string, policy: string, ttl: number): unknown {
  return {
    role_type: "jwt",
    bound_audiences: [audience],
    bound_claims: { purpose },
    user_claim: "sub",
    claim_mappings: { lease: "lease", template: "template", session: "session" },
    token_policies: [policy],
    token_no_default_policy: true,
    token_type: "service",
    token_ttl: ttl,
    token_max_ttl: ttl,
  };
}

async function databaseEngine(
  must: (method: string, path: string, body: unknown) => Promise<void>,
  postgres: Postgres,
): Promise<void> {
  await must("POST", "sys/mounts/database", { type: "database" });
  await must("POST", "database/config/shop", {
    plugin_name: "postgresql-database-plugin",
    allowed_roles: ["*"],
    connection_url: `postgresql://{{username}}:{{password}}@${postgres.host}:${postgres.port}/${postgres.database}?sslmode=disable`,
    username: postgres.superuser,
    password: postgres.password,
  });
  await must("POST", "database/roles/shop-migrate", databaseRole(600));
  await must("POST", "database/roles/shop-eternal", databaseRole(86_400));
}

function databaseRole(ttl: number): unknown {
  return {
    db_name: "shop",
    creation_statements: [`CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`],
    revocation_statements: [
      `ALTER ROLE "{{name}}" NOLOGIN;`,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}';`,
      `DROP ROLE IF EXISTS "{{name}}";`,
    ],
    default_ttl: ttl,
    max_ttl: ttl,
  };
}

const jobPolicy = `
path "secret/data/ci/*" { capabilities = ["read"] }
path "database/creds/*" { capabilities = ["read"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
`;

const sweeperPolicy = `
path "auth/token/accessors" { capabilities = ["list", "sudo"] }
path "auth/token/accessors/" { capabilities = ["list", "sudo"] }
path "auth/token/lookup-accessor" { capabilities = ["update"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }
path "auth/token/renew-accessor" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/leases/lookup" { capabilities = ["update"] }
path "sys/leases/lookup/database/creds/*" { capabilities = ["list", "sudo"] }
path "sys/leases/lookup/pki/issue/*" { capabilities = ["list", "sudo"] }
path "sys/leases/lookup/pki/sign/*" { capabilities = ["list", "sudo"] }
path "sys/leases/lookup/kubernetes/creds/*" { capabilities = ["list", "sudo"] }
path "sys/leases/revoke" { capabilities = ["update"] }
`;
