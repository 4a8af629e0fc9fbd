import type { BrokerError } from "../errors.ts";

/** The calls that go on, so that a shutdown can refuse new ones, wait for these, and end them. */
export class Calls {
  readonly #ending = new AbortController();
  #count = 0;
  #refusal: BrokerError | undefined;
  #last: () => void = () => undefined;

  get count(): number {
    return this.#count;
  }

  /** Aborted when calls are told to end. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** Counts a call until the returned object is disposed. */
  begin(): Disposable {
    this.#count += 1;
    let open = true;
    return {
      [Symbol.dispose]: () => {
        if (!open) return;
        open = false;
        this.#count -= 1;
        if (this.#count === 0) this.#last();
      },
    };
  }

  /** Throws once new work is refused. */
  admit(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  refuse(error: BrokerError): void {
    this.#refusal ??= error;
  }

  end(reason: BrokerError): void {
    this.#ending.abort(reason);
  }

  /** Resolves when no call is left. */
  async over(): Promise<void> {
    if (this.#count > 0) await new Promise<void>((resolve) => (this.#last = resolve));
  }
}
