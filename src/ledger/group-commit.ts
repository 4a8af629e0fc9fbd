import { asBrokerError, BrokerError } from "../errors.ts";
import { type Answer, type Ask, answer, type Method, type Store, writes } from "./calls.ts";
import type { Claim } from "./claim.ts";

export type Outcome =
  | { readonly ok: true; readonly answer: Answer<Method> }
  | { readonly ok: false; readonly error: BrokerError };

export interface Request {
  readonly ask: Ask;
  readonly claim: Claim;
  settle(outcome: Outcome): void;
}

interface Done {
  readonly request: Request;
  readonly outcome: Outcome;
}

/**
 * All requests that queued up while a transaction was being written share the next one: each is atomic by itself, and all
 * become durable with one fsync. Reads come after it, so that they never see what may still be rolled back.
 */
export class GroupCommit {
  readonly #store: Store;
  /** What was written for an asker that had gone, and must be taken back; kept here while the disk refuses. */
  #owed: readonly Ask[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  run(requests: readonly Request[]): void {
    const live = requests.filter((request) => this.#take(request));
    const written = this.#write(live.filter(({ ask }) => writes(ask)));
    const read = live.filter(({ ask }) => !writes(ask)).map((request) => ({ request, outcome: this.#answer(request.ask) }));
    const unheard = [...written, ...read].filter((done) => !settle(done) && done.outcome.ok);
    this.#owed = [...this.#owed, ...unheard.map(({ request }) => request.ask)];
    this.#payOwed();
  }

  /** An asker that has gone before its request was begun must find, later, that it never happened. */
  #take(request: Request): boolean {
    if (request.claim.take()) return true;
    request.settle(failed(new BrokerError("ledger-unavailable")));
    return false;
  }

  #write(requests: readonly Request[]): readonly Done[] {
    if (requests.length === 0) return [];
    try {
      return this.#store.transaction(() =>
        requests.map((request) => ({
          request,
          outcome: attempt(() => this.#store.atomically(() => answer(this.#store.answers, request.ask))),
        })),
      );
    } catch (error) {
      const outcome = failed(asBrokerError(error));
      return requests.map((request) => ({ request, outcome }));
    }
  }

  #answer(ask: Ask): Outcome {
    try {
      return { ok: true, answer: this.#store.reading(() => answer(this.#store.answers, ask)) };
    } catch (error) {
      return failed(asBrokerError(error));
    }
  }

  #payOwed(): void {
    if (this.#owed.length === 0) return;
    const owed = this.#owed;
    try {
      this.#store.transaction(() => {
        for (const ask of owed) attempt(() => this.#store.atomically(() => this.#store.takeBack(ask)));
      });
      this.#owed = [];
    } catch {
      // Tried again with the next batch; a broker that dies first finds these runs and intents open when it restarts.
    }
  }
}

/** A request's own refusal is its outcome; what fails the transaction is not caught here. */
function attempt(work: () => Answer<Method>): Outcome {
  try {
    return { ok: true, answer: work() };
  } catch (error) {
    if (error instanceof BrokerError) return failed(error);
    throw error;
  }
}

/** Whether the asker was still there to hear it. */
function settle({ request, outcome }: Done): boolean {
  const heard = request.claim.answer();
  request.settle(outcome);
  return heard;
}

const failed = (error: BrokerError): Outcome => ({ ok: false, error });
