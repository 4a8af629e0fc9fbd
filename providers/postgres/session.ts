import type { QueryResult } from "pg";
import type { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import type { ProviderContext } from "../../src/lease/provider.ts";
import type { Secret } from "../../src/secret.ts";
import { type Clock, type Duration, within } from "../../src/time.ts";
import type { PostgresConfig } from "./config.ts";
import { type Call, dial } from "./dial.ts";
import type { Gate } from "./gate.ts";
import { identityOf, nextPassword } from "./identity.ts";
import { certain, isWrongPassword, uncertain } from "./refusals.ts";

/** Where a conversation is held, and by whom. */
export interface Server {
  readonly config: PostgresConfig;
  readonly context: ProviderContext;
  readonly signal: AbortSignal;
  /** Whoever talks already has passed it: a second conversation within the first must not wait in line behind others. */
  readonly gate?: Gate;
}

export interface Place {
  /** Left out, the provider's own. */
  readonly database?: string;
  /** Stands in for that of the password file. */
  readonly password?: Secret;
}

/**
 * One connection, for one conversation, closed at its end. Rejects with `provider-refused` or `provider-unavailable` only where the server
 * certainly did nothing: until `act` was called, or where it was and the server itself said no.
 */
export async function converse<T>(server: Server, work: (session: Session) => Promise<T>, place: Place = {}): Promise<T> {
  using _ = await server.gate?.enter(server.signal);
  return await conversation(server, work, place).catch(async (error: unknown) => {
    const path = server.config.login.password_file;
    if (path === undefined || place.password !== undefined || !isWrongPassword(error)) throw error;
    // A rotation is under way, or a broker died in the middle of one.
    const password = await nextPassword(path);
    if (password === undefined) throw error;
    return conversation(server, work, { ...place, password });
  });
}

async function conversation<T>(
  { config, context, signal }: Server,
  work: (session: Session) => Promise<T>,
  { database = config.database, password }: Place,
): Promise<T> {
  const identity = await identityOf(config, context, password);
  signal.throwIfAborted();
  const call = dial({ ...config, database, identity });
  const session = new Session(call, context.clock);
  using _ = ended(call, signal, { clock: context.clock, timeout: config.timeout });
  try {
    await session.open();
    return await work(session);
  } catch (error) {
    throw session.failure(error);
  } finally {
    await session.close();
  }
}

/** Hangs up once the caller has given up, or the time is over. */
function ended(
  call: Call,
  signal: AbortSignal,
  { clock, timeout }: { readonly clock: Clock; readonly timeout: Duration },
): Disposable {
  const over = new AbortController();
  const hangUp = (): void => call.hangUp();
  signal.addEventListener("abort", hangUp, { once: true });
  void clock.sleep(timeout, over.signal).then(hangUp, () => undefined);
  return {
    [Symbol.dispose]: () => {
      signal.removeEventListener("abort", hangUp);
      over.abort();
    },
  };
}

export class Session {
  readonly #call: Call;
  readonly clock: Clock;
  #acted = false;

  constructor(call: Call, clock: Clock) {
    this.#call = call;
    this.clock = clock;
  }

  async open(): Promise<void> {
    await this.#call.client.connect();
  }

  /** A question that changes nothing. Its answer's rows, each of this shape. */
  async ask<Row>(row: z.ZodType<Row>, sql: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
    const { rows } = await this.#call.client.query<Record<string, unknown>>(sql, [...values]);
    return rows.map((found) => {
      const read = row.safeParse(found);
      if (!read.success) throw new Error("the answer is not one of PostgreSQL's");
      return read.data;
    });
  }

  /**
   * Changes something: all of these statements or none, since the server runs what comes in one message as one transaction
   * (PostgreSQL, "Multiple Statements in a Simple Query"). Where it refuses and then still talks to us, nothing of it has happened.
   */
  async act(sql: string): Promise<void> {
    const before = this.#acted;
    this.#acted = true;
    try {
      await this.#simple(sql);
    } catch (error) {
      if (!(await this.#talks())) throw error;
      this.#acted = before;
      throw certain(error);
    }
  }

  async #simple(sql: string): Promise<QueryResult> {
    return this.#call.client.query(sql);
  }

  /** An error that ends the connection may have come after the commit; one after which the server goes on did not. */
  async #talks(): Promise<boolean> {
    return this.#simple("SELECT 1").then(
      () => true,
      () => false,
    );
  }

  failure(error: unknown): Error {
    const flaw = this.#call.flaw();
    if (flaw !== undefined)
      return new BrokerError("provider-refused", undefined, {
        detail: `postgres: ${flaw}`,
        hint: "use TLS, or scram-sha-256 both in pg_hba.conf and for the login's password",
      });
    if (!this.#acted) return certain(error);
    return error instanceof BrokerError && !certainCodes.has(error.code) ? error : uncertain(error);
  }

  /** Says goodbye where it can, and never waits long for that. */
  async close(): Promise<void> {
    const { client, hangUp } = this.#call;
    await within(
      this.clock,
      250,
      client.end().catch(() => undefined),
      () => undefined,
    );
    hangUp();
  }
}

const certainCodes: ReadonlySet<string> = new Set(["provider-refused", "provider-unavailable"]);
