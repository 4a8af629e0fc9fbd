import { BrokerError } from "../../errors.ts";
import { unfit } from "./failure.ts";

/** What `deploy/postgres.sql` makes as well, for whoever does not let a broker make tables; raised with every change of them. */
const version = "mayfly 1: spent identity tokens";

export const schema = `
CREATE SCHEMA IF NOT EXISTS mayfly;

CREATE TABLE IF NOT EXISTS mayfly.spent_token (
  token bytea PRIMARY KEY CHECK (octet_length(token) = 32),
  origin text NOT NULL,
  session text NOT NULL,
  claimed_at timestamp with time zone NOT NULL DEFAULT now(),
  confirmed_at timestamp with time zone,
  forget_after timestamp with time zone NOT NULL
);
CREATE INDEX IF NOT EXISTS spent_token_session ON mayfly.spent_token (origin, session);
CREATE INDEX IF NOT EXISTS spent_token_unconfirmed ON mayfly.spent_token (origin) WHERE confirmed_at IS NULL;
CREATE INDEX IF NOT EXISTS spent_token_forget ON mayfly.spent_token (forget_after);

COMMENT ON TABLE mayfly.spent_token IS '${version}';
`;

/** Two brokers that start at once make it one after the other: `IF NOT EXISTS` alone does not see what is not committed. */
export const createSchema = `SELECT pg_advisory_xact_lock(7305808869231650401); ${schema}`;

const columns = [
  "token bytea!",
  "origin text!",
  "session text!",
  "claimed_at timestamp with time zone!",
  "confirmed_at timestamp with time zone",
  "forget_after timestamp with time zone!",
].join(", ");

/** One row, or none where there is no such table. */
export const inspectSchema = `
SELECT
  coalesce(obj_description(c.oid, 'pg_class'), '') AS version,
  c.relpersistence = 'p' AS durable,
  (SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN '!' ELSE '' END, ', ' ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  coalesce((SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p'), '') AS key,
  has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
    AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE') AS allowed
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'mayfly' AND c.relname = 'spent_token'`;

const hint = "as its owner, run deploy/postgres.sql of this version on the database";

/** Throws `config-invalid` for a table of another version or shape, one that a crash would empty, and one that this user may not use. */
export function checkSchema(found: Readonly<Record<string, unknown>> | undefined): void {
  if (found === undefined) throw unfit("the shared store has no table of spent tokens", hint);
  const fits = found["version"] === version && found["columns"] === columns && found["key"] === "PRIMARY KEY (token)";
  if (!fits || found["durable"] !== true)
    throw new BrokerError("config-invalid", "the shared store's table of spent tokens is of another version or shape", {
      hint,
      detail: JSON.stringify(found),
    });
  if (found["allowed"] !== true)
    throw unfit("the shared store does not allow this user to select, insert, update and delete", hint);
}
