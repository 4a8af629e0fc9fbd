import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fill } from "../../src/policy/slots.ts";
import { type Bench, provesProvider } from "../conformance/provider.ts";
import { vaultMissing } from "../servers/missing.ts";
import { audience, type Otherwise, openEquippedBench, type VaultBench } from "./vault-bench.ts";
import { aliveIn, text } from "./vault-engines-bench.ts";

const reason = vaultMissing();
const path = "database/creds/shop-migrate";

/** Each way to log in, with what an operator writes into mayfly.yaml and into the login's file. */
const byAppRole: Otherwise = async ({ bao, folder }) => {
  const roleId = String((await bao.call("GET", "auth/approle/role/broker/role-id")).body.data?.["role_id"]);
  const secretId = String((await bao.call("POST", "auth/approle/role/broker/secret-id")).body.data?.["secret_id"]);
  const login = { method: "approle", role_id: roleId, secret_id_file: await secretFile(folder, secretId), token_role: "job" };
  return { as: "host", entry: { login, sweeper: { role: "sweeper" } } };
};

const byToken: Otherwise = async ({ bao, folder }) => {
  const own = await bao.call("POST", "auth/token/create", { policies: ["mayfly-host"], ttl: "1h", no_default_policy: true });
  const login = { method: "token", token_file: await secretFile(folder, own.body.auth?.client_token ?? ""), token_role: "job" };
  return { as: "host", entry: { login, sweeper: { role: "sweeper" } } };
};

/** The bench's proof stands for the job's own token here: what matters is that the token role names the lease, and the login does not. */
const asJob: Otherwise = async ({ bao }) => {
  const role = { role_type: "jwt", user_claim: "sub", token_no_default_policy: true, token_type: "service", token_ttl: 60 };
  const body = { ...role, bound_audiences: [audience], bound_claims: { purpose: "mint" }, token_policies: ["mayfly-host"] };
  await bao.call("POST", "auth/mayfly/role/any-job", body);
  const login = { mount: "mayfly", role: "any-job", audience, token_role: "job" };
  return { as: "job", entry: { login, sweeper: { mount: "mayfly", role: "sweeper" } } };
};

async function secretFile(folder: string, secret: string): Promise<string> {
  const file = join(folder, "vault-login");
  await writeFile(file, `${secret}\n`, { mode: 0o600 });
  return file;
}

const create = { path: "/auth/token/create/job" };
const back = { path: "/auth/token/revoke-self" };
provesProvider("vault, by an AppRole", () => open(byAppRole, [{ path: "/auth/approle/login" }, create, back]), reason);
provesProvider("vault, by a token in a file", () => open(byToken, [create]), reason);
provesProvider("vault, by the job's own token", () => open(asJob, [{ path: "/auth/mayfly/login" }, create, back]), reason);

async function open(otherwise: Otherwise, effects: readonly { readonly path: string }[]): Promise<Bench> {
  const bench = await openEquippedBench(otherwise);
  const { provider, authority, proxy } = bench;
  const options = (role: string): unknown => fill(provider.options.parse({ path: `database/creds/${role}` }), {});
  return {
    provider,
    proofs: authority.proofs,
    options: options("shop-migrate"),
    ttl: 600_000,
    works: async (material) => {
      if (material.kind !== "username-password") return false;
      const as = { user: material.username, password: text(material.password) };
      return (await bench.postgres.sql("select 1", as)).code === 0;
    },
    alive: async (lease) => [...(await aliveIn(bench.bao, lease, [path])), ...(await forgotten(bench))],
    upstream: {
      proxy,
      effects: [...effects, { path: `/${path}` }],
      refused: options("no-such-role"),
      tooLong: options("shop-eternal"),
      never: { accessor: "nonesuch", leaseId: `${path}/nonesuch`, path },
    },
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}

/** PostgreSQL's roles that no lease of OpenBao's stands for. */
async function forgotten({ bao, postgres }: VaultBench): Promise<readonly string[]> {
  const leases = (await Promise.all([path, "database/creds/shop-eternal"].map((one) => bao.leases(one)))).flat();
  const roles = (await postgres.sql("select rolname from pg_roles where rolname like 'v-%'")).stdout
    .trim()
    .split("\n")
    .filter(Boolean);
  return roles.length > leases.length ? [`${roles.length} roles, ${leases.length} leases`] : [];
}
