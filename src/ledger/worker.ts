import { type MessagePort, parentPort } from "node:worker_threads";
import { asBrokerError, BrokerError } from "../errors.ts";
import type { Instant } from "../time.ts";
import { Claim } from "./claim.ts";
import { GroupCommit, type Outcome, type Request } from "./group-commit.ts";
import { type FromWorker, packError, type ToWorker } from "./messages.ts";
import { SqliteStore } from "./sqlite.ts";

/**
 * The ledger's thread: here a hung disk hangs nothing but the ledger. Everything it will ever need is imported by now, for the
 * process may change its user before it is told to open the file.
 */
class LedgerWorker {
  readonly #port: MessagePort;
  #open: { readonly store: SqliteStore; readonly commits: GroupCommit } | undefined;
  #queue: Request[] = [];

  constructor(port: MessagePort) {
    this.#port = port;
    port.on("message", (message: ToWorker) => this.#hear(message));
    this.#say({ kind: "loaded" });
  }

  #hear(message: ToWorker): void {
    switch (message.kind) {
      case "open":
        return this.#settle(
          message.id,
          attempt(() => this.#openStore(message)),
        );
      case "ask":
        return this.#enqueue({
          ask: message.ask,
          claim: new Claim(message.claim),
          settle: (outcome) => this.#settle(message.id, outcome),
        });
      case "close":
        return this.#settle(
          message.id,
          attempt(() => this.#close(message.now)),
        );
    }
  }

  #openStore({ path, key, origin, denials }: Extract<ToWorker, { kind: "open" }>): undefined {
    if (this.#open !== undefined) throw new BrokerError("internal", undefined, { detail: "the ledger is open already" });
    const store = SqliteStore.open({ path, key, origin, denials });
    this.#open = { store, commits: new GroupCommit(store) };
  }

  /** What else has arrived by the time the event loop comes round again shares the transaction. */
  #enqueue(request: Request): void {
    if (this.#queue.length === 0) setImmediate(() => this.#drain());
    this.#queue.push(request);
  }

  #drain(): void {
    const requests = this.#queue;
    this.#queue = [];
    if (this.#open !== undefined) return this.#open.commits.run(requests);
    for (const request of requests) request.settle({ ok: false, error: new BrokerError("ledger-unavailable") });
  }

  #close(now: Instant): undefined {
    this.#drain();
    this.#open?.store.close(now);
    this.#open = undefined;
  }

  #settle(id: number, outcome: Outcome): void {
    this.#say(
      outcome.ok ? { kind: "answer", id, answer: outcome.answer } : { kind: "failure", id, failure: packError(outcome.error) },
    );
  }

  #say(message: FromWorker): void {
    this.#port.postMessage(message);
  }
}

function attempt(work: () => undefined): Outcome {
  try {
    return { ok: true, answer: work() };
  } catch (error) {
    return { ok: false, error: asBrokerError(error) };
  }
}

if (parentPort !== null) new LedgerWorker(parentPort);
