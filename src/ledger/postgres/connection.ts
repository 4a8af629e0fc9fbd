import { createHash } from "node:crypto";
import type { BrokerError } from "../../errors.ts";
import type { Clock, Duration } from "../../time.ts";
import { type Address, dial } from "./dial.ts";
import { asStoreError, unavailable, unfit } from "./failure.ts";
import { Line, type Rows } from "./line.ts";
import { checkSchema, createSchema, inspectSchema } from "./schema.ts";

export interface ConnectionParts {
  /** Asked once. */
  readonly address: () => Promise<Address>;
  /** The broker's own name among those that share the store. */
  readonly origin: string;
  readonly clock: Clock;
  /** Told why it is lost, and why it is not found again whenever the reason changes; undefined when it is found. */
  readonly report: (trouble: BrokerError | undefined) => void;
}

/** How long one question may take. */
const patience: Duration = 2_000;

/** Between two attempts: soon after a restart, rarely in a long outage, and never so rarely that its end goes unnoticed for half a minute. */
const pauses: readonly Duration[] = [250, 500, 1_000, 2_000, 5_000];

/** The connection of a broker that was killed may outlive it for a moment, and so may its lock. */
const lockAttempts = 20;
const lockPause: Duration = 250;

/**
 * The one connection of this broker, found again whenever it is lost. It holds a lock of the origin's own for as long as it lives, and all
 * is asked through it: two brokers of one origin, which would free each other's claims, can never both be heard.
 */
export class StoreConnection implements AsyncDisposable {
  readonly #parts: ConnectionParts;
  readonly #closing = new AbortController();
  #address: Address | undefined;
  #line: Line | undefined;
  #generation = 0;
  #trouble: BrokerError = unavailable("it was not reached yet");
  #kept: Promise<void> = Promise.resolve();

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  /** Once. Throws `config-invalid` for what only an operator can put right; a store that is merely away is looked for from then on. */
  async connect(): Promise<void> {
    const line = await this.#connect().catch((error: unknown) => this.#missed(error, "start"));
    this.#kept = this.#keep(line);
  }

  get generation(): number {
    return this.#generation;
  }

  get trouble(): BrokerError | undefined {
    return this.#line === undefined ? this.#trouble : undefined;
  }

  async ask(question: string, values: readonly unknown[]): Promise<Rows> {
    if (this.#line === undefined) throw unavailable(this.#trouble.detail ?? this.#trouble.message);
    return this.#line.ask(question, values, patience);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#line?.close();
    await this.#kept;
  }

  async #keep(first: Line | undefined): Promise<void> {
    for (let line = first, missed = 0; !this.#closing.signal.aborted; line = await this.#again(missed)) {
      missed = line === undefined ? missed + 1 : 0;
      if (line !== undefined) await this.#use(line);
    }
  }

  async #use(line: Line): Promise<void> {
    this.#line = line;
    this.#generation += 1;
    this.#parts.report(undefined);
    const reason = await line.ended;
    this.#line = undefined;
    line.close();
    if (!this.#closing.signal.aborted) this.#missed(reason, "later");
  }

  async #again(missed: number): Promise<Line | undefined> {
    const pause = pauses[Math.min(missed, pauses.length - 1)] ?? 0;
    try {
      await this.#parts.clock.sleep(pause, this.#closing.signal);
      return await this.#connect();
    } catch (error) {
      return this.#closing.signal.aborted ? undefined : this.#missed(error, "later");
    }
  }

  #missed(error: unknown, when: "start" | "later"): undefined {
    const trouble = asStoreError(error);
    if (when === "start" && trouble.code !== "store-unavailable") throw trouble;
    const isNews = trouble.code !== this.#trouble.code || trouble.detail !== this.#trouble.detail;
    this.#trouble = trouble;
    if (isNews) this.#parts.report(trouble);
  }

  async #connect(): Promise<Line> {
    const { origin, clock } = this.#parts;
    this.#address ??= await this.#parts.address();
    const line = new Line(dial(this.#address, origin, patience), clock);
    const hangUp = (): void => line.close();
    this.#closing.signal.addEventListener("abort", hangUp, { once: true });
    try {
      await line.open();
      await this.#prepare(line);
      this.#closing.signal.throwIfAborted();
      return line;
    } catch (error) {
      line.close();
      throw error;
    } finally {
      this.#closing.signal.removeEventListener("abort", hangUp);
    }
  }

  async #prepare(line: Line): Promise<void> {
    const [state] = await line.ask(firstWords, [], patience);
    if (state?.["standby"] !== false) throw unavailable("it is a standby, which takes no claims");
    await this.#lock(line);
    const inspect = async () => (await line.ask(inspectSchema, [], patience))[0];
    const found = await inspect();
    if (found !== undefined) return checkSchema(found);
    await line.tell(createSchema, patience);
    checkSchema(await inspect());
  }

  async #lock(line: Line): Promise<void> {
    const { origin, clock } = this.#parts;
    for (let left = lockAttempts; left > 0; left--) {
      const [lock] = await line.ask("SELECT pg_try_advisory_lock($1) AS held", [lockOf(origin)], patience);
      if (lock?.["held"] === true) return;
      await clock.sleep(lockPause, this.#closing.signal);
    }
    throw unfit(
      "another broker of the same origin uses the shared store",
      "stop it, or give each broker an `identity.origin` of its own",
    );
  }
}

/** A server that answers before its disk does would forget claims in a crash. */
const firstWords = `
SELECT pg_is_in_recovery() AS standby,
  set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)`;

/** PostgreSQL's advisory locks are numbers of 64 bits. */
function lockOf(origin: string): string {
  return createHash("sha256").update(`mayfly broker\n${origin}`).digest().readBigInt64BE().toString();
}
