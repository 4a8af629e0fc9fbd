import { createHash } from "node:crypto";
import { BrokerError } from "../../errors.ts";
import type { Instant } from "../../time.ts";
import type { SpentToken } from "../ledger.ts";
import type { SpentTokens } from "../spent-tokens.ts";
import { type ConnectionParts, StoreConnection } from "./connection.ts";

const claim = `
INSERT INTO mayfly.spent_token (token, origin, session, forget_after) VALUES ($1, $2, $3, to_timestamp($4::float8 / 1000))
ON CONFLICT (token) DO NOTHING RETURNING true AS claimed`;

const confirm = `
INSERT INTO mayfly.spent_token AS spent (token, origin, session, forget_after, confirmed_at)
SELECT token, $1, session, to_timestamp(forget_after / 1000), now()
FROM unnest($2::bytea[], $3::text[], $4::float8[]) AS told (token, session, forget_after)
ON CONFLICT (token) DO UPDATE SET session = excluded.session, confirmed_at = excluded.confirmed_at
WHERE spent.origin = excluded.origin AND spent.confirmed_at IS NULL`;

const withdraw = `
DELETE FROM mayfly.spent_token WHERE token = $1 AND origin = $2 AND session = $3 AND confirmed_at IS NULL`;

const release = "DELETE FROM mayfly.spent_token WHERE origin = $1 AND session = ANY ($2::text[])";

const releaseUnconfirmed = `
DELETE FROM mayfly.spent_token WHERE origin = $1 AND confirmed_at IS NULL AND session <> ALL ($2::text[])`;

/** A thousand at a time, so that no statement is long; a clock that ran ahead, here or there, frees nothing that is still good. */
const forget = `
DELETE FROM mayfly.spent_token WHERE token IN (
  SELECT token FROM mayfly.spent_token
  WHERE forget_after < least(now(), to_timestamp($1::float8 / 1000)) - interval '1 day' LIMIT 1000)`;

/** The table that `schema.ts` describes. A token is known there by the SHA-256 of its key: the table cannot tell whose it was. */
export class PostgresSpentTokens implements SpentTokens {
  readonly #connection: StoreConnection;
  readonly #origin: string;

  constructor(parts: ConnectionParts) {
    this.#connection = new StoreConnection(parts);
    this.#origin = parts.origin;
  }

  /** Once, before anything is claimed. Throws `config-invalid` when an operator must help; a store that is away is no error, but `trouble`. */
  connect(): Promise<void> {
    return this.#connection.connect();
  }

  get generation(): number {
    return this.#connection.generation;
  }

  get trouble(): BrokerError | undefined {
    return this.#connection.trouble;
  }

  async claim({ key, session, forgetAfter }: SpentToken): Promise<void> {
    const rows = await this.#connection.ask(claim, [digestOf(key), this.#origin, session, forgetAfter]);
    if (rows.length !== 1) throw new BrokerError("token-spent");
  }

  async confirm(tokens: readonly SpentToken[]): Promise<void> {
    const columns = [tokens.map(({ key }) => digestOf(key)), tokens.map(({ session }) => session)];
    await this.#connection.ask(confirm, [this.#origin, ...columns, tokens.map(({ forgetAfter }) => forgetAfter)]);
  }

  async withdraw({ key, session }: SpentToken): Promise<void> {
    await this.#connection.ask(withdraw, [digestOf(key), this.#origin, session]);
  }

  async release(sessions: readonly string[]): Promise<void> {
    await this.#connection.ask(release, [this.#origin, sessions]);
  }

  async releaseUnconfirmed(but: readonly string[]): Promise<void> {
    await this.#connection.ask(releaseUnconfirmed, [this.#origin, but]);
  }

  async forget(now: Instant): Promise<void> {
    await this.#connection.ask(forget, [now]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connection[Symbol.asyncDispose]();
  }
}

function digestOf(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
