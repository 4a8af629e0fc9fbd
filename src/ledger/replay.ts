import type { Entry, Event } from "./entry.ts";
import type { LeaseState } from "./ledger.ts";
import { isLeaseEvent, type LeaseEvent, move } from "./states.ts";

/** What an entry claims that cannot be, given those before it. */
export type Impossibility =
  | "time-backwards"
  | "lease-state"
  | "lease-repeated"
  | "run-unknown"
  | "run-repeated"
  | "run-ended-twice"
  | "run-over"
  | "session-unknown"
  | "session-repeated"
  | "session-over"
  | "token-respent"
  | "unspent-unfounded"
  | "fence-order";

interface Session {
  /** The token that opened it, and those that renewed it. */
  readonly tokens: readonly string[];
  readonly over: boolean;
  readonly runs: number;
  /** Whether a lease of it was ever issued or unknown: its token can then never be free again. */
  readonly tainted: boolean;
}

interface Run {
  readonly session: string;
  readonly over: boolean;
}

interface Lease {
  readonly state: LeaseState;
  readonly run: string;
}

/** The ledger's rules run over its entries in order, from nothing but the entries. */
export class Replay {
  readonly #sessions = new Map<string, Session>();
  readonly #runs = new Map<string, Run>();
  readonly #leases = new Map<string, Lease>();
  /** Which session holds each spent token. */
  readonly #spent = new Map<string, string>();
  #fence = 0;
  #time = 0;

  apply(entry: Entry): readonly Impossibility[] {
    const backwards = entry.time < this.#time;
    this.#time = Math.max(this.#time, entry.time);
    const wrong = this.#event(entry.event);
    return [...(backwards ? (["time-backwards"] as const) : []), ...(wrong === undefined ? [] : [wrong])];
  }

  /** How many leases stand in each state. */
  leases(): Readonly<Partial<Record<LeaseState, number>>> {
    const counts: Partial<Record<LeaseState, number>> = {};
    for (const { state } of this.#leases.values()) counts[state] = (counts[state] ?? 0) + 1;
    return counts;
  }

  #event(event: Event): Impossibility | undefined {
    if (isLeaseEvent(event)) return this.#lease(event);
    switch (event.kind) {
      case "session-opened":
        return this.#sessionOpened(event);
      case "identity-renewed":
        return this.#identityRenewed(event);
      case "session-ended":
        return this.#sessionEnded(event);
      case "run-opened":
        return this.#runOpened(event);
      case "run-ended":
        return this.#runEnded(event.run);
      case "egress":
        return this.#runs.has(event.run) ? undefined : "run-unknown";
      case "fence-raised":
        return this.#fenceRaised(event.fence);
      // News, which may come at any time.
      default:
        return undefined;
    }
  }

  #sessionOpened(event: Extract<Event, { kind: "session-opened" }>): Impossibility | undefined {
    if (this.#sessions.has(event.session)) return "session-repeated";
    this.#sessions.set(event.session, { tokens: [event.token], over: false, runs: 0, tainted: false });
    return this.#spend(event.token, event.session);
  }

  #identityRenewed(event: Extract<Event, { kind: "identity-renewed" }>): Impossibility | undefined {
    const session = this.#sessions.get(event.session);
    if (session === undefined) return "session-unknown";
    this.#sessions.set(event.session, { ...session, tokens: [...session.tokens, event.token] });
    const respent = this.#spend(event.token, event.session);
    if (session.over) return "session-over";
    return event.run === null ? respent : (this.#notGoingOn(event.run, event.session) ?? respent);
  }

  #notGoingOn(id: string, session: string): Impossibility | undefined {
    const run = this.#runs.get(id);
    if (run?.session !== session) return "run-unknown";
    return run.over ? "run-over" : undefined;
  }

  #spend(token: string, session: string): Impossibility | undefined {
    if (this.#spent.has(token)) return "token-respent";
    this.#spent.set(token, session);
    return undefined;
  }

  #sessionEnded(event: Extract<Event, { kind: "session-ended" }>): Impossibility | undefined {
    const session = this.#sessions.get(event.session);
    if (session === undefined) return "session-unknown";
    if (session.over) return "session-over";
    this.#sessions.set(event.session, { ...session, over: true });
    if (event.why !== "unspent") return undefined;
    if (session.tainted || session.runs > 1 || this.#openLeaseOf(event.session)) return "unspent-unfounded";
    for (const token of session.tokens) this.#spent.delete(token);
    return undefined;
  }

  /** Rare enough (one unspent session) to look at every lease. */
  #openLeaseOf(session: string): boolean {
    return [...this.#leases.values()].some(({ state, run }) => state !== "failed" && this.#runs.get(run)?.session === session);
  }

  #runOpened(event: Extract<Event, { kind: "run-opened" }>): Impossibility | undefined {
    if (this.#runs.has(event.run)) return "run-repeated";
    this.#runs.set(event.run, { session: event.session, over: false });
    const session = this.#sessions.get(event.session);
    if (session === undefined) return "session-unknown";
    this.#sessions.set(event.session, { ...session, runs: session.runs + 1 });
    return session.over ? "session-over" : undefined;
  }

  #runEnded(id: string): Impossibility | undefined {
    const run = this.#runs.get(id);
    if (run === undefined) return "run-unknown";
    this.#runs.set(id, { ...run, over: true });
    return run.over ? "run-ended-twice" : undefined;
  }

  #fenceRaised(fence: number): Impossibility | undefined {
    const rose = fence > this.#fence;
    this.#fence = Math.max(this.#fence, fence);
    return rose ? undefined : "fence-order";
  }

  #lease(event: LeaseEvent): Impossibility | undefined {
    const lease = this.#leases.get(event.lease);
    if (event.kind === "intent") return this.#intent(event, lease);
    const state = moved(lease?.state, event);
    if (state === undefined || lease === undefined) return "lease-state";
    this.#leases.set(event.lease, { ...lease, state });
    if (state !== "failed") this.#taint(lease.run);
    return undefined;
  }

  #intent(event: Extract<Event, { kind: "intent" }>, lease: Lease | undefined): Impossibility | undefined {
    if (lease !== undefined) return "lease-repeated";
    this.#leases.set(event.lease, { state: "intent", run: event.run });
    return this.#runs.has(event.run) ? undefined : "run-unknown";
  }

  #taint(run: string): void {
    const id = this.#runs.get(run)?.session ?? "";
    const session = this.#sessions.get(id);
    if (session !== undefined && !session.tainted) this.#sessions.set(id, { ...session, tainted: true });
  }
}

function moved(state: LeaseState | undefined, event: LeaseEvent): LeaseState | undefined {
  try {
    return move(state, event);
  } catch {
    return undefined;
  }
}
