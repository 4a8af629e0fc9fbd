/**
 * Messages from several makers to one reader, with no buffer: `send` resolves once its message was taken, so a slow reader slows
 * whoever awaits it. Once closed, what is sent is dropped, and nobody waits.
 */
export class Channel<T> implements AsyncIterable<T> {
  readonly #waiting: { readonly message: T; readonly taken: () => void }[] = [];
  #wake: () => void = () => undefined;
  #closed = false;

  async send(message: T): Promise<void> {
    if (this.#closed) return;
    await new Promise<void>((taken) => {
      this.#waiting.push({ message, taken });
      this.#wake();
    });
  }

  /** What was sent before is still read. */
  end(): void {
    this.#closed = true;
    this.#wake();
  }

  /** Nobody reads any more. */
  drop(): void {
    this.end();
    for (const { taken } of this.#waiting.splice(0)) taken();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    try {
      for (;;) {
        const next = this.#waiting.shift();
        if (next !== undefined) {
          yield next.message;
          next.taken();
        } else if (this.#closed) return;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      this.drop();
    }
  }
}
