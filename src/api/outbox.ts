interface Waiting<T> {
  readonly message: T;
  readonly taken: () => void;
}

/**
 * Messages from whoever makes them to the one stream that sends them, without a buffer: `put` resolves when its message has been
 * taken and the next one is asked for, so a slow reader slows the maker. Once closed or dropped, nothing waits any more.
 */
export class Outbox<T> implements AsyncIterable<T> {
  readonly #waiting: Waiting<T>[] = [];
  readonly #urgent: Waiting<T>[] = [];
  #wake: () => void = () => undefined;
  #end: { readonly kind: "closed" } | { readonly kind: "failed"; readonly error: unknown } | undefined;
  #dropped = false;

  /** Each maker awaits it before it makes more; that is what bounds the number of messages that wait. */
  async put(message: T): Promise<void> {
    await this.#add(this.#waiting, message);
  }

  /** Ahead of all that was only put: for what must not stand behind output that nobody reads. */
  async putFirst(message: T): Promise<void> {
    await this.#add(this.#urgent, message);
  }

  /** What was put before still goes out. */
  close(): void {
    this.#end ??= { kind: "closed" };
    this.#wake();
  }

  fail(error: unknown): void {
    this.#end ??= { kind: "failed", error };
    this.#wake();
  }

  /** Nobody reads any more: what waits is thrown away, and its makers go on. */
  drop(): void {
    this.#dropped = true;
    for (const { taken } of [...this.#urgent.splice(0), ...this.#waiting.splice(0)]) taken();
    this.#wake();
  }

  async #add(queue: Waiting<T>[], message: T): Promise<void> {
    if (this.#dropped || this.#end !== undefined) return;
    await new Promise<void>((taken) => {
      queue.push({ message, taken });
      this.#wake();
    });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const next = this.#urgent.shift() ?? this.#waiting.shift();
      if (next !== undefined) {
        try {
          yield next.message;
        } finally {
          next.taken();
        }
      } else if (this.#end?.kind === "failed") throw this.#end.error;
      else if (this.#end !== undefined) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
