import type { Clock } from "../../src/time.ts";

/** A clock that stands still until it is told to go on; sleeps end when it passes them. */
export class ManualClock implements Clock {
  readonly #now: number;
  #passed = 0;
  #sleepers: { readonly until: number; readonly wake: () => void }[] = [];

  constructor(now: number) {
    this.#now = now;
  }

  now(): number {
    return this.#now + this.#passed;
  }

  monotonic(): number {
    return this.#passed;
  }

  sleep(span: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(new Error("the sleep was ended")), { once: true });
      this.#sleepers.push({ until: this.#passed + span, wake: resolve });
    });
  }

  advance(span: number): void {
    this.#passed += span;
    for (const sleeper of this.#sleepers.filter(({ until }) => until <= this.#passed)) sleeper.wake();
    this.#sleepers = this.#sleepers.filter(({ until }) => until > this.#passed);
  }
}
