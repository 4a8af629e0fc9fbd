import type { CryptoKey } from "jose";
import { BrokerError } from "../../errors.ts";
import { type Clock, type Duration, hour, within } from "../../time.ts";
import type { KeySource } from "../profile.ts";
import type { KeyMemory } from "./key-memory.ts";
import type { KeyQuery, KeySet, VerifyingKey } from "./keyset.ts";
import { troubleOf, unreachable } from "./trouble.ts";

/** How often keys are read anew. */
export interface Rhythm {
  /** From this age on while nobody has to wait for it. */
  readonly early: Duration;
  /** From this age on whoever asks waits for the answer, so that a withdrawn key is refused. */
  readonly fresh: Duration;
  /** For how long known keys carry on while they cannot be read. */
  readonly longest: Duration;
}

const network: Rhythm = { early: 240_000, fresh: 300_000, longest: hour };

/** A withdrawn key is refused within five minutes, and within one where looking costs nothing; what mayfly.yaml says never changes. */
export const rhythms: Readonly<Record<KeySource["kind"], Rhythm>> = {
  inline: { early: Number.POSITIVE_INFINITY, fresh: Number.POSITIVE_INFINITY, longest: Number.POSITIVE_INFINITY },
  file: { early: 30_000, fresh: 30_000, longest: hour },
  url: network,
  discovery: network,
};

/** A stranger can put any kid into a token: each issuer is asked about unknown ones this seldom. */
const unknownKidPause: Duration = 30_000;
const firstPause: Duration = 5_000;
const longestPause: Duration = 30_000;
/** Of one attempt: connecting, both documents and their bodies; all is given up within 5 s. */
const patience: Duration = 4_500;
/** Of an attempt that an operator waits for, who was promised an answer within 2 s. */
const operatorsPatience: Duration = 1_500;

export interface FoundKey {
  readonly key: CryptoKey;
  /** Never seen before, and not accepted yet: what it verifies is still refused. */
  readonly held: boolean;
}

export type KeysState = "untried" | "ready" | "stale" | "unavailable";

export interface KeysParts {
  readonly load: (signal: AbortSignal) => Promise<KeySet>;
  readonly rhythm: Rhythm;
  readonly memory: KeyMemory;
  readonly clock: Clock;
}

/**
 * One issuer's keys: read by one attempt at a time, kept while the issuer is away, and never replaced by a set without a
 * usable key. After a failure the next attempt waits 5, 10, 20, then 30 s; who has a known key never waits for an issuer that failed.
 */
export class Keys {
  readonly #parts: KeysParts;
  #set: { readonly keys: KeySet; readonly since: Duration } | undefined;
  #attempt: { readonly over: Promise<void>; readonly control: AbortController } | undefined;
  #lastAttempt: Duration = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #trouble: string | undefined;

  constructor(parts: KeysParts) {
    this.#parts = parts;
  }

  /**
   * Throws `issuer-unavailable` without usable keys, and `token-signature` where the issuer has no such key. Nearly always there is
   * nothing to wait for. `mayAsk` says, when it is needed, whether the issuer is worth asking again for a key that it did not have.
   */
  find(query: KeyQuery, signal: AbortSignal, mayAsk: () => boolean): FoundKey | Promise<FoundKey> {
    const isAtHand = this.#age <= this.#parts.rhythm.early && this.#key(query.kid) !== undefined;
    return isAtHand ? this.#known(query) : this.#knownAfterReading(query, signal, mayAsk);
  }

