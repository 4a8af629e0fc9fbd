import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import type { Handle } from "../../src/lease/provider.ts";
import type { Duration } from "../../src/time.ts";
import { isOurs } from "./role.ts";
import { converse, type Server, type Session } from "./session.ts";

const oneOid = z.object({ oid: z.number() });
const oneName = z.object({ name: z.string() });
const count = z.object({ count: z.number() });

/**
 * Ends a role and everything that it can do, in this order: nobody comes in any more, whoever is in is thrown out, what it owns finds
 * another owner in every database, and the role goes. Resolves only once the server knows neither the role nor a session of it.
 */
export async function endRole(server: Server, handle: Handle): Promise<void> {
  const { role, owner } = handle;
  if (!isOurs(role))
    throw new BrokerError("internal", undefined, { detail: "postgres: the handle names a role that is not a lease's" });
  const { gate: _, ...passed } = server;
  await converse(server, async (session) => {
    const oid = await oidOf(session, role);
    if (oid === undefined) return;
    await close(session, role);
    await endSessions(session, oid);
    for (const database of await otherDatabases(session, oid))
      await converse(passed, (there) => disown(there, role, owner), { database });
    await disown(session, role, owner);
    await run(session, "format('DROP ROLE IF EXISTS %I', $1::text)", [role]);
    if ((await oidOf(session, role)) !== undefined) throw new Error("the role is still there after it was dropped");
    // One whose login was checked just before it was closed, and which came up only now.
    await endSessions(session, oid);
  });
}

export async function oidOf(session: Session, role: string): Promise<number | undefined> {
  return (await session.ask(oneOid, "SELECT oid::int8::float8 AS oid FROM pg_roles WHERE rolname = $1", [role]))[0]?.oid;
}

/** Builds statements on the server, which quotes what is in them, and runs them. */
async function run(session: Session, expression: string, values: readonly unknown[]): Promise<void> {
  const [built] = await session.ask(oneName, `SELECT ${expression} AS name`, values);
  if (built !== undefined) await session.act(built.name);
}

/** The role also becomes one of the broker's, for as long as it is there: only who has its rights may take away what it owns. */
function close(session: Session, role: string): Promise<void> {
  const closed =
    "ALTER ROLE %1$I NOLOGIN PASSWORD NULL CONNECTION LIMIT 0 VALID UNTIL ''-infinity''; GRANT %1$I TO CURRENT_USER";
  return run(session, `format('${closed}', $1::text)`, [role]);
}

const pause: Duration = 20;

/** Until two looks have found none: a session that is only just coming up is not in the list yet. */
async function endSessions(session: Session, oid: number): Promise<void> {
  const kill = `
SELECT count(pg_terminate_backend(pid))::int AS count FROM pg_stat_activity WHERE usesysid = $1::int8::oid`;
  for (let quiet = 0; quiet < 2; ) {
    const [found] = await session.ask(count, kill, [oid]);
    quiet = found?.count === 0 ? quiet + 1 : 0;
    if (quiet < 2) await session.clock.sleep(pause);
  }
}

/** Where else than here it owns something or was granted something. */
async function otherDatabases(session: Session, oid: number): Promise<readonly string[]> {
  const depends = "SELECT dbid FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = $1::int8::oid";
  const others = `SELECT datname::text AS name FROM pg_database WHERE datname <> current_database() AND oid IN (${depends})`;
  return (await session.ask(oneName, others, [oid])).map(({ name }) => name);
}

/** The new owner is one whose rights the job had anyway: a function of the job's that runs as its owner gains nothing by it. */
async function disown(session: Session, role: string, owner: string | undefined): Promise<void> {
  const given = owner === undefined || owner === "" ? "" : "REASSIGN OWNED BY %1$I TO %2$I; ";
  await run(session, `format('${given}DROP OWNED BY %1$I CASCADE', $1::text, $2::text)`, [role, owner ?? ""]);
}
