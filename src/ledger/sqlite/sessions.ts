import type { DatabaseSync, StatementSync } from "node:sqlite";
import { BrokerError } from "../../errors.ts";
import type { Instant } from "../../time.ts";
import type { SessionEnd } from "../entry.ts";
import type { RunOpening, SessionOpening, SessionRecord, SpentToken, SpentTokensQuery, TokenSpent } from "../ledger.ts";
import { Row, rowOf } from "./row.ts";

/** Kept this much longer than asked, in milliseconds: a clock that ran ahead must not free tokens that are still good. */
const forgetMargin = 86_400_000;

/** Sessions, the tokens that opened them, and their runs. Rows only: who writes the entries is `sqlite.ts`. */
export class Sessions {
  readonly #findToken: StatementSync;
  readonly #findRenewal: StatementSync;
  readonly #insertSession: StatementSync;
  readonly #insertToken: StatementSync;
  readonly #forgetTokens: StatementSync;
  readonly #freeToken: StatementSync;
  readonly #spentTokens: StatementSync;
  readonly #byHandle: StatementSync;
  readonly #byId: StatementSync;
  readonly #within: StatementSync;
  readonly #prove: StatementSync;
  readonly #endSession: StatementSync;
  readonly #setOpeningRun: StatementSync;
  readonly #insertRun: StatementSync;
  readonly #endRun: StatementSync;
  readonly #findRun: StatementSync;
  readonly #aliveRun: StatementSync;
  readonly #openRuns: StatementSync;
  readonly #unspendable: StatementSync;

