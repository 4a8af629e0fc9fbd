import { asBrokerError, BrokerError } from "../../errors.ts";

/** So many wait in one line, and in all of them. */
const most = { inLine: 16, inAll: 128 } as const;

/**
 * One at a time. Whoever asks again and again waits behind everybody else who asks: each line has its turn before the first one has its
 * next.
 */
export class Turns {
  /** In the order of their next turn. */
  readonly #lines = new Map<string, (() => void)[]>();
  #waiting = 0;
  #taken = false;

  /** Rejects with `busy` where too many wait, and with the signal's own reason. */
  async take<T>(line: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (this.#taken) await this.#turnOf(line, signal);
    this.#taken = true;
    try {
      return await work();
    } finally {
      this.#next();
    }
  }

  #turnOf(line: string, signal: AbortSignal): Promise<void> {
    const waiting = this.#lines.get(line) ?? [];
    if (waiting.length >= most.inLine || this.#waiting >= most.inAll)
      throw new BrokerError("busy", "too many wait for the site's last word", { hint: "try again in a minute" });
    this.#lines.set(line, waiting);
    this.#waiting += 1;
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = (): void => {
        this.#remove(line, begin);
        reject(asBrokerError(signal.reason));
      };
      waiting.push(begin);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  #remove(line: string, begin: () => void): void {
    const left = (this.#lines.get(line) ?? []).filter((other) => other !== begin);
    this.#waiting -= 1;
    if (left.length === 0) this.#lines.delete(line);
    else this.#lines.set(line, left);
  }

  /** Handed over, so that nobody who comes just now is quicker. */
  #next(): void {
    const [first] = this.#lines;
    this.#taken = first !== undefined;
    if (first === undefined) return;
    const [line, [begin, ...left]] = first;
    this.#waiting -= 1;
    this.#lines.delete(line);
    if (left.length > 0) this.#lines.set(line, left);
    begin?.();
  }
}
