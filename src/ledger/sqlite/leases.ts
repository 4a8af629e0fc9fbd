import type { DatabaseSync, StatementSync } from "node:sqlite";
import { z } from "zod";
import { BrokerError } from "../../errors.ts";
import type { Instant } from "../../time.ts";
import { canonical } from "../canonical.ts";
import type { Event } from "../entry.ts";
import type { LeaseQuery, LeaseRecord, LeaseState, LeasesDue } from "../ledger.ts";
import { type LeaseEvent, liveStates, move } from "../states.ts";
import { Row, rowOf } from "./row.ts";

const select = `
  SELECT l.*, r.session, r.template, s.workload
  FROM lease l JOIN run r ON r.id = l.run JOIN session s ON s.id = r.session`;
const isLive = `l.state IN (${liveStates.map((state) => `'${state}'`).join(", ")})`;

const stateSchema = z.enum([
  "intent",
  "issued",
  "failed",
  "unknown",
  "delivered",
  "revoked",
  "expired",
  "exposed",
]) satisfies z.ZodType<LeaseState>;
const endingSchema = z.enum(["revoke", "expires", "static"]).nullable();
const asSchema = z.enum(["broker", "host", "job"]);
const handleSchema = z.record(z.string(), z.string());

/** Each lease's state, and what a restarted broker needs to end it. Rows only: who writes the entries is `sqlite.ts`. */
export class Leases {
  readonly #insert: StatementSync;
  readonly #find: StatementSync;
  readonly #move: StatementSync;
  readonly #issue: StatementSync;
  readonly #doubt: StatementSync;
  readonly #attempt: StatementSync;
  readonly #postpone: StatementSync;
  readonly #open: StatementSync;
  readonly #due: StatementSync;
  readonly #query: StatementSync;

  constructor(database: DatabaseSync) {
    this.#insert = database.prepare(`
      INSERT INTO lease (id, run, opened, credential, provider, proves, options, optional, state, opened_at, latest_expiry, next_attempt)
      VALUES ($lease, $run, $opened, $credential, $provider, $as, $options, $optional, 'intent', $now, $latestExpiry, $now)`);
    this.#find = database.prepare(`${select} WHERE l.id = ?`);
    this.#move = database.prepare(
      "UPDATE lease SET state = $state, ever_alive = ever_alive OR $state <> 'failed' WHERE id = $lease",
    );
    this.#issue = database.prepare("UPDATE lease SET ending = ?, handle = ?, expires_at = ? WHERE id = ?");
    this.#doubt = database.prepare("UPDATE lease SET unknown_at = ? WHERE id = ?");
    this.#attempt = database.prepare("UPDATE lease SET attempts = ? WHERE id = ?");
    this.#postpone = database.prepare("UPDATE lease SET next_attempt = ? WHERE id = ?");
    this.#open = database.prepare(`${select} WHERE ${isLive} ORDER BY l.opened`);
    this.#due = database.prepare(`
      ${select}
      WHERE ${isLive} AND (l.next_attempt <= $by OR l.opened_at > $by OR (l.ending = 'revoke' AND l.next_attempt > $by + $longestPause))
      ORDER BY l.next_attempt LIMIT 500`);
    this.#query = database.prepare(`
      ${select}
      WHERE ($state IS NULL OR l.state = $state OR ($state = 'live' AND ${isLive})) AND ($workload IS NULL OR s.workload = $workload)
      ORDER BY l.opened DESC LIMIT $limit`);
  }

  /** `index` is where the intent's entry will stand: the order of openings. */
  intend(now: Instant, intent: Extract<Event, { kind: "intent" }>, index: number): void {
    const { lease, run, credential, provider, as, latestExpiry } = intent;
    this.#insert.run({
      lease,
      run,
      opened: index,
      credential,
      provider,
      as,
      options: canonical(intent.options ?? null),
      optional: Number(intent.optional),
      now,
      latestExpiry,
    });
  }

  /** The lease after the event. Throws `lease-unknown` and `lease-state`. */
  apply(now: Instant, event: LeaseEvent): LeaseRecord {
    const before = this.find(event.lease);
    const state = move(before?.state, event);
    this.#move.run({ state, lease: event.lease });
    if (event.kind === "issued") {
      this.#issue.run(event.ending, event.handle === null ? null : canonical(event.handle), event.expiresAt, event.lease);
    }
    if (event.kind === "unknown") this.#doubt.run(now, event.lease);
    if (event.kind === "revocation-failed") this.#attempt.run(event.attempt, event.lease);
    const after = this.find(event.lease);
    if (after === undefined) throw new BrokerError("lease-unknown");
    return after;
  }

  find(id: string): LeaseRecord | undefined {
    const row = rowOf(this.#find.get(id));
    return row === undefined ? undefined : record(row);
  }

  postpone(id: string, until: Instant): void {
    if (Number(this.#postpone.run(until, id).changes) !== 1) throw new BrokerError("lease-unknown");
  }

  open(): readonly LeaseRecord[] {
    return this.#open.all().map((values) => record(new Row(values)));
  }

  due({ by, longestPause }: LeasesDue): readonly LeaseRecord[] {
    return this.#due.all({ by, longestPause }).map((values) => record(new Row(values)));
  }

  query(query: LeaseQuery): readonly LeaseRecord[] {
    const { state = null, workload = null, limit } = query;
    return this.#query.all({ state, workload, limit }).map((values) => record(new Row(values)));
  }
}

function record(row: Row): LeaseRecord {
  const handle = row.textOrNull("handle");
  return {
    lease: row.text("id"),
    run: row.text("run"),
    session: row.text("session"),
    template: row.text("template"),
    workload: row.text("workload"),
    credential: row.text("credential"),
    provider: row.text("provider"),
    as: asSchema.parse(row.text("proves")),
    options: JSON.parse(row.text("options")),
    state: stateSchema.parse(row.text("state")),
    ending: endingSchema.parse(row.textOrNull("ending")),
    handle: handle === null ? null : handleSchema.parse(JSON.parse(handle)),
    openedAt: row.whole("opened_at"),
    unknownAt: row.wholeOrNull("unknown_at"),
    expiresAt: row.wholeOrNull("expires_at"),
    latestExpiry: row.whole("latest_expiry"),
    attempts: row.whole("attempts"),
    nextAttempt: row.whole("next_attempt"),
  };
}