  constructor(database: DatabaseSync) {
    this.#findToken = database.prepare("SELECT 1 FROM token WHERE key = ?");
    this.#findRenewal = database.prepare("SELECT 1 FROM token WHERE key = ? AND session = ? AND renewed = 1");
    this.#insertSession = database.prepare(`
      INSERT INTO session (id, handle_digest, peer, cgroup, until, proved_at, identity, scopes, workload)
      VALUES ($id, $handleDigest, $peer, $cgroup, $until, $now, $identity, $scopes, $workload)`);
    this.#insertToken = database.prepare("INSERT INTO token (key, session, renewed, forget_after) VALUES (?, ?, ?, ?)");
    this.#forgetTokens = database.prepare("DELETE FROM token WHERE forget_after < ?");
    this.#freeToken = database.prepare("DELETE FROM token WHERE session = ?");
    this.#spentTokens = database.prepare(
      "SELECT * FROM token WHERE key > $after AND forget_after > $now ORDER BY key LIMIT $limit",
    );
    this.#byHandle = database.prepare("SELECT * FROM session WHERE handle_digest = ?");
    this.#byId = database.prepare("SELECT * FROM session WHERE id = ?");
    this.#within = database.prepare(`
      SELECT id FROM session
      WHERE ended IS NULL AND until > $now AND EXISTS (SELECT 1 FROM json_each(scopes) WHERE value = $scope)`);
    this.#prove = database.prepare("UPDATE session SET proved_at = ? WHERE id = ?");
    this.#endSession = database.prepare("UPDATE session SET ended = ? WHERE id = ?");
    this.#setOpeningRun = database.prepare("UPDATE session SET opening_run = ? WHERE id = ?");
    this.#insertRun = database.prepare("INSERT INTO run (id, session, template, opened) VALUES (?, ?, ?, ?)");
    this.#endRun = database.prepare("UPDATE run SET ended = 1 WHERE id = ? AND ended = 0");
    this.#findRun = database.prepare(
      "SELECT s.id AS session, s.workload FROM run r JOIN session s ON s.id = r.session WHERE r.id = ?",
    );
    this.#aliveRun = database.prepare("SELECT 1 FROM run WHERE id = ? AND session = ? AND ended = 0");
    this.#openRuns = database.prepare("SELECT id FROM run WHERE ended = 0 ORDER BY opened");
    this.#unspendable = database.prepare(`
      SELECT s.id FROM run r JOIN session s ON s.id = r.session
      WHERE r.id = ? AND s.opening_run = r.id AND s.ended IS NULL
        AND NOT EXISTS (SELECT 1 FROM run other WHERE other.session = s.id AND other.id <> r.id)
        AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.run = r.id AND (l.state <> 'failed' OR l.ever_alive = 1))
        AND EXISTS (SELECT 1 FROM lease l WHERE l.run = r.id AND l.optional = 0)`);
  }

  /** Throws `token-spent`. */
  open(now: Instant, opening: SessionOpening): SessionRecord {
    this.#refuseSpent(now, opening.token);
    const { id, handleDigest, peer, cgroup, until, identity } = opening;
    const { workload } = opening.event;
    const scopes = JSON.stringify(opening.scopes);
    this.#insertSession.run({ id, handleDigest, peer, cgroup, until, now, identity, scopes, workload });
    this.#insertToken.run(opening.token.key, id, 0, opening.token.forgetAfter);
    return { id, peer, cgroup, until, provedAt: now, ended: false, identity };
  }

  /** One more token under a session that is there, which was proved by it. Throws `token-spent`. */
  renew(now: Instant, token: TokenSpent, session: string): void {
    this.#refuseSpent(now, token);
    this.#insertToken.run(token.key, session, 1, token.forgetAfter);
    this.#prove.run(now, session);
  }

  /** Whether the token did so before. */
  isRenewal(tokenKey: string, session: string): boolean {
    return this.#findRenewal.get(tokenKey, session) !== undefined;
  }

  #refuseSpent(now: Instant, token: TokenSpent): void {
    this.#forgetTokens.run(now - forgetMargin);
    if (this.isSpent(token.key)) throw new BrokerError("token-spent");
  }

  isSpent(tokenKey: string): boolean {
    return this.#findToken.get(tokenKey) !== undefined;
  }

  spentTokens(now: Instant, { after, limit }: SpentTokensQuery): readonly SpentToken[] {
    return this.#spentTokens.all({ after, now, limit }).map((values) => {
      const row = new Row(values);
      return { key: row.text("key"), session: row.text("session"), forgetAfter: row.whole("forget_after") };
    });
  }

  /** Throws `session-unknown` and `session-ended`. */
  alive(now: Instant, id: string): SessionRecord {
    const session = this.#notEnded(id);
    if (session.until <= now) throw new BrokerError("session-ended");
    return session;
  }

  /** The session of a run that goes on, past `until` too. Throws `session-unknown`, and `session-ended` for either, or a run of another session. */
  goingOn(run: string, id: string): SessionRecord {
    const session = this.#notEnded(id);
    if (this.#aliveRun.get(run, id) === undefined) throw new BrokerError("session-ended", "the run has ended");
    return session;
  }

  #notEnded(id: string): SessionRecord {
    const session = record(rowOf(this.#byId.get(id)));
    if (session === undefined) throw new BrokerError("session-unknown");
    if (session.ended) throw new BrokerError("session-ended");
    return session;
  }

  /** Those that still open something and that containment reaches by this scope. */
  within(now: Instant, scope: string): readonly string[] {
    return this.#within.all({ now, scope }).map((values) => new Row(values).text("id"));
  }

  find(handleDigest: string): SessionRecord | undefined {
    return record(rowOf(this.#byHandle.get(handleDigest)));
  }

  workload(id: string): string | undefined {
    return rowOf(this.#byId.get(id))?.text("workload");
  }

  /** `unspent` also frees the token: the session came to nothing, so the job may try again with what it has. */
  end(id: string, why: SessionEnd): void {
    this.#notEnded(id);
    this.#endSession.run(why, id);
    if (why === "unspent") this.#freeToken.run(id);
  }

  /** `index` is where the run's entry will stand: the order of openings. */
  openRun(opening: RunOpening, session: string, index: number): void {
    this.#insertRun.run(opening.run.run, session, opening.run.template, index);
    if (opening.session.kind === "open") this.#setOpeningRun.run(opening.run.run, session);
  }

  endRun(run: string): void {
    if (Number(this.#endRun.run(run).changes) !== 1) {
      throw new BrokerError("internal", undefined, { detail: `run ${run} is unknown or has already ended` });
    }
  }

  openRuns(): readonly string[] {
    return this.#openRuns.all().map((values) => new Row(values).text("id"));
  }

  /** Whose run it is; undefined when there is no such run. */
  runOwner(run: string): { readonly session: string; readonly workload: string } | undefined {
    const row = rowOf(this.#findRun.get(run));
    return row === undefined ? undefined : { session: row.text("session"), workload: row.text("workload") };
  }

  /** The session that this run's token opened, when nothing but definite failures came of it. */
  unspendable(run: string): string | undefined {
    return rowOf(this.#unspendable.get(run))?.text("id");
  }
}

function record(row: Row | undefined): SessionRecord | undefined {
  if (row === undefined) return undefined;
  const ended = row.textOrNull("ended") !== null;
  return {
    id: row.text("id"),
    peer: row.whole("peer"),
    cgroup: row.textOrNull("cgroup"),
    until: row.whole("until"),
    provedAt: row.whole("proved_at"),
    ended,
    identity: row.text("identity"),
  };
}
