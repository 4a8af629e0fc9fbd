import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { EndRequest, Intent, Minted, Provider } from "../../src/lease/provider.ts";
import type { Material } from "../../src/material.ts";
import { fill } from "../../src/policy/slots.ts";
import { systemClock } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";
import { type Postgres, startPostgres } from "../servers/postgres.ts";
import { PostgresProxy } from "../servers/postgres-proxy.ts";
import type { Outcome } from "../servers/process.ts";
import { configured } from "./configured.ts";

/** A real PostgreSQL with a shop in it, set up as docs/providers/postgres.md says, and a provider that reaches it through a proxy. */
export interface PostgresBench extends AsyncDisposable {
  readonly postgres: Postgres;
  readonly proxy: PostgresProxy;
  readonly authority: BrokerAuthority;
  readonly provider: Provider<unknown>;
  readonly passwordFile: string;
  /** Another entry of mayfly.yaml for the same server. */
  configure(config: object): Promise<Provider<unknown>>;
}

export const ttl = 600_000;
const password = "the-broker's-own-password";

const shop = `
CREATE TABLE orders (id int); INSERT INTO orders VALUES (7);
CREATE TABLE salaries (id int);
CREATE ROLE shop_read; GRANT SELECT ON orders TO shop_read;
CREATE ROLE shop_migrate; GRANT USAGE, CREATE ON SCHEMA public TO shop_migrate; GRANT ALL ON orders TO shop_migrate;
CREATE ROLE shop_root SUPERUSER; CREATE ROLE shop_behind; GRANT shop_root TO shop_behind;
CREATE ROLE shop_unknown;
CREATE ROLE mayfly LOGIN CREATEROLE PASSWORD '${password.replaceAll("'", "''")}';
GRANT shop_read, shop_migrate TO mayfly WITH ADMIN OPTION; GRANT pg_signal_backend TO mayfly;`;

export async function openPostgresBench(more: object = {}): Promise<PostgresBench> {
  const stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-postgres-provider-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  const postgres = stack.use(await startPostgres());
  await done(postgres.sql(shop));
  const proxy = stack.use(await PostgresProxy.start(postgres.port));
  const passwordFile = join(folder, "password");
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  const whole = {
    host: "127.0.0.1",
    port: proxy.port,
    database: "postgres",
    allow_plaintext: true,
    login: { user: "mayfly", password_file: passwordFile },
    roles: ["shop_read", "shop_migrate", "shop_behind", "no_such_role"],
    timeout: "2s",
    ...more,
  };
  const configure = (config: object): Promise<Provider<unknown>> =>
    configured("postgres", { ...whole, ...config }, { authority });
  const provider = await configure({});
  return { postgres, proxy, authority, provider, passwordFile, configure, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

export interface Held extends Minted {
  readonly intent: Intent;
  readonly user: string;
  readonly password: string;
  end(): Promise<void>;
  sql(statement: string): Promise<Outcome>;
}

/** Mints as a job would hold it. */
export async function hold(bench: PostgresBench, options: object, provider = bench.provider): Promise<Held> {
  const intent = intentOf({ ttl });
  const parsed = fill(provider.options.parse(options), {});
  const { signal } = new AbortController();
  const minted = await provider.mint({ intent, options: parsed, proof: bench.authority.proofs.mint(intent), signal });
  const login = loginOf(minted.material);
  return {
    ...minted,
    ...login,
    intent,
    sql: (statement) => bench.postgres.sql(statement, login),
    end: async () => {
      if (provider.revocation === "none" || minted.ending.kind !== "revoke") throw new Error("it cannot be ended");
      await provider.revocation.revoke(minted.ending.handle, endOf(bench, intent));
    },
  };
}

export function endOf({ authority }: PostgresBench, intent: Intent): EndRequest {
  return { proof: authority.proofs.end(intent.lease), signal: new AbortController().signal };
}

export function loginOf(material: Material): { readonly user: string; readonly password: string } {
  if (material.kind !== "username-password") throw new Error("no login");
  return { user: material.username, password: material.password.use(String) };
}

/** The server's own list of what is alive on behalf of a lease. */
export async function alive({ postgres }: PostgresBench, lease: string): Promise<readonly string[]> {
  const found = await done(
    postgres.sql(`SELECT rolname FROM pg_roles WHERE rolname LIKE '%${lease}%'
      UNION ALL SELECT 'session' FROM pg_stat_activity WHERE usename LIKE '%${lease}%'`),
  );
  return found.split("\n").filter((line) => line !== "");
}

export async function done(work: Promise<Outcome>): Promise<string> {
  const { code, stdout, stderr } = await work;
  if (code !== 0) throw new Error(stderr);
  return stdout.trim();
}
