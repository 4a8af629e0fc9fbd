import type { BrokerStatus } from "./contract.ts";
import { asBrokerError } from "./errors.ts";
import type { Log } from "./log.ts";
import { lookAt, type PolicyFiles } from "./policy-files.ts";
import type { PolicyInForce } from "./policy-in-force.ts";
import type { Duration } from "./time.ts";

export interface WatchParts {
  readonly policy: PolicyInForce;
  readonly files: PolicyFiles;
  readonly log: Log;
  /** Between two looks; 1 s. */
  readonly interval?: Duration;
}

/** Looks are further apart where one takes long: at most a fiftieth of the time goes into them. */
const share = 50;
/** So many looks in a row that each saw something else: nobody puts templates in place for half a minute. */
const restless = 30;
/** After templates that could not be put in force, since the ledger did not take their record; it doubles with each further time. */
const firstPause: Duration = 2_000;
const longestPause: Duration = 60_000;

/**
 * Has the templates read again once they changed and then stood still from one look to the next, so that a checkout in the middle is not
 * read. It looks instead of waiting for the kernel's word: that has a limit that others can use up, and does not come from a network
 * file system, nor for a folder that was removed and made again.
 */
export class PolicyWatch implements Disposable {
  readonly #parts: WatchParts;
  readonly #end = new AbortController();
  #unsettled = 0;
  #pause: Duration = 0;
  /** On the monotonic clock. */
  #notBefore: Duration = 0;

  constructor(parts: WatchParts) {
    this.#parts = parts;
    void this.#watch();
  }

  trouble(): BrokerStatus["trouble"] {
    if (this.#unsettled < restless) return [];
    return [{ code: "policy-invalid", about: "the templates change all the time, so they are not read again" }];
  }

  async #watch(): Promise<void> {
    const { clock } = this.#parts.files;
    let last = this.#parts.policy.looked;
    let pause = this.#parts.interval ?? 1_000;
    while (await this.#slept(pause)) {
      const began = clock.monotonic();
      const now = await lookAt(this.#parts.files);
      pause = Math.max(this.#parts.interval ?? 1_000, share * (clock.monotonic() - began));
      if (now === last) await this.#settled(now);
      else this.#changed();
      last = now;
    }
  }

  async #settled(now: string): Promise<void> {
    this.#unsettled = 0;
    const { policy, files, log } = this.#parts;
    if (now === policy.looked || files.clock.monotonic() < this.#notBefore) return;
    try {
      await policy.reload("change");
      this.#pause = 0;
    } catch (error) {
      // Templates that do not load it has told of already.
      if (asBrokerError(error).code === "policy-invalid") return;
      log.error({ error }, "the templates could not be put in force yet");
      this.#pause = Math.min(Math.max(firstPause, this.#pause * 2), longestPause);
      this.#notBefore = files.clock.monotonic() + this.#pause;
    }
  }

  #changed(): void {
    this.#unsettled += 1;
    if (this.#unsettled === restless) this.#parts.log.warn({}, "the templates change all the time, so they are not read again");
  }

  async #slept(pause: Duration): Promise<boolean> {
    await this.#parts.files.clock.sleep(pause, this.#end.signal).catch(() => undefined);
    return !this.#end.signal.aborted;
  }

  [Symbol.dispose](): void {
    this.#end.abort();
  }
}
