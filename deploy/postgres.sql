-- The store that several brokers share: which identity tokens are spent. Run it once, as the owner of a database that is used for
-- nothing else, and again after an update that says so:
--
--   psql -d mayfly -f deploy/postgres.sql
--
-- Then give each broker's login the role, and nothing more:
--
--   CREATE ROLE mayfly_host_1 LOGIN PASSWORD '…' IN ROLE mayfly_broker;
--
-- The table holds no token and no job's data: the SHA-256 of each token's key, which broker spent it for which session, and when. A broker
-- keeps one connection and a lock on it, so nothing that hands one connection to many (a pooler in transaction mode) may stand in between.

BEGIN;

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

COMMENT ON TABLE mayfly.spent_token IS 'mayfly 1: spent identity tokens';

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mayfly_broker') THEN
    CREATE ROLE mayfly_broker NOLOGIN;
  END IF;
END
$$;
GRANT USAGE ON SCHEMA mayfly TO mayfly_broker;
GRANT SELECT, INSERT, UPDATE, DELETE ON mayfly.spent_token TO mayfly_broker;

COMMIT;
