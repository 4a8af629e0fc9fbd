import { BrokerError } from "../../errors.ts";
import type { Instant } from "../../time.ts";
import type { Ask, Call } from "../calls.ts";
import type { Denials } from "../denials.ts";
import type { Entry, Event } from "../entry.ts";
import type { Begun, DeliveryRecord, FenceRaise, Renewal, RunOpening, SessionOpening, SessionRecord } from "../ledger.ts";
import { isLeaseEvent, type LeaseEvent } from "../states.ts";
import type { Archive } from "./archive.ts";
import type { Fences } from "./fences.ts";
import type { Leases } from "./leases.ts";
import type { Log } from "./log.ts";
import type { Sessions } from "./sessions.ts";

export interface Desk {
  readonly log: Log;
  readonly sessions: Sessions;
  readonly leases: Leases;
  readonly fences: Fences;
  readonly archive: Archive;
  readonly denials: Denials;
}

/** Events that change more than `append` may. */
const notAppended: ReadonlySet<Event["kind"]> = new Set([
  "session-opened",
  "identity-renewed",
  "run-opened",
  "intent",
  "fence-raised",
]);

/** Whoever writes an entry changes the facts that it tells of, in the same transaction. What each promises is in `ledger.ts`. */
export class Scribe {
  readonly #desk: Desk;

  constructor(desk: Desk) {
    this.#desk = desk;
  }

  append(now: Instant, events: readonly Event[]): readonly Entry[] {
    this.countDenials(now);
    const { denials } = this.#desk;
    const recorded = events.filter((event) => event.kind !== "denied" || denials.admit(event.peer.uid, now));
    const entries = recorded.map((event) => this.#record(now, event));
    return [...entries, ...this.#freeTokens(now, recorded)];
  }

  openSession(now: Instant, opening: SessionOpening): SessionRecord {
    if (opening.event.session !== opening.id) throw impossible("the event is of another session");
    if (this.#desk.fences.over(opening.scopes).closed) throw new BrokerError("fenced");
    const session = this.#desk.sessions.open(now, opening);
    this.#desk.log.write(now, opening.event, [opening.id, opening.event.workload]);
    return session;
  }

  begin(now: Instant, opening: RunOpening): Begun {
    const { log, sessions, archive } = this.#desk;
    const before = log.size;
    const session =
      opening.session.kind === "open"
        ? this.openSession(now, opening.session.opening)
        : sessions.alive(now, opening.session.id);
    const { fence, closed } = this.#desk.fences.over(opening.scopes);
    if (closed) throw new BrokerError("fenced");
    if (opening.run.session !== session.id) throw impossible("the run is of another session");
    sessions.openRun(opening, session.id, log.size);
    const about = [opening.run.run, ...this.#ownersOf(opening.run.run)];
    log.write(now, opening.run, about);
    for (const intent of opening.intents) this.#intend(now, intent, about);
    return { session, fence, entries: archive.entries({ from: before, limit: log.size - before }) };
  }

  renew(now: Instant, renewal: Renewal): SessionRecord {
    const { log, sessions } = this.#desk;
    const { event, token } = renewal;
    this.#refuseFenced(renewal);
    const session = event.run === null ? sessions.alive(now, event.session) : sessions.goingOn(event.run, event.session);
    if (sessions.isRenewal(token.key, session.id)) return session;
    sessions.renew(now, token, session.id);
    log.write(now, event, [event.run ?? session.id, session.id, sessions.workload(session.id) ?? session.id]);
    return { ...session, provedAt: now };
  }

  deliver(now: Instant, delivery: DeliveryRecord): readonly Entry[] {
    this.#refuseFenced(delivery);
    return delivery.leases.map((lease) => this.#moveLease(now, { kind: "delivered", lease }));
  }

  raiseFence(now: Instant, { scope, closed, who, why }: FenceRaise): number {
    const fence = this.#desk.fences.raise(scope, closed);
    this.#desk.log.write(now, { kind: "fence-raised", scope, fence, closed, who, why }, [scope]);
    const reached = closed ? this.#desk.sessions.within(now, scope) : [];
    for (const session of reached) this.#endSession(now, session, "contained");
    return fence;
  }

  /** For what is done under a fence that was read before. */
  #refuseFenced({ scopes, fence }: Pick<DeliveryRecord, "scopes" | "fence">): void {
    const standing = this.#desk.fences.over(scopes);
    if (standing.closed || standing.fence > fence) throw new BrokerError("fenced");
  }

  countDenials(now: Instant, which: "ended" | "all" = "ended"): void {
    for (const counted of this.#desk.denials.take(now, which)) this.#desk.log.write(now, counted, []);
  }

  takeBack(ask: Ask): void {
    if (ask.method === "openSession") this.#endSession(ask.now, ask.args[0].id, "unspent");
    if (ask.method === "begin") this.#takeBackRun(ask);
  }

  #takeBackRun(ask: Call<"begin">): void {
    const [{ run, intents, session }] = ask.args;
    const code = "ledger-unavailable" as const;
    const failures = intents.map(({ lease }) => ({ kind: "failed", lease, code }) as const);
    this.append(ask.now, [
      ...failures,
      { kind: "run-ended", run: run.run, outcome: "refused", exitCode: null, code, peakMemory: null },
    ]);
    const isFreed = intents.some(({ optional }) => !optional);
    if (session.kind === "open" && !isFreed) this.#endSession(ask.now, session.opening.id, "unspent");
  }

  #record(now: Instant, event: Event): Entry {
    if (notAppended.has(event.kind)) throw impossible(`${event.kind} is written by its own method, not appended`);
    if (isLeaseEvent(event)) return this.#moveLease(now, event);
    if (event.kind === "session-ended") return this.#endSession(now, event.session, event.why);
    if (event.kind === "run-ended") return this.#endRun(now, event);
    if (event.kind === "egress") return this.#desk.log.write(now, event, [event.run, ...this.#ownersOf(event.run)]);
    return this.#desk.log.write(now, event, aboutOf(event));
  }

  #endRun(now: Instant, event: Extract<Event, { kind: "run-ended" }>): Entry {
    this.#desk.sessions.endRun(event.run);
    return this.#desk.log.write(now, event, [event.run, ...this.#ownersOf(event.run)]);
  }

  #moveLease(now: Instant, event: LeaseEvent): Entry {
    const { lease, run, session, workload } = this.#desk.leases.apply(now, event);
    return this.#desk.log.write(now, event, [lease, run, session, workload]);
  }

  #intend(now: Instant, intent: RunOpening["intents"][number], about: readonly string[]): void {
    const { log, leases } = this.#desk;
    if (intent.run !== about[0]) throw impossible("the intent is of another run");
    leases.intend(now, intent, log.size);
    log.write(now, intent, [intent.lease, ...about]);
  }

