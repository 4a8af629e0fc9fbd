import { type Clock, type Duration, within } from "../../time.ts";
import type { Call } from "./dial.ts";
import { asStoreError, unavailable } from "./failure.ts";

export type Rows = readonly Readonly<Record<string, unknown>>[];

/** So many questions may wait for an answer: a store that hangs must not fill our memory. */
const mostWaiting = 1_000;

/**
 * One connection, asked one question at a time and in order. It ends with the first question that fails or is not answered in time: what is
 * done, and in which order, nobody could say, and the next connection begins with a look at the table.
 */
export class Line {
  /** Resolves with the reason. */
  readonly ended: Promise<unknown>;
  readonly #call: Call;
  readonly #clock: Clock;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(call: Call, clock: Clock) {
    this.#call = call;
    this.#clock = clock;
    this.ended = new Promise((resolve) => {
      // Heard for as long as the client lives: an error event that nobody hears would end the broker.
      call.client.on("error", resolve);
      call.client.on("end", () => resolve(unavailable("the connection ended")));
    });
  }

  /** Rejects with `store-unavailable`, and with `config-invalid` where only an operator can help. */
  async open(): Promise<void> {
    const { client, flaw } = this.#call;
    try {
      await client.connect();
    } catch (error) {
      this.close();
      throw flaw() ?? asStoreError(error);
    }
    const wrong = flaw();
    if (wrong !== undefined) throw wrong;
  }

  /** Rows, within `patience`, the wait for those before it included. */
  ask(question: string, values: readonly unknown[], patience: Duration): Promise<Rows> {
    const { client } = this.#call;
    return this.#turn(async () => (await client.query<Record<string, unknown>>(question, [...values])).rows, patience);
  }

  /** Several statements, of which PostgreSQL does all or none. */
  tell(statements: string, patience: Duration): Promise<void> {
    return this.#turn(async () => void (await this.#call.client.query(statements)), patience);
  }

  #turn<T>(work: () => Promise<T>, patience: Duration): Promise<T> {
    if (this.#waiting >= mostWaiting) return Promise.reject(unavailable("too many calls wait for it"));
    const answer = this.#last.then(work);
    this.#waiting += 1;
    this.#last = answer.catch(() => undefined).finally(() => (this.#waiting -= 1));
    const late = (): never => {
      throw unavailable(`it did not answer within ${patience} ms`);
    };
    return within(this.#clock, patience, answer, late).catch((error: unknown) => {
      this.close();
      throw asStoreError(error);
    });
  }

  close(): void {
    this.#call.hangUp();
  }
}
