import type { KeyObject } from "node:crypto";
import { Worker } from "node:worker_threads";
import { BrokerError } from "../errors.ts";
import { type Clock, type Duration, within } from "../time.ts";
import type { Answer, Arguments, Ask, Call, Method } from "./calls.ts";
import { Claim } from "./claim.ts";
import type { DenialLimit } from "./denials.ts";
import type { Ledger } from "./ledger.ts";
import { type FromWorker, type ToWorker, unpackError } from "./messages.ts";

export interface LedgerOpening {
  readonly path: string;
  /** An Ed25519 private key, from `keys.ts`. */
  readonly key: KeyObject;
  /** The log's name in its checkpoints: a schema-less URL without spaces or plus signs, never changed afterwards. */
  readonly origin: string;
  readonly clock: Clock;
  /** How long any call may take before it rejects with `ledger-unavailable`; 2 s. */
  readonly deadline?: Duration;
  /** How many denials of one peer are recorded in full; 60 a minute. */
  readonly denials?: DenialLimit;
}

/** The ledger's thread, running and with every module loaded, but with no file open. */
export interface LoadedLedger {
  /** May be called after the process has changed its user. Rejects with `ledger-corrupt`, `ledger-unavailable` or `config-invalid`. */
  open(opening: LedgerOpening): Promise<Ledger>;
  /** Resolves, with the reason, when the thread has ended, asked to or not: without a ledger the broker can only stop. */
  readonly ended: Promise<string>;
  /** For a start that fails before `open`; an open ledger is disposed of instead. */
  stop(): Promise<void>;
}

/** A hung disk must not fill our memory: so many calls may be unanswered, given-up ones included. */
const mostUnanswered = 10_000;
const defaultDeadline = 2_000;
/** The compiler rewrites imports, but not the names of files that are started. */
const isBuilt = import.meta.url.endsWith(".js");
const defaultDenials: DenialLimit = { most: 60, per: 60_000 };

export async function loadLedger(): Promise<LoadedLedger> {
  const thread = new Thread();
  await thread.loaded;
  return {
    open: async (opening) => {
      const { path, key, origin, denials = defaultDenials } = opening;
      await thread.send((id) => ({ kind: "open", id, path, key, origin, denials }));
      return new ThreadedLedger(thread, opening);
    },
    ended: thread.ended,
    stop: () => thread.stop(),
  };
}

interface Waiting {
  resolve(answer: Answer<Method>): void;
  reject(error: BrokerError): void;
}

/** The worker, and who waits for what from it. */
class Thread {
  readonly loaded: Promise<void>;
  readonly ended: Promise<string>;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #over = false;

  constructor() {
    const script = isBuilt ? new URL("./worker.js", import.meta.url) : new URL("./worker.ts", import.meta.url);
    this.#worker = new Worker(script, { name: "ledger", env: {}, execArgv: [], argv: [] });
    this.ended = new Promise((resolve) => {
      this.#worker.once("error", (error: Error) => resolve(error.message));
      this.#worker.once("exit", (code) => resolve(`it exited with ${code}`));
    });
    this.loaded = new Promise((resolve, reject) => {
      this.#worker.on("message", (message: FromWorker) => (message.kind === "loaded" ? resolve() : this.#hear(message)));
      void this.ended.then((reason) => reject(unavailable(`the ledger's thread did not start: ${reason}`)));
    });
    void this.ended.then((reason) => this.#abandon(`the ledger's thread has ended: ${reason}`));
  }

  get unanswered(): number {
    return this.#waiting.size;
  }

  send(message: (id: number) => ToWorker): Promise<Answer<Method>> {
    if (this.#over) return Promise.reject(unavailable("the ledger's thread has ended"));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#post(message(id));
      this.#waiting.set(id, { resolve, reject });
    });
  }

  /** Nothing is waited for that was never sent. */
  #post(message: ToWorker): void {
    try {
      this.#worker.postMessage(message);
    } catch (cause) {
      throw new BrokerError("internal", undefined, { detail: "what was asked of the ledger is not plain data", cause });
    }
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  #hear(message: Exclude<FromWorker, { kind: "loaded" }>): void {
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.kind === "answer") waiting?.resolve(message.answer);
    else waiting?.reject(unpackError(message.failure));
  }

  #abandon(reason: string): void {
    this.#over = true;
    for (const waiting of this.#waiting.values()) waiting.reject(unavailable(reason));
    this.#waiting.clear();
  }
}

