import type { KeyObject } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import type { Instant } from "../time.ts";
import type { Answers, Ask, Store } from "./calls.ts";
import { type DenialLimit, type DenialMark, Denials } from "./denials.ts";
import type { LedgerStatus } from "./ledger.ts";
import { type NoteSigner, noteSigner, verifierKey } from "./note.ts";
import { Archive } from "./sqlite/archive.ts";
import { openDatabase } from "./sqlite/database.ts";
import { asLedgerError, isFatal } from "./sqlite/failure.ts";
import { Fences } from "./sqlite/fences.ts";
import { Leases } from "./sqlite/leases.ts";
import { createLog, Log, type LogMark } from "./sqlite/log.ts";
import { Scribe } from "./sqlite/scribe.ts";
import { Sessions } from "./sqlite/sessions.ts";

export interface StoreOpening {
  readonly path: string;
  readonly key: KeyObject;
  /** The log's name: a schema-less URL without spaces or plus signs. */
  readonly origin: string;
  readonly denials: DenialLimit;
}

/** One read of a list is at most this long; a caller that wants more asks for the next page. */
const longestPage = 5_000;
const page = (count: number): number => Math.min(Math.max(count, 0), longestPage);

/** What must be forgotten, in memory, with a transaction or a part of one that is undone. */
interface Mark {
  readonly log: LogMark;
  readonly denials: DenialMark;
}

/** The embedded store. Synchronous, so it lives in a worker thread (`worker.ts`); what it promises is in `ledger.ts`. */
export class SqliteStore implements Store {
  readonly #database: DatabaseSync;
  readonly #signer: NoteSigner;
  readonly #log: Log;
  readonly #sessions: Sessions;
  readonly #leases: Leases;
  readonly #fences: Fences;
  readonly #archive: Archive;
  readonly #denials: Denials;
  readonly #scribe: Scribe;
  /** Set by a failed transaction: what is on disk is then not known, until it has been read again. */
  #doubtful = false;

  /** Throws `ledger-corrupt` for a file that does not verify, `ledger-unavailable` for one that another broker has open. */
  static open(opening: StoreOpening): SqliteStore {
    const signer = noteSigner(opening.origin, opening.key);
    const database = openDatabase(opening.path, (fresh) => createLog(fresh, signer));
    try {
      return new SqliteStore(database, signer, opening.denials);
    } catch (error) {
      database.close();
      throw asLedgerError(error);
    }
  }

  private constructor(database: DatabaseSync, signer: NoteSigner, denials: DenialLimit) {
    this.#database = database;
    this.#signer = signer;
    this.#log = new Log(database, signer);
    this.#log.load();
    this.#sessions = new Sessions(database);
    this.#leases = new Leases(database);
    this.#fences = new Fences(database);
    this.#archive = new Archive(database);
    this.#denials = new Denials(denials);
    this.#scribe = new Scribe({
      log: this.#log,
      sessions: this.#sessions,
      leases: this.#leases,
      fences: this.#fences,
      archive: this.#archive,
      denials: this.#denials,
    });
  }

  readonly answers: Answers = {
    append: (now, events) => this.#scribe.append(now, events),
    openSession: (now, opening) => this.#scribe.openSession(now, opening),
    begin: (now, run) => this.#scribe.begin(now, run),
    renew: (now, renewal) => this.#scribe.renew(now, renewal),
    deliver: (now, delivery) => this.#scribe.deliver(now, delivery),
    raiseFence: (now, raise) => this.#scribe.raiseFence(now, raise),
    postpone: (_, lease, until) => this.#leases.postpone(lease, until),
    storePolicy: (_, policy) => this.#archive.storePolicy(policy),
    tick: (now) => this.#scribe.countDenials(now),
    findSession: (_, handleDigest) => this.#sessions.find(handleDigest),
    isSpent: (_, tokenKey) => this.#sessions.isSpent(tokenKey),
    spentTokens: (now, query) => this.#sessions.spentTokens(now, { ...query, limit: page(query.limit) }),
    fence: (_, scopes) => this.#fences.over(scopes),
    openLeases: () => this.#leases.open(),
    dueLeases: (_, due) => this.#leases.due(due),
    openRuns: () => this.#sessions.openRuns(),
    policyText: (_, digest) => this.#archive.policyText(digest),
    entries: (_, query) => this.#archive.entries({ ...query, limit: page(query.limit) }),
    leases: (_, query) => this.#leases.query({ ...query, limit: page(query.limit) }),
    leaves: (_, from, count) => this.#log.leaves(from, page(count)),
    checkpoint: () => this.#log.checkpoint(),
    receipt: (_, index) => this.#log.receipt(index),
    status: () => this.#status(),
  };

  transaction<T>(work: () => T): T {
    this.#resume();
    const mark = this.#mark();
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      const result = work();
      this.#log.seal(mark.log);
      this.#database.exec("COMMIT");
      this.#denials.keep();
      return result;
    } catch (error) {
      this.#doubtful = true;
      this.#returnTo(mark);
      this.#rollBack();
      throw asLedgerError(error);
    }
  }

  /** A refusal, or an id used twice, undoes `work` alone; anything else that SQLite says is about the whole transaction. */
  atomically<T>(work: () => T): T {
    const mark = this.#mark();
    this.#database.exec("SAVEPOINT request");
    try {
      const result = work();
      this.#database.exec("RELEASE request");
      return result;
    } catch (error) {
      if (isFatal(error)) throw error;
      this.#database.exec("ROLLBACK TO request; RELEASE request");
      this.#returnTo(mark);
      throw asLedgerError(error);
    }
  }

  reading<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw asLedgerError(error);
    }
  }

  takeBack(ask: Ask): void {
    this.#scribe.takeBack(ask);
  }

  /** Counts what is still to be counted, where the disk lets it. */
  close(now: Instant): void {
    try {
      this.transaction(() => this.#scribe.countDenials(now, "all"));
    } finally {
      this.#database.close();
    }
  }

  #resume(): void {
    if (!this.#doubtful) return;
    this.reading(() => {
      if (!this.#log.isCurrent()) this.#log.load();
    });
    this.#doubtful = false;
  }

  #mark(): Mark {
    return { log: this.#log.mark(), denials: this.#denials.mark() };
  }

  #returnTo(mark: Mark): void {
    this.#log.returnTo(mark.log);
    this.#denials.returnTo(mark.denials);
  }

  #rollBack(): void {
    try {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
    } catch {
      // SQLite has rolled back by itself, or will when the file is next read.
    }
  }

  #status(): LedgerStatus {
    const sqlite = process.versions["sqlite"] ?? "unknown";
    return { origin: this.#signer.name, verifierKey: verifierKey(this.#signer), size: this.#log.size, sqlite };
  }
}