  async #knownAfterReading(query: KeyQuery, signal: AbortSignal, mayAsk: () => boolean): Promise<FoundKey> {
    if (this.#set === undefined || this.#age > this.#parts.rhythm.early) await this.#keepFresh(signal);
    if (this.#key(query.kid) === undefined && mayAsk()) await waitFor(this.#readUnlessWithin(unknownKidPause), signal);
    return this.#known(query);
  }

  #known(query: KeyQuery): FoundKey {
    const known = this.#key(query.kid);
    const keys = this.#set?.keys;
    // While the issuer is away its newest key is not known to us: a later attempt may succeed.
    if (keys === undefined || this.#isTooOld || (this.#failures > 0 && known === undefined)) throw this.#unavailable();
    return { key: keys.find(query), held: known !== undefined && this.#parts.memory.heldUntil(known) !== undefined };
  }

  /** Reads the keys now, whatever was read or failed before; an attempt under way began too early to count. Never fails. */
  async readAnew(): Promise<void> {
    this.#attempt?.control.abort();
    await this.#startReading(operatorsPatience).over;
  }

  get state(): KeysState {
    if (this.#set === undefined) return this.#failures === 0 ? "untried" : "unavailable";
    if (this.#isTooOld) return "unavailable";
    return this.#failures === 0 ? "ready" : "stale";
  }

  /** Why the last attempt failed, or which keys were left out; for the operator. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  get all(): readonly VerifyingKey[] {
    return [...(this.#set?.keys.byKid.values() ?? [])];
  }

  get held(): readonly VerifyingKey[] {
    return this.all.filter((key) => this.#parts.memory.heldUntil(key) !== undefined);
  }

  get #age(): Duration {
    return this.#set === undefined ? Number.POSITIVE_INFINITY : this.#parts.clock.monotonic() - this.#set.since;
  }

  get #isTooOld(): boolean {
    return this.#set !== undefined && this.#age > this.#parts.rhythm.longest;
  }

  get #pause(): Duration {
    return this.#failures === 0 ? 0 : Math.min(firstPause * 2 ** (this.#failures - 1), longestPause);
  }

  #key(kid: string): VerifyingKey | undefined {
    return this.#set?.keys.byKid.get(kid);
  }

  #unavailable(): BrokerError {
    return new BrokerError("issuer-unavailable", undefined, {
      hint: "try again in a minute",
      ...(this.#trouble === undefined ? {} : { detail: this.#trouble }),
    });
  }

  /** Waits only where what is known may no longer be used. */
  async #keepFresh(signal: AbortSignal): Promise<void> {
    const reading = this.#readUnlessWithin(this.#pause);
    const isUsable = this.#set !== undefined && !this.#isTooOld;
    if (isUsable && (this.#failures > 0 || this.#age <= this.#parts.rhythm.fresh)) return;
    await waitFor(reading, signal);
  }

  /** The attempt under way, else a new one; undefined where the last was within `pause`. */
  #readUnlessWithin(pause: Duration): Promise<void> | undefined {
    if (this.#attempt !== undefined) return this.#attempt.over;
    return this.#parts.clock.monotonic() - this.#lastAttempt < pause ? undefined : this.#startReading(patience).over;
  }

  #startReading(longest: Duration): { readonly over: Promise<void> } {
    const control = new AbortController();
    const attempt = { control, over: this.#read(control, longest) };
    this.#attempt = attempt;
    return attempt;
  }

  /** Shared by all who wait, so it ends by its own patience and by nobody's signal; one that was overtaken changes nothing. */
  async #read(control: AbortController, longest: Duration): Promise<void> {
    const since = this.#parts.clock.monotonic();
    const late = (): never => {
      throw unreachable(`no answer within ${longest} ms`);
    };
    const outcome = await within(this.#parts.clock, longest, this.#parts.load(control.signal), late).then(
      (keys) => () => this.#take(keys, since),
      (error: unknown) => () => this.#carryOn(error),
    );
    const overtaken = control.signal.aborted;
    control.abort();
    if (overtaken) return this.#attempt?.over;
    this.#attempt = undefined;
    this.#lastAttempt = this.#parts.clock.monotonic();
    outcome();
  }

  /** As old as the question: what was answered may have been withdrawn on its way. */
  #take(keys: KeySet, since: Duration): void {
    this.#set = { keys, since };
    this.#failures = 0;
    this.#trouble = keys.unfit.length === 0 ? undefined : `left out of the key set: ${keys.unfit.join(", ")}`;
    this.#parts.memory.learn(this.all);
  }

  /** With what was known before. */
  #carryOn(error: unknown): void {
    const trouble = troubleOf(error);
    this.#failures += 1;
    this.#trouble = trouble.why;
    this.#parts.memory.suffer(trouble);
  }
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new BrokerError("cancelled");
}

/** Gives up waiting with the signal; the work goes on for the others who wait for it. */
async function waitFor(work: Promise<void> | undefined, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw reasonOf(signal);
  if (work !== undefined) await abandonable(work, signal);
}

function abandonable(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(reasonOf(signal));
    signal.addEventListener("abort", leave, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}
