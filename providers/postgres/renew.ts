import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import type { Handle } from "../../src/lease/provider.ts";
import { isOurs } from "./role.ts";
import { converse, type Server } from "./session.ts";

const statement = z.object({ ddl: z.string() });

/** It may log in for as long again from now, and never after what it was given with. A role that was closed stays so. */
export async function renewRole(server: Server, { role, until }: Handle): Promise<void> {
  const { config, context } = server;
  const end = Date.parse(until ?? "");
  if (!isOurs(role) || Number.isNaN(end) || config.renew_within === undefined)
    throw new BrokerError("internal", undefined, { detail: "postgres: the handle is not of a role that is renewed" });
  const next = new Date(Math.min(end, context.clock.now() + config.renew_within)).toISOString();
  await converse(server, async (session) => {
    const build =
      "SELECT format('ALTER ROLE %I VALID UNTIL %L', rolname, $2::text) AS ddl FROM pg_roles WHERE rolname = $1 AND rolcanlogin";
    const [found] = await session.ask(statement, build, [role, next]);
    if (found === undefined) throw new BrokerError("provider-refused", "the role has been ended, so it cannot be renewed");
    await session.act(found.ddl);
  });
}
