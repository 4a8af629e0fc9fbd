import type { JobStreams } from "../sandbox/sandbox.ts";

export type JobSignal = JobStreams["signals"] extends AsyncIterable<infer Name> ? Name : never;

/** As in a kernel, a signal is pending at most once: however many are sent, at most one of each kind waits. */
export class PendingSignals implements AsyncIterable<JobSignal> {
  readonly #pending = new Set<JobSignal>();
  #ended = false;
  #wake: () => void = () => undefined;

  add(signal: JobSignal): void {
    this.#pending.add(signal);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<JobSignal> {
    for (;;) {
      const [next] = this.#pending;
      if (next !== undefined) {
        this.#pending.delete(next);
        yield next;
      } else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
