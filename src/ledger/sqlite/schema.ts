/** Raised with every change of the tables below; a database of another version is refused, never guessed at. */
export const schemaVersion = 5;

/**
 * `entry` is the log and `node` its Merkle tree; what follows are facts that must change in the same transaction, and that
 * could be told again from the log alone (but for handles' digests, identities, and when to try again).
 */
export const schema = `
CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  version INTEGER NOT NULL,
  origin TEXT NOT NULL,
  fence INTEGER NOT NULL,
  checkpoint TEXT NOT NULL
) STRICT;

CREATE TABLE entry (
  idx INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  leaf BLOB NOT NULL
) STRICT;
CREATE INDEX entry_kind ON entry (kind, idx);

CREATE TABLE node (
  level INTEGER NOT NULL,
  position INTEGER NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE about (
  id TEXT NOT NULL,
  idx INTEGER NOT NULL REFERENCES entry (idx),
  PRIMARY KEY (id, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
  id TEXT PRIMARY KEY,
  handle_digest TEXT NOT NULL UNIQUE,
  peer INTEGER NOT NULL,
  cgroup TEXT,
  until INTEGER NOT NULL,
  proved_at INTEGER NOT NULL,
  identity TEXT NOT NULL,
  scopes TEXT NOT NULL,
  workload TEXT NOT NULL,
  opening_run TEXT,
  ended TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX session_open ON session (until) WHERE ended IS NULL;

CREATE TABLE token (
  key TEXT PRIMARY KEY,
  session TEXT NOT NULL REFERENCES session (id),
  renewed INTEGER NOT NULL,
  forget_after INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX token_session ON token (session);
CREATE INDEX token_forget ON token (forget_after);

CREATE TABLE run (
  id TEXT PRIMARY KEY,
  session TEXT NOT NULL REFERENCES session (id),
  template TEXT NOT NULL,
  opened INTEGER NOT NULL,
  ended INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX run_session ON run (session);
CREATE INDEX run_open ON run (opened) WHERE ended = 0;

CREATE TABLE lease (
  id TEXT PRIMARY KEY,
  run TEXT NOT NULL REFERENCES run (id),
  opened INTEGER NOT NULL,
  credential TEXT NOT NULL,
  provider TEXT NOT NULL,
  proves TEXT NOT NULL,
  options TEXT NOT NULL,
  state TEXT NOT NULL,
  optional INTEGER NOT NULL,
  ever_alive INTEGER NOT NULL DEFAULT 0,
  unknown_at INTEGER,
  ending TEXT,
  handle TEXT,
  opened_at INTEGER NOT NULL,
  expires_at INTEGER,
  latest_expiry INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_run ON lease (run);
CREATE INDEX lease_due ON lease (next_attempt) WHERE state IN ('intent', 'issued', 'delivered', 'unknown');
CREATE INDEX lease_live ON lease (opened) WHERE state IN ('intent', 'issued', 'delivered', 'unknown');

CREATE TABLE fence (
  scope TEXT PRIMARY KEY,
  fence INTEGER NOT NULL,
  closed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE policy (
  digest TEXT PRIMARY KEY,
  text TEXT NOT NULL
) STRICT, WITHOUT ROWID;
`;
