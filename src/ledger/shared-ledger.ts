import { asBrokerError, BrokerError } from "../errors.ts";
import { type Clock, type Duration, within } from "../time.ts";
import type { Entry, Event } from "./entry.ts";
import type { Begun, Ledger, Renewal, RunOpening, SessionOpening, SessionRecord, SpentToken } from "./ledger.ts";
import { Settlement } from "./settlement.ts";
import type { SpentTokens } from "./spent-tokens.ts";

export interface SharedParts {
  readonly ledger: Ledger;
  readonly store: SpentTokens;
  readonly clock: Clock;
  /** Between two looks at the store when nobody asks for it; 5 s. */
  readonly interval?: Duration;
}

/** How long a token may wait for the store. */
const patience: Duration = 2_000;
const defaultInterval: Duration = 5_000;

/** What is over is told to the store at once, but a job's end does not wait for it longer than this; the next look tells it again. */
const freeingTime: Duration = 250;

/**
 * The same ledger, among brokers that share a store: where a token is spent, it is first claimed there, so that it opens one session
 * among all of them. Ledger and store must agree: a broker that is cut off from the store opens no session (`store-unavailable`), while
 * runs within a session begin and go on, their renewals too. It owns both, and disposes of both.
 */
export function withSharedTokens(parts: SharedParts): Ledger {
  return new SharedLedger(parts);
}

type Pass<M extends keyof Ledger> = Ledger[M];

class SharedLedger implements Ledger {
  readonly #ledger: Ledger;
  readonly #store: SpentTokens;
  readonly #clock: Clock;
  readonly #settlement: Settlement;
  /** By the token: the same one that comes twice at once is claimed once, and then found spent by its own session. */
  readonly #renewing = new Map<string, Promise<unknown>>();
  readonly #closing = new AbortController();
  readonly #rounds: Promise<void>;

  constructor({ ledger, store, clock, interval = defaultInterval }: SharedParts) {
    this.#ledger = ledger;
    this.#store = store;
    this.#clock = clock;
    this.#settlement = new Settlement(ledger, store);
    this.#rounds = this.#goRound(interval);
  }

  openSession(opening: SessionOpening): Promise<SessionRecord> {
    const token = { ...opening.token, session: opening.id };
    return this.#spend(token, this.#claim, () => this.#ledger.openSession(opening));
  }

  begin(run: RunOpening): Promise<Begun> {
    if (run.session.kind === "within") return this.#ledger.begin(run);
    const { id, token } = run.session.opening;
    return this.#spend({ ...token, session: id }, this.#claim, () => this.#ledger.begin(run));
  }

