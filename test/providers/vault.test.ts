import type { Material } from "../../src/material.ts";
import { type Bench, provesProvider } from "../conformance/provider.ts";
import { vaultMissing } from "../servers/missing.ts";
import { openVaultBench, type VaultBench } from "./vault-bench.ts";

const reason = vaultMissing();

provesProvider("vault, with a database login", databaseBench, reason);
provesProvider("vault, with a stored secret", storedBench, reason);

const login = { method: "POST", path: "/auth/mayfly/login" } as const;

async function databaseBench(): Promise<Bench> {
  const bench = await openVaultBench();
  const { provider, authority, proxy } = bench;
  return {
    provider,
    proofs: authority.proofs,
    options: { path: "database/creds/shop-migrate", kind: "dynamic" },
    ttl: 600_000,
    works: (material) => logsIn(bench, material),
    alive: (lease) => alive(bench, lease),
    upstream: {
      proxy,
      effects: [login, { method: "GET", path: "/database/creds/shop-migrate" }],
      refused: { path: "database/creds/no-such-role", kind: "dynamic" },
      tooLong: { path: "database/creds/shop-eternal", kind: "dynamic" },
      never: { accessor: "nonesuch", leaseId: "database/creds/shop-migrate/nonesuch", path: "database/creds/shop-migrate" },
    },
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}

async function storedBench(): Promise<Bench> {
  const bench = await openVaultBench();
  const { provider, authority, proxy } = bench;
  return {
    provider,
    proofs: authority.proofs,
    options: { path: "secret/data/ci/519283746", kind: "kv" },
    ttl: 600_000,
    works: (material) =>
      Promise.resolve(
        material.kind === "fields" && material.fields["token"]?.use((bytes) => bytes.toString()) === "kv-token-of-the-shop",
      ),
    alive: (lease) => alive(bench, lease),
    upstream: {
      proxy,
      effects: [login, { method: "GET", path: "/secret/data/ci" }, { method: "POST", path: "/auth/token/revoke-self" }],
      refused: { path: "secret/data/other/519283746", kind: "kv" },
      never: { accessor: "nonesuch" },
    },
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}

/** The real psql with the real login. */
async function logsIn({ postgres }: VaultBench, material: Material): Promise<boolean> {
  if (material.kind !== "username-password") return false;
  const { username: user, password } = material;
  const outcome = await postgres.sql("select current_user", { user, password: password.use((bytes) => bytes.toString()) });
  return outcome.stdout.trim() === user;
}

/**
 * OpenBao's own tokens for the lease, and PostgreSQL's own roles: those are not named after a lease, so any role whose OpenBao lease is
 * gone counts too.
 */
async function alive({ bao, postgres }: VaultBench, lease: string): Promise<readonly string[]> {
  const tokens = await bao.tokensFor(lease);
  const leases = (
    await Promise.all(["shop-migrate", "shop-eternal"].map((role) => bao.leases(`database/creds/${role}`)))
  ).flat();
  const roles = (await postgres.sql("select rolname from pg_roles where rolname like 'v-%'")).stdout
    .trim()
    .split("\n")
    .filter(Boolean);
  const forgotten = roles.length > leases.length ? [`${roles.length} roles, ${leases.length} leases`] : [];
  return [...tokens, ...forgotten];
}