  /**
   * A set of credentials that all failed for certain did not use the token up: the job may present it again. One that is all optional did: its
   * run goes on.
   */
  #freeTokens(now: Instant, events: readonly Event[]): readonly Entry[] {
    const { leases, sessions } = this.#desk;
    const failed = events.filter((event) => event.kind === "failed").map((event) => leases.find(event.lease)?.run ?? "");
    return [...new Set(failed)]
      .map((run) => sessions.unspendable(run))
      .filter((session) => session !== undefined)
      .map((session) => this.#endSession(now, session, "unspent"));
  }

  #endSession(now: Instant, session: string, why: Extract<Event, { kind: "session-ended" }>["why"]): Entry {
    const { log, sessions } = this.#desk;
    sessions.end(session, why);
    return log.write(now, { kind: "session-ended", session, why }, [session, sessions.workload(session) ?? session]);
  }

  #ownersOf(run: string): readonly string[] {
    const owner = this.#desk.sessions.runOwner(run);
    return owner === undefined ? [] : [owner.session, owner.workload];
  }
}

/** What an entry that changes no fact can be found by. */
function aboutOf(event: Event): readonly string[] {
  switch (event.kind) {
    case "denied":
      return [event.denial, event.workload ?? event.denial];
    case "observed":
      return [event.observation, event.workload];
    case "issuer-keys":
      return [`issuer:${event.issuer}`];
    case "operated":
      return [event.about];
    case "rotated":
    case "rotation-failed":
      return [`rotation:${event.provider}/${event.name}`];
    default:
      return [];
  }
}

const impossible = (detail: string): BrokerError => new BrokerError("internal", undefined, { detail });
