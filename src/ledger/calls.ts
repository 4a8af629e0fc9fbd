import type { Instant } from "../time.ts";
import type { Ledger } from "./ledger.ts";

/** What can be asked of a store: the ledger's own methods, and `tick`, which writes the counts of denial floods that are over. */
export type Calls = Omit<Ledger, typeof Symbol.asyncDispose> & { tick(): Promise<void> };
export type Method = keyof Calls;
export type Arguments<M extends Method> = Parameters<Calls[M]>;
export type Answer<M extends Method> = Awaited<ReturnType<Calls[M]>>;

/** One call as data. The asker's clock comes with it: a store reads none. */
export interface Call<M extends Method> {
  readonly method: M;
  readonly args: Arguments<M>;
  readonly now: Instant;
}

export type Ask = { readonly [M in Method]: Call<M> }[Method];

/** The same calls, answered at once. Writes may only be made within `transaction`. */
export type Answers = { readonly [M in Method]: (now: Instant, ...args: Arguments<M>) => Answer<M> };

const isWrite: Readonly<Record<Method, boolean>> = {
  append: true,
  openSession: true,
  begin: true,
  renew: true,
  deliver: true,
  raiseFence: true,
  postpone: true,
  storePolicy: true,
  tick: true,
  findSession: false,
  isSpent: false,
  spentTokens: false,
  fence: false,
  openLeases: false,
  dueLeases: false,
  openRuns: false,
  policyText: false,
  entries: false,
  leases: false,
  leaves: false,
  checkpoint: false,
  receipt: false,
  status: false,
};

export function writes(ask: Ask): boolean {
  return isWrite[ask.method];
}

export function answer<M extends Method>(answers: Answers, call: Call<M>): Answer<M> {
  return answers[call.method](call.now, ...call.args);
}

/** A store as the batch writer needs it. */
export interface Store {
  readonly answers: Answers;
  /** Durable when it returns. Throws `ledger-unavailable` with nothing written, as far as anyone can know. */
  transaction<T>(work: () => T): T;
  /** All of `work` or nothing of it, within a transaction. */
  atomically<T>(work: () => T): T;
  /** Outside a transaction. Throws as the others do, whatever the disk said. */
  reading<T>(work: () => T): T;
  /** Within a transaction: nobody heard the answer to this `begin` or `openSession`, so it is taken back, on the record. */
  takeBack(ask: Ask): void;
  close(now: Instant): void;
}