  async renew(renewal: Renewal): Promise<SessionRecord> {
    const { key } = renewal.token;
    const before = this.#renewing.get(key);
    const mine = (before ?? Promise.resolve()).catch(() => undefined).then(() => this.#renewNext(renewal));
    this.#renewing.set(key, mine);
    return mine.finally(() => {
      if (this.#renewing.get(key) === mine) this.#renewing.delete(key);
    });
  }

  /** What the ledger knows as spent is its own to answer: nothing is left to be claimed. */
  async #renewNext(renewal: Renewal): Promise<SessionRecord> {
    const work = () => this.#ledger.renew(renewal);
    if (await this.#ledger.isSpent(renewal.token.key)) return work();
    return this.#spend({ ...renewal.token, session: renewal.event.session }, this.#claimIfThere, work);
  }

  async append(events: readonly Event[]): Promise<readonly Entry[]> {
    const entries = await this.#ledger.append(events);
    if (entries.some(({ event }) => event.kind === "session-ended" && event.why === "unspent")) {
      await this.#soon(this.#settlement.release());
    }
    return entries;
  }

  readonly deliver: Pass<"deliver"> = (delivery) => this.#ledger.deliver(delivery);
  readonly findSession: Pass<"findSession"> = (handleDigest) => this.#ledger.findSession(handleDigest);
  readonly isSpent: Pass<"isSpent"> = (tokenKey) => this.#ledger.isSpent(tokenKey);
  readonly spentTokens: Pass<"spentTokens"> = (query) => this.#ledger.spentTokens(query);
  readonly fence: Pass<"fence"> = (scopes) => this.#ledger.fence(scopes);
  readonly raiseFence: Pass<"raiseFence"> = (raise) => this.#ledger.raiseFence(raise);
  readonly openLeases: Pass<"openLeases"> = () => this.#ledger.openLeases();
  readonly dueLeases: Pass<"dueLeases"> = (due) => this.#ledger.dueLeases(due);
  readonly openRuns: Pass<"openRuns"> = () => this.#ledger.openRuns();
  readonly postpone: Pass<"postpone"> = (lease, until) => this.#ledger.postpone(lease, until);
  readonly storePolicy: Pass<"storePolicy"> = (policy) => this.#ledger.storePolicy(policy);
  readonly policyText: Pass<"policyText"> = (digest) => this.#ledger.policyText(digest);
  readonly entries: Pass<"entries"> = (query) => this.#ledger.entries(query);
  readonly leases: Pass<"leases"> = (query) => this.#ledger.leases(query);
  readonly leaves: Pass<"leaves"> = (from, count) => this.#ledger.leaves(from, count);
  readonly checkpoint: Pass<"checkpoint"> = () => this.#ledger.checkpoint();
  readonly receipt: Pass<"receipt"> = (index) => this.#ledger.receipt(index);
  readonly status: Pass<"status"> = () => this.#ledger.status();

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await using stack = new AsyncDisposableStack();
    stack.use(this.#store);
    stack.use(this.#ledger);
    await this.#soon(this.#rounds);
  }

  /** The store first: what only the ledger knew, another broker would not. */
  async #spend<T>(token: SpentToken, claim: (token: SpentToken) => Promise<void>, work: () => Promise<T>): Promise<T> {
    const { inFlight } = this.#settlement;
    inFlight.add(token);
    try {
      await claim(token);
      const result = await work().catch((error: unknown) => this.#refused(token, asBrokerError(error)));
      // Not waited for: should it fail, the claim stands all the same, and the next look confirms it.
      void this.#store
        .confirm([token])
        .catch(() => this.#settlement.doubt())
        .finally(() => inFlight.delete(token));
      return result;
    } catch (error) {
      inFlight.delete(token);
      throw error;
    }
  }

  /**
   * A renewal opens nothing: it shows that the job goes on, whatever else its token was good for. So a store that is away ends no run; the
   * ledger alone spends the token, and tells the store when it is back.
   */
  readonly #claimIfThere = async (token: SpentToken): Promise<void> => {
    await this.#claim(token).catch((error: unknown) => {
      if (asBrokerError(error).code !== "store-unavailable") throw error;
    });
  };

  readonly #claim = async (token: SpentToken): Promise<void> => {
    const waiting = new AbortController();
    const claimed = this.#settlement.reached().then(() => {
      waiting.signal.throwIfAborted();
      return this.#store.claim(token);
    });
    const late = (): never => {
      waiting.abort();
      throw new BrokerError("store-unavailable", undefined, { detail: "it did not answer in time" });
    };
    try {
      await within(this.#clock, patience, claimed, late);
    } catch (thrown) {
      const error = asBrokerError(thrown);
      if (error.code === "token-spent") throw error;
      // It may have been done: the claim of a session that never was is freed before the next claim is made.
      this.#settlement.doubt();
      if (error.code === "ledger-unavailable") throw error;
      throw new BrokerError("store-unavailable", undefined, { detail: error.detail ?? error.message, cause: error });
    }
  };

  /** Only a definite no frees the claim. What the ledger may still have done, or had done before, it is asked about before the next claim. */
  async #refused(token: SpentToken, error: BrokerError): Promise<never> {
    if (error.code === "ledger-unavailable" || error.code === "token-spent") this.#settlement.doubt();
    else await this.#soon(this.#store.withdraw(token).catch(() => this.#settlement.doubt()));
    throw error;
  }

  async #soon(work: Promise<unknown>): Promise<void> {
    await within(this.#clock, freeingTime, work, () => undefined).catch(() => undefined);
  }

  async #goRound(interval: Duration): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      if (this.#store.trouble === undefined) await this.#look().catch(() => undefined);
      await this.#clock.sleep(interval, signal).catch(() => undefined);
    }
  }

  /** Also what notices that a silent store is gone. */
  async #look(): Promise<void> {
    await this.#settlement.reached();
    await this.#settlement.release();
    await this.#store.forget(this.#clock.now());
  }
}
