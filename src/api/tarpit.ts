import type { Clock, Duration } from "../time.ts";
import type { Connection } from "./connection.ts";
import { limits } from "./limits.ts";

/** All that matters of a connection. */
type Line = Pick<Connection, "peer">;

/** A connection whose refusals are held back. */
interface Slow {
  /** When the next call of it may be looked at. */
  free: Duration;
  waiting: number;
}

/** `pressing`: its process is kept out from now on; `shut`: it already is. */
export type Frequency = "rare" | "often" | "pressing" | "shut";

/**
 * Refusals cost their sender. A user that was refused too often within a minute waits for each further refusal, and what comes behind it on the
 * same connection is looked at one call a second. A process that presses on all the same is kept out for a while. Nobody else is touched: the
 * jobs of one runner share its uid, so a good call on a connection of its own is answered at once, however many bad ones its
 * neighbours make.
 */
export class Tarpit {
  readonly #clock: Clock;
  readonly #users: Windows;
  readonly #processes: Windows;
  readonly #observers: Windows;
  readonly #slow = new WeakMap<Line, Slow>();
  readonly #keptOut = new Map<number, Duration>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#users = new Windows(clock);
    this.#processes = new Windows(clock);
    this.#observers = new Windows(clock);
  }

  /** Before a call is looked at: resolves when it may be, with false where too many of its connection wait already. */
  async enter(connection: Line): Promise<boolean> {
    const slow = this.#slow.get(connection);
    const pause = slow === undefined ? 0 : slow.free - this.#clock.monotonic();
    if (slow === undefined || pause <= 0) return true;
    if (slow.waiting >= limits.waitingCalls) return false;
    slow.waiting += 1;
    slow.free += limits.hold;
    await this.#clock.sleep(pause);
    slow.waiting -= 1;
    return true;
  }

  /** Counts a refusal; all but the `rare` ones are no longer written down one by one. */
  count({ peer: { uid, pid } }: Line): Frequency {
    const ofUser = this.#users.count(uid);
    const ofProcess = this.#processes.count(pid);
    if (this.keepsOut(pid)) return "shut";
    // What a process shares with others is not held against it alone.
    const alone = pid !== 0 && this.#processes.tellsApart(pid);
    if (alone && ofProcess > limits.refusalsOfProcess) return this.#keepOut(pid);
    return ofUser <= limits.refusals ? "rare" : "often";
  }

  /** Counts an observation; false for one too many. */
  observes({ uid }: Line["peer"]): boolean {
    return this.#observers.count(uid) <= limits.observations;
  }

  /** Resolves when the answer may go out. */
  async hold(connection: Line): Promise<void> {
    const now = this.#clock.monotonic();
    const slow = this.#slow.get(connection) ?? { free: now, waiting: 0 };
    this.#slow.set(connection, slow);
    if (slow.free <= now) slow.free = now + limits.hold;
    await this.#clock.sleep(slow.free - now);
  }

  /** Whether this process is kept out just now. A pid of another namespace (0) says nothing. */
  keepsOut(pid: number): boolean {
    return this.#clock.monotonic() < (this.#keptOut.get(pid) ?? 0);
  }

  #keepOut(pid: number): Frequency {
    const now = this.#clock.monotonic();
    for (const [other, until] of this.#keptOut) if (until <= now) this.#keptOut.delete(other);
    if (this.#keptOut.size >= most) return "often";
    this.#keptOut.set(pid, now + limits.keptOut);
    return "pressing";
  }
}

/** So many users, or processes, are told apart at a time; the rest share one window. */
const most = 1_000;
const everyoneElse = -1;

/** How often something happened within its own minute. */
class Windows {
  readonly #clock: Clock;
  readonly #windows = new Map<number, { readonly from: Duration; times: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  count(id: number): number {
    const now = this.#clock.monotonic();
    if (this.#windows.size >= most) this.#forget(now);
    const key = this.#windows.has(id) || this.#windows.size < most ? id : everyoneElse;
    const known = this.#windows.get(key);
    const window = known === undefined || now - known.from >= limits.refusalWindow ? { from: now, times: 0 } : known;
    this.#windows.set(key, window);
    window.times += 1;
    return window.times;
  }

  tellsApart(id: number): boolean {
    return this.#windows.has(id);
  }

  #forget(now: Duration): void {
    for (const [id, { from }] of this.#windows) if (now - from >= limits.refusalWindow) this.#windows.delete(id);
  }
}
