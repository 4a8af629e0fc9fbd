import type { CryptoKey } from "jose";
import { BrokerError } from "../errors.ts";
import { type Clock, type Duration, within } from "../time.ts";
import type { KeySet } from "./keyset.ts";

/** How long a set is taken as it is, so that a withdrawn key is refused within five minutes. */
const fresh: Duration = 300_000;
/** How long known keys carry on while their issuer cannot be reached. */
const maxStale: Duration = 3_600_000;
/** A stranger can put any kid into a token: each issuer is asked about unknown ones this seldom. */
const unknownKidPause: Duration = 30_000;
const firstPause: Duration = 5_000;
const longestPause: Duration = 30_000;
/** Of one attempt: connecting, both documents and their bodies. */
const patience: Duration = 5_000;

export interface KeyQuery {
  readonly alg: string;
  readonly kid: string;
}

export type KeysState = "untried" | "ready" | "stale" | "unavailable";

/**
 * One issuer's keys: fetched by one attempt at a time, kept while the issuer is away, and never replaced by a set without a
 * usable key. After a failure the next attempt waits 5, 10, 20, then 30 s.
 */
export class Keys {
  readonly #load: (signal: AbortSignal) => Promise<KeySet>;
  readonly #clock: Clock;
  #set: { readonly keys: KeySet; readonly since: Duration } | undefined;
  #attempt: Promise<void> | undefined;
  #lastAttempt: Duration = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #trouble: string | undefined;

  constructor(load: (signal: AbortSignal) => Promise<KeySet>, clock: Clock) {
    this.#load = load;
    this.#clock = clock;
  }

  /** Throws `issuer-unavailable` without usable keys, and `token-signature` where the issuer has no such key. */
  async find(query: KeyQuery, signal: AbortSignal): Promise<CryptoKey> {
    if (this.#age > fresh) await this.#refresh(this.#pause, signal);
    if (this.#set?.keys.kids.has(query.kid) !== true) await this.#refresh(unknownKidPause, signal);
    const keys = this.#age > maxStale ? undefined : this.#set?.keys;
    // While the issuer is away its newest key is not known to us: a later attempt may succeed.
    if (keys === undefined || (this.#failures > 0 && !keys.kids.has(query.kid))) {
      throw new BrokerError("issuer-unavailable", undefined, {
        hint: "try again in a minute",
        ...(this.#trouble === undefined ? {} : { detail: this.#trouble }),
      });
    }
    return keys.find({ alg: query.alg, kid: query.kid });
  }

  get state(): KeysState {
    if (this.#set === undefined) return this.#failures === 0 ? "untried" : "unavailable";
    if (this.#age > maxStale) return "unavailable";
    return this.#failures === 0 ? "ready" : "stale";
  }

  /** Why the last attempt failed; for the operator. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  get #age(): Duration {
    return this.#set === undefined ? Number.POSITIVE_INFINITY : this.#clock.monotonic() - this.#set.since;
  }

  get #pause(): Duration {
    return this.#failures === 0 ? 0 : Math.min(firstPause * 2 ** (this.#failures - 1), longestPause);
  }

  /** Joins the attempt under way, else begins one if the last is `pause` ago. Never fails; gives up waiting with the signal. */
  async #refresh(pause: Duration, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw reasonOf(signal);
    if (this.#attempt === undefined) {
      if (this.#clock.monotonic() - this.#lastAttempt < pause) return;
      this.#attempt = this.#try().finally(() => {
        this.#attempt = undefined;
      });
    }
    await abandonable(this.#attempt, signal);
  }

  /** Shared by all who wait, so it ends by its own patience and by nobody's signal. */
  async #try(): Promise<void> {
    const attempt = new AbortController();
    try {
      const late = (): never => {
        throw new Error(`no answer within ${patience} ms`);
      };
      const keys = await within(this.#clock, patience, this.#load(attempt.signal), late);
      this.#set = { keys, since: this.#clock.monotonic() };
      this.#failures = 0;
      this.#trouble = keys.unfit.length === 0 ? undefined : `left out of the key set: ${keys.unfit.join(", ")}`;
    } catch (error) {
      this.#failures += 1;
      this.#trouble = error instanceof Error ? error.message : "the keys could not be read";
    } finally {
      attempt.abort();
      this.#lastAttempt = this.#clock.monotonic();
    }
  }
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new BrokerError("cancelled");
}

/** The work goes on for the others who wait for it. */
function abandonable(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(reasonOf(signal));
    signal.addEventListener("abort", leave, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}
