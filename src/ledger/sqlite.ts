import type { KeyObject } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { BrokerError } from "../errors.ts";
import type { Instant } from "../time.ts";
import type { Answers, Ask, Call, Store } from "./calls.ts";
import { type DenialLimit, type DenialMark, Denials } from "./denials.ts";
import type { Entry, Event } from "./entry.ts";
import type { Begun, LedgerStatus, RunOpening, SessionOpening, SessionRecord } from "./ledger.ts";
import { type NoteSigner, noteSigner, verifierKey } from "./note.ts";
import { Archive } from "./sqlite/archive.ts";
import { openDatabase } from "./sqlite/database.ts";
import { asLedgerError, isFatal } from "./sqlite/failure.ts";
import { Fences } from "./sqlite/fences.ts";
import { Leases } from "./sqlite/leases.ts";
import { createLog, Log, type LogMark } from "./sqlite/log.ts";
import { Sessions } from "./sqlite/sessions.ts";
import { isLeaseEvent, type LeaseEvent } from "./states.ts";

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

/** Events that change more than `append` may. */
const notAppended: ReadonlySet<Event["kind"]> = new Set(["session-opened", "run-opened", "intent", "fence-raised"]);

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
  }

  readonly answers: Answers = {
    append: (now, events) => this.#append(now, events),
    openSession: (now, opening) => this.#openSession(now, opening),
    begin: (now, run) => this.#begin(now, run),
    raiseFence: (now, raise) => this.#raiseFence(now, raise),
    postpone: (_, lease, until) => this.#leases.postpone(lease, until),
    storePolicy: (_, policy) => this.#archive.storePolicy(policy),
    tick: (now) => this.#countDenials(now),
    findSession: (_, handleDigest) => this.#sessions.find(handleDigest),
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
    if (ask.method === "openSession") this.#endSession(ask.now, ask.args[0].id, "unspent");
    if (ask.method === "begin") this.#takeBackRun(ask);
  }

  /** Counts what is still to be counted, where the disk lets it. */
  close(now: Instant): void {
    try {
      this.transaction(() => this.#countDenials(now, "all"));
    } finally {
      this.#database.close();
    }
  }

  #takeBackRun(ask: Call<"begin">): void {
    const [{ run, intents, session }] = ask.args;
    const code = "ledger-unavailable" as const;
    const failures = intents.map(({ lease }) => ({ kind: "failed", lease, code }) as const);
    this.#append(ask.now, [...failures, { kind: "run-ended", run: run.run, outcome: "refused", exitCode: null, code }]);
    if (session.kind === "open" && intents.length === 0) this.#endSession(ask.now, session.opening.id, "unspent");
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

  #append(now: Instant, events: readonly Event[]): readonly Entry[] {
    this.#countDenials(now);
    const recorded = events.filter((event) => event.kind !== "denied" || this.#denials.admit(event.peer, now));
    const entries = recorded.map((event) => this.#record(now, event));
    return [...entries, ...this.#freeTokens(now, recorded)];
  }

  #record(now: Instant, event: Event): Entry {
    if (notAppended.has(event.kind)) {
      throw new BrokerError("internal", undefined, { detail: `${event.kind} is written by its own method, not appended` });
    }
    if (isLeaseEvent(event)) return this.#moveLease(now, event);
    if (event.kind === "session-ended") return this.#endSession(now, event.session, event.why);
    if (event.kind === "run-ended") return this.#endRun(now, event);
    return this.#log.write(now, event, event.kind === "denied" ? [event.denial, event.workload ?? event.denial] : []);
  }

  #endRun(now: Instant, event: Extract<Event, { kind: "run-ended" }>): Entry {
    this.#sessions.endRun(event.run);
    return this.#log.write(now, event, [event.run, ...this.#ownersOf(event.run)]);
  }

  #moveLease(now: Instant, event: LeaseEvent): Entry {
    const { lease, run, session, workload } = this.#leases.apply(event);
    return this.#log.write(now, event, [lease, run, session, workload]);
  }

  /** A set of credentials that all failed for certain did not use the token up: the job may present it again. */
  #freeTokens(now: Instant, events: readonly Event[]): readonly Entry[] {
    const failed = events.filter((event) => event.kind === "failed").map((event) => this.#leases.find(event.lease)?.run ?? "");
    return [...new Set(failed)]
      .map((run) => this.#sessions.unspendable(run))
      .filter((session) => session !== undefined)
      .map((session) => this.#endSession(now, session, "unspent"));
  }

  #endSession(now: Instant, session: string, why: Extract<Event, { kind: "session-ended" }>["why"]): Entry {
    this.#sessions.end(session, why);
    return this.#log.write(now, { kind: "session-ended", session, why }, [
      session,
      this.#sessions.workload(session) ?? session,
    ]);
  }

  #openSession(now: Instant, opening: SessionOpening): SessionRecord {
    if (opening.event.session !== opening.id)
      throw new BrokerError("internal", undefined, { detail: "the event is of another session" });
    const session = this.#sessions.open(now, opening);
    this.#log.write(now, opening.event, [opening.id, opening.event.workload]);
    return session;
  }

  #begin(now: Instant, opening: RunOpening): Begun {
    const before = this.#log.size;
    const session =
      opening.session.kind === "open"
        ? this.#openSession(now, opening.session.opening)
        : this.#sessions.alive(now, opening.session.id);
    const { fence, closed } = this.#fences.over(opening.scopes);
    if (closed) throw new BrokerError("fenced");
    if (opening.run.session !== session.id)
      throw new BrokerError("internal", undefined, { detail: "the run is of another session" });
    this.#sessions.openRun(opening, session.id, this.#log.size);
    const about = [opening.run.run, ...this.#ownersOf(opening.run.run)];
    this.#log.write(now, opening.run, about);
    for (const intent of opening.intents) this.#intend(now, intent, about);
    return { session, fence, entries: this.#archive.entries({ from: before, limit: this.#log.size - before }) };
  }

  #intend(now: Instant, intent: RunOpening["intents"][number], about: readonly string[]): void {
    if (intent.run !== about[0]) throw new BrokerError("internal", undefined, { detail: "the intent is of another run" });
    this.#leases.intend(now, intent, this.#log.size);
    this.#log.write(now, intent, [intent.lease, ...about]);
  }

  #raiseFence(
    now: Instant,
    raise: { readonly scope: string; readonly closed: boolean; readonly who: string; readonly why: string },
  ): number {
    const { scope, closed, who, why } = raise;
    const fence = this.#fences.raise(scope, closed);
    this.#log.write(now, { kind: "fence-raised", scope, fence, closed, who, why }, [scope]);
    return fence;
  }

  #countDenials(now: Instant, which: "ended" | "all" = "ended"): void {
    for (const counted of this.#denials.take(now, which)) this.#log.write(now, counted, []);
  }

  #ownersOf(run: string): readonly string[] {
    const owner = this.#sessions.runOwner(run);
    return owner === undefined ? [] : [owner.session, owner.workload];
  }

  #status(): LedgerStatus {
    const sqlite = process.versions["sqlite"] ?? "unknown";
    return { origin: this.#signer.name, verifierKey: verifierKey(this.#signer), size: this.#log.size, sqlite };
  }
}
