import type { BrokerError } from "./errors.ts";

/** The runs that this process holds: containment reaches them here, and the sweeper leaves their leases alone. */
export class LiveRuns {
  readonly #runs = new Map<string, LiveRun>();

  /** Until the returned object is disposed, `end` reaches this run. */
  hold(run: LiveRun): Disposable {
    this.#runs.set(run.id, run);
    return { [Symbol.dispose]: () => this.#runs.delete(run.id) };
  }

  has(run: string): boolean {
    return this.#runs.has(run);
  }

  holds(lease: string): boolean {
    return [...this.#runs.values()].some((run) => run.leases.includes(lease));
  }

  /** What came of a lease that a run goes on without is nobody's but the sweeper's. */
  release(run: string, lease: string): void {
    const held = this.#runs.get(run);
    if (held !== undefined) this.#runs.set(run, { ...held, leases: held.leases.filter((other) => other !== lease) });
  }

  /** Ends every run that a scope touches, or all of them; says how many. */
  end(why: BrokerError, scope?: string): number {
    const touched = [...this.#runs.values()].filter((run) => scope === undefined || run.scopes.includes(scope));
    for (const run of touched) run.stop.abort(why);
    return touched.length;
  }

  get count(): number {
    return this.#runs.size;
  }
}

export interface LiveRun {
  readonly id: string;
  readonly scopes: readonly string[];
  readonly leases: readonly string[];
  readonly stop: AbortController;
}
