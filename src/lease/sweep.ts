import { asBrokerError, type BrokerError } from "../errors.ts";
import type { LeaseRecord } from "../ledger/ledger.ts";
import type { Duration } from "../time.ts";
import { bounded } from "./bounded.ts";
import { asFailure } from "./failure.ts";
import { type Mending, mend, refuseUnendable } from "./mend.ts";
import { recordFailure } from "./revoke.ts";

export interface Sweeping extends Mending {
  /** Whether a live run holds the lease: then its end is that run's business. */
  readonly held: (lease: string) => boolean;
  /** Whether a run that is open in the ledger is alive in this process. */
  readonly heldRun: (run: string) => boolean;
  readonly random: (bytes: number) => Buffer;
  /** Between two looks at the ledger. */
  readonly interval: Duration;
  /** What could not be done, for the operator; it is tried again. */
  readonly report: (error: BrokerError, lease: string | undefined) => void;
}

/** Attempts at one provider side by side; a storm of ends must not be a flood for it. */
const perProvider = 8;

/** The pause after a failure doubles up to this, so that service is back soon after the upstream is. */
const longestPause: Duration = 15_000;
const shortestPause: Duration = 1_000;

/**
 * Looks after every open lease that no live run holds: those of jobs whose end could not revoke in time, and, after a crash,
 * everything that the dead broker left. Nothing is kept in memory but what is under way, so a restart loses nothing.
 */
export class Sweeper implements AsyncDisposable {
  readonly #room: Sweeping;
  readonly #stop = new AbortController();
  readonly #underWay = new Map<string, { readonly provider: string; readonly done: Promise<void> }>();
  #loop: Promise<void> | undefined;

  constructor(room: Sweeping) {
    this.#room = room;
  }

  /** Looks at the ledger, at once and then again and again. */
  start(): void {
    this.#loop ??= this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#closeLostRuns()
        .then(() => this.#look())
        .catch((error: unknown) => this.#room.report(asBrokerError(error), undefined));
      await this.#room.clock.sleep(this.#room.interval, this.#stop.signal).catch(() => undefined);
    }
  }

  /** One look, and the end of all that it began. */
  async round(): Promise<void> {
    await this.#look();
    await Promise.all([...this.#underWay.values()].map(({ done }) => done));
  }

  /** What a dead broker had running ended with it; what a living one could not record as ended, it records now. */
  async #closeLostRuns(): Promise<void> {
    const { ledger, heldRun } = this.#room;
    const lost = (await ledger.openRuns()).filter((run) => !heldRun(run));
    const events = lost.map(
      (run) => ({ kind: "run-ended", run, outcome: "lost", exitCode: null, code: null, peakMemory: null }) as const,
    );
    if (events.length > 0) await ledger.append(events);
  }

  /** Starts on every lease that is due. It does not wait for them: a provider that hangs holds up no other. */
  async #look(): Promise<void> {
    const due = { by: this.#room.clock.now(), longestPause };
    // What is under way now may be over, and postponed, before the answer comes: the answer is then too old to act on.
    const busy = new Set(this.#underWay.keys());
    for (const record of await this.#room.ledger.dueLeases(due)) {
      if (!busy.has(record.lease) && this.#isFree(record)) void this.#begin(record);
    }
  }

  #isFree({ lease, provider }: LeaseRecord): boolean {
    if (this.#room.held(lease) || this.#underWay.has(lease)) return false;
    return [...this.#underWay.values()].filter((work) => work.provider === provider).length < perProvider;
  }

  async #begin(record: LeaseRecord): Promise<void> {
    const done = this.#attempt(record).finally(() => this.#underWay.delete(record.lease));
    this.#underWay.set(record.lease, { provider: record.provider, done });
    await done;
  }

  async #attempt(record: LeaseRecord): Promise<void> {
    try {
      await bounded(this.#room.clock, this.#room.patience, this.#stop.signal, (signal) =>
        mend(this.#room, record, "sweeper", signal),
      );
    } catch (thrown) {
      const error = asFailure(record.provider, thrown);
      // Somebody else moved it in the meantime: the next look sees how it stands.
      if (!this.#stop.signal.aborted && error.code !== "lease-state") await this.#failed(record, error);
    }
  }

  async #failed({ lease, attempts }: LeaseRecord, error: BrokerError): Promise<void> {
    const { clock, report } = this.#room;
    report(error, lease);
    const retryAt = clock.now() + this.#pause(attempts);
    await recordFailure(this.#room, lease, attempts + 1, { error, retryAt }).catch((failure: unknown) =>
      report(asBrokerError(failure), lease),
    );
  }

  /** Half of it is chance: leases that failed together do not come back together. */
  #pause(attempts: number): Duration {
    const whole = Math.min(shortestPause * 2 ** attempts, longestPause);
    return Math.round((whole / 2) * (1 + (this.#room.random(1)[0] ?? 0) / 255));
  }

  /** Ends one lease at once, held or not, for a responder; rejects with what kept the provider from it. */
  async endNow(record: LeaseRecord, by: "responder"): Promise<LeaseRecord> {
    refuseUnendable(record);
    await bounded(this.#room.clock, this.#room.patience, this.#stop.signal, (signal) => mend(this.#room, record, by, signal));
    const now = await this.#room.ledger.leases({ workload: record.workload, limit: 1_000 });
    return now.find(({ lease }) => lease === record.lease) ?? record;
  }

  /** Ends at once what a scope of containment touches and no live run holds, whatever its back-off; says how many were ended. */
  async endScope(scope: string): Promise<number> {
    const { ledger } = this.#room;
    const touched = (await ledger.openLeases()).filter((record) => touches(record, scope) && !this.#room.held(record.lease));
    for (let from = 0; from < touched.length; from += perProvider) {
      await Promise.all(
        touched.slice(from, from + perProvider).map((record) => this.#underWay.get(record.lease)?.done ?? this.#begin(record)),
      );
    }
    const left = new Set((await ledger.openLeases()).map(({ lease }) => lease));
    return touched.filter(({ lease }) => !left.has(lease)).length;
  }

  /** What is under way is told to stop and waited for; the ledger knows what is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await Promise.all([...this.#underWay.values()].map(({ done }) => done));
  }
}

/** A scope by which a lease is not recorded (`issuer:`, `job:`) touches them all: without a live run they are to be ended anyway. */
function touches(record: LeaseRecord, scope: string): boolean {
  const named = [
    `workload:${record.workload}`,
    `session:${record.session}`,
    `template:${record.template}`,
    `provider:${record.provider}`,
  ];
  const kind = scope.slice(0, scope.indexOf(":"));
  return named.includes(scope) || !named.some((name) => name.startsWith(`${kind}:`));
}