/**
 * `Ledger` by messages. A call that is not answered within the deadline rejects with `ledger-unavailable`, and then:
 *
 * - it had not been begun: it never will be (`claim.ts`);
 * - it was being written: it may still land once the disk answers. A `begin` or `openSession` that lands so is taken back by the
 *   worker on the record: its intents end as `failed`, its run as `refused`, and the token is free again. Its asker, who has
 *   heard "no", has asked no provider for anything. If the broker dies before that, `openRuns` and `openLeases` still
 *   show what landed, and the restarted broker ends it. Any other call that lands has recorded what was true.
 */
class ThreadedLedger implements Ledger {
  readonly #thread: Thread;
  readonly #clock: Clock;
  readonly #deadline: Duration;
  readonly #denials: DenialLimit;
  readonly #closing = new AbortController();
  #willTick = false;

  constructor(thread: Thread, opening: LedgerOpening) {
    this.#thread = thread;
    this.#clock = opening.clock;
    this.#deadline = opening.deadline ?? defaultDeadline;
    this.#denials = opening.denials ?? defaultDenials;
  }

  append(...args: Arguments<"append">): Promise<Answer<"append">> {
    if (args[0].some(({ kind }) => kind === "denied")) this.#tickLater();
    return this.#ask("append", args);
  }

  readonly openSession = this.#method("openSession");
  readonly findSession = this.#method("findSession");
  readonly isSpent = this.#method("isSpent");
  readonly spentTokens = this.#method("spentTokens");
  readonly begin = this.#method("begin");
  readonly renew = this.#method("renew");
  readonly deliver = this.#method("deliver");
  readonly fence = this.#method("fence");
  readonly raiseFence = this.#method("raiseFence");
  readonly openLeases = this.#method("openLeases");
  readonly dueLeases = this.#method("dueLeases");
  readonly openRuns = this.#method("openRuns");
  readonly postpone = this.#method("postpone");
  readonly storePolicy = this.#method("storePolicy");
  readonly policyText = this.#method("policyText");
  readonly entries = this.#method("entries");
  readonly leases = this.#method("leases");
  readonly leaves = this.#method("leaves");
  readonly checkpoint = this.#method("checkpoint");
  readonly receipt = this.#method("receipt");
  readonly status = this.#method("status");

  /** Waits for what is being written, but not for a hung disk. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    const closed = this.#thread.send((id) => ({ kind: "close", id, now: this.#clock.now() }));
    await within(this.#clock, this.#deadline, closed, () => undefined).catch(() => undefined);
    await within(this.#clock, this.#deadline, this.#thread.stop(), () => undefined);
  }

  #method<M extends Method>(method: M): (...args: Arguments<M>) => Promise<Answer<M>> {
    return (...args) => this.#ask(method, args);
  }

  async #ask<M extends Method>(method: M, args: Arguments<M>): Promise<Answer<M>> {
    if (this.#closing.signal.aborted) throw unavailable("the ledger is closed");
    if (this.#thread.unanswered >= mostUnanswered) throw unavailable("too many calls wait for the ledger");
    const claim = new Claim();
    const call: Call<M> = { method, args, now: this.#clock.now() };
    const answer = this.#thread.send((id) => ({ kind: "ask", id, ask: asAsk(call), claim: claim.memory }));
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the worker is this same build: `Answers` there ties each method to its answer
    return (await within(this.#clock, this.#deadline, answer, () => giveUp(claim, answer))) as Answer<M>;
  }

  /** One timer at a time: the count of a flood is written soon after its window, even when nobody asks for anything else. */
  #tickLater(): void {
    if (this.#willTick) return;
    this.#willTick = true;
    void this.#tick().catch(() => undefined);
  }

  async #tick(): Promise<void> {
    await this.#clock.sleep(this.#denials.per + 1, this.#closing.signal);
    this.#willTick = false;
    await this.#ask("tick", []);
  }
}

function giveUp<T>(claim: Claim, answer: Promise<T>): Promise<T> {
  switch (claim.giveUp()) {
    case "answer-is-coming":
      return answer;
    case "never-done":
      throw unavailable("the disk did not answer in time; nothing was written");
    case "may-be-done":
      throw unavailable("the disk did not answer in time; what was asked may still be written");
  }
}

/** A call of any one method is one of all calls; TypeScript cannot see that through a type parameter. */
function asAsk<M extends Method>(call: Call<M>): Ask {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `Ask` is the union of exactly these calls
  return call as Call<Method> as Ask;
}

function unavailable(detail: string): BrokerError {
  return new BrokerError("ledger-unavailable", undefined, { detail });
}
