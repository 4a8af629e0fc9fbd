import { closeSync, existsSync, fsyncSync, linkSync, lstatSync, openSync, rmSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { BrokerError } from "../../errors.ts";
import { asLedgerError } from "./failure.ts";

/** Before this, a WAL reset could lose commits (https://www.sqlite.org/wal.html#the_wal_reset_bug). */
const oldestSqlite = [3, 51, 3] as const;

/**
 * Exclusive locking comes first: one broker owns the log (a second is refused), and SQLite then keeps its WAL index on the heap,
 * so that a full disk cannot fault a memory map. FULL makes each commit wait for its fsync.
 */
const pragmas = `
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA mmap_size = 0;
PRAGMA temp_store = MEMORY;
PRAGMA journal_size_limit = 8388608;
`;

/**
 * The open database, owned by this process alone; `fill` makes the tables of a new one. An existing file is never
 * rebuilt: an empty or damaged one is `ledger-corrupt`, since starting over would forget what is spent and what is alive.
 */
export function openDatabase(path: string, fill: (database: DatabaseSync) => void): DatabaseSync {
  refuseOldSqlite(process.versions["sqlite"] ?? "0");
  try {
    if (!existsSync(path)) create(path, fill);
    checkPrivate(path);
    return open(path);
  } catch (error) {
    throw asLedgerError(error);
  }
}

export function refuseOldSqlite(version: string): void {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  const [oldMajor, oldMinor, oldPatch] = oldestSqlite;
  const newEnough = (major - oldMajor) * 1e6 + (minor - oldMinor) * 1e3 + (patch - oldPatch) >= 0;
  if (newEnough) return;
  throw new BrokerError("environment-unfit", `SQLite ${version} can lose commits`, {
    hint: `run a Node with SQLite ${oldestSqlite.join(".")} or newer`,
  });
}

function open(path: string): DatabaseSync {
  const database = connect(path);
  try {
    database.exec(pragmas);
    database.exec("BEGIN IMMEDIATE; COMMIT");
    checkStructure(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function connect(path: string): DatabaseSync {
  return new DatabaseSync(path, { enableDoubleQuotedStringLiterals: false, timeout: 0, defensive: true });
}

function checkStructure(database: DatabaseSync): void {
  const { quick_check: verdict } = database.prepare("PRAGMA quick_check(1)").get() ?? {};
  if (verdict !== "ok") throw new BrokerError("ledger-corrupt", "the ledger's file is damaged", { detail: String(verdict) });
}

/** Made aside and linked into place, so that a crash while it is made leaves nothing that looks like a ledger. */
function create(path: string, fill: (database: DatabaseSync) => void): void {
  if (existsSync(`${path}-wal`))
    throw new BrokerError("ledger-corrupt", "the ledger's file is gone, but its write-ahead log is there");
  const aside = `${path}.new`;
  for (const suffix of ["", "-journal"]) rmSync(`${aside}${suffix}`, { force: true });
  closeSync(openSync(aside, "wx", 0o600));
  const database = connect(aside);
  try {
    database.exec("PRAGMA synchronous = FULL; BEGIN");
    fill(database);
    database.exec("COMMIT");
  } finally {
    database.close();
  }
  linkSync(aside, path);
  unlinkSync(aside);
  syncFolder(dirname(path));
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** By name, never by opening it: closing any descriptor of the file would drop the locks of a ledger open in this process. */
function checkPrivate(path: string): void {
  const stats = lstatSync(path);
  const ours = stats.isFile() && stats.uid === process.geteuid?.() && (stats.mode & 0o077) === 0;
  if (!ours)
    throw new BrokerError("config-invalid", "the ledger's file must be a regular file of this user with mode 0600", {
      hint: `check ${path}`,
    });
}
