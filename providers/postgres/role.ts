import { z } from "zod";
import { duration } from "../../src/duration.ts";
import { BrokerError } from "../../src/errors.ts";
import type { Filled } from "../../src/lease/provider.ts";
import type { Duration, Instant } from "../../src/time.ts";
import { longestName, type PostgresOptions } from "./config.ts";
import type { Session } from "./session.ts";

/** What a lease's role is called. Only this prefix is ever dropped. */
const prefix = "mayfly_";

export function roleOf(lease: string): string {
  const role = `${prefix}${lease}`;
  if (Buffer.byteLength(role) > longestName)
    throw new BrokerError("provider-refused", "the lease's name is too long for a role", { detail: `postgres: ${role}` });
  return role;
}

export function isOurs(role: string | undefined): role is string {
  return role?.startsWith(`${prefix}lse-`) === true;
}

export interface Wanted {
  readonly role: string;
  readonly verifier: string;
  /** After this no session can be opened. */
  readonly until: Instant;
  readonly options: Filled<PostgresOptions>;
}

const plan = z.object({
  now: z.number(),
  standby: z.boolean(),
  missing: z.array(z.string()),
  mighty: z.array(z.string()),
  ddl: z.string(),
});

/**
 * What is to be known before a role is made, and the statements that make it: DDL takes no parameters, so the server quotes them itself.
 *
 * NOINHERIT: a session holds the rights of one of its roles at a time, and none of its own. `reach` follows memberships, since SET ROLE does;
 * attributes are not inherited, but whoever becomes a role that has one, has it.
 */
const planSql = `
WITH RECURSIVE reach AS (
  SELECT r.* FROM pg_roles r WHERE r.rolname = ANY ($2::text[])
  UNION SELECT r.* FROM reach JOIN pg_auth_members m ON m.member = reach.oid JOIN pg_roles r ON r.oid = m.roleid
)
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now,
  pg_is_in_recovery() AS standby,
  ARRAY(SELECT w FROM unnest($2::text[]) w WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = w)) AS missing,
  ARRAY(SELECT rolname::text FROM reach WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
    OR rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')) AS mighty,
  concat_ws('; ',
    format('CREATE ROLE %I LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT %s PASSWORD %L VALID UNTIL %L',
      $1::text, $3::int, $4::text, $5::text),
    (SELECT string_agg(format('GRANT %I TO %I', w, $1::text), '; ') FROM unnest($2::text[]) w),
    format('ALTER ROLE %I SET role = %L', $1::text, ($2::text[])[1]),
    CASE WHEN $6::int > 0 THEN format('ALTER ROLE %I SET statement_timeout = %L', $1::text, $6::int) END,
    CASE WHEN NOT has_database_privilege('public', current_database(), 'CONNECT')
      THEN format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), $1::text) END
  ) AS ddl`;

/** The farthest that the server's clock may be from ours: it decides by its own when the role's time is over. */
const skew: Duration = 30_000;

export async function makeRole(session: Session, { role, verifier, until, options }: Wanted): Promise<void> {
  const { roles, connections, statement_timeout } = options;
  const timeout = statement_timeout === undefined ? 0 : duration.parse(statement_timeout);
  const values = [role, roles, connections, verifier, new Date(until).toISOString(), timeout];
  const [found] = await session.ask(plan, planSql, values);
  if (found === undefined) throw new Error("the answer is not one of PostgreSQL's");
  refuseUnfit(found, session.clock.now());
  await session.act(found.ddl);
  await checkMade(session, { role, until, options });
}

function refuseUnfit({ now, standby, missing, mighty }: z.output<typeof plan>, ours: Instant): void {
  if (standby) {
    const hint = "name the primary in mayfly.yaml";
    throw new BrokerError("provider-unavailable", "this PostgreSQL is a standby, which takes no new roles", { hint });
  }
  if (missing.length > 0) throw refused("a role that the template names does not exist", `create ${missing.join(", ")}`);
  if (mighty.length > 0)
    throw refused(
      "a role that the template names can do more than work with data",
      `${mighty.join(", ")}: it has SUPERUSER, CREATEROLE, CREATEDB, REPLICATION or BYPASSRLS, or reaches the server's files`,
    );
  if (Math.abs(now - ours) > skew)
    throw refused(
      `the server's clock is ${Math.round(Math.abs(now - ours) / 1_000)} s ${now < ours ? "behind" : "ahead of"} the broker's`,
      "set both by NTP: the server's clock decides how long the role lives",
    );
}

const made = z.object({ fits: z.boolean(), until: z.number(), roles: z.array(z.string()) });

const madeSql = `
SELECT NOT (rolsuper OR rolinherit OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls) AND rolconnlimit = $2::int AS fits,
  COALESCE(extract(epoch FROM rolvaliduntil) * 1000, 'infinity')::float8 AS until,
  ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid) AS roles
FROM pg_roles r WHERE rolname = $1`;

/** What the server has made of it; what speaks PostgreSQL's protocol may be something that drops the half of it. */
async function checkMade(session: Session, { role, until, options }: Omit<Wanted, "verifier">): Promise<void> {
  const [found] = await session.ask(made, madeSql, [role, options.connections]);
  const granted = found?.roles.every((name) => options.roles.includes(name)) === true;
  if (found?.fits === true && granted && found.until <= until) return;
  throw new BrokerError("provider-broken-promise", "the server made another role than it was asked for", {
    detail: "postgres: the new role has other attributes, another expiry, or other memberships",
  });
}

function refused(message: string, hint: string): BrokerError {
  return new BrokerError("provider-refused", message, { hint, detail: `postgres: ${message}` });
}
