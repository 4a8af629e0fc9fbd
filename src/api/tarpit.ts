import type { Clock, Duration } from "../time.ts";
import type { Connection } from "./connection.ts";
import { limits } from "./limits.ts";

interface Window {
  readonly from: Duration;
  readonly refusals: number;
}

/** All that matters of a connection. */
type Line = Pick<Connection, "peer">;

/** A connection whose refusals are held back. */
interface Slow {
  /** When the next call of it may be looked at. */
  free: Duration;
  waiting: number;
  /** Calls that found no place to wait. */
  turnedAway: number;
}

/** `busy`: refused unseen. `shut`: that, and its process has gone on so long that its connections are closed for a while. */
export type Entry = "may" | "busy" | "shut";

/** So many users are told apart at a time; the rest share one window, under a uid that no peer can have. */
const mostUsers = 1_000;
const everyoneElse = -1;
/** So many processes are kept out at a time; another one is slowed down like any other. */
const mostShut = 1_000;

/**
 * Refusals cost their sender. A user that was refused too often within a minute waits for each further refusal, and what comes behind it on the
 * same connection is looked at one call a second. Who presses on all the same is kept out for a while, by process. Nobody else is touched:
 * the jobs of one runner share its uid, so a good call on a connection of its own is answered at once, however many bad ones its
 * neighbours make.
 */
export class Tarpit {
  readonly #clock: Clock;
  readonly #windows = new Map<number, Window>();
  readonly #slow = new WeakMap<Line, Slow>();
  readonly #shut = new Map<number, Duration>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Before a call is looked at: resolves when it may be, or at once where it is not to be. */
  async enter(connection: Line): Promise<Entry> {
    const slow = this.#slow.get(connection);
    const pause = slow === undefined ? 0 : slow.free - this.#clock.monotonic();
    if (slow === undefined || pause <= 0) return "may";
    if (slow.waiting >= limits.waitingCalls) return this.#turnAway(connection.peer.pid, slow);
    slow.waiting += 1;
    slow.free += limits.hold;
    await this.#clock.sleep(pause);
    slow.waiting -= 1;
    return "may";
  }

  /** Counts a refusal; false where this user has had more of them than are written down one by one. */
  count({ peer: { uid } }: Line): boolean {
    if (this.#windows.size >= mostUsers) this.#forget();
    const user = this.#windows.has(uid) || this.#windows.size < mostUsers ? uid : everyoneElse;
    const { from, refusals } = this.#current(user);
    this.#windows.set(user, { from, refusals: refusals + 1 });
    return refusals < limits.refusals;
  }

  /** Resolves when the answer may go out. */
  async hold(connection: Line): Promise<void> {
    const now = this.#clock.monotonic();
    const slow = this.#slow.get(connection) ?? { free: now, waiting: 0, turnedAway: 0 };
    this.#slow.set(connection, slow);
    if (slow.free <= now) slow.free = now + limits.hold;
    await this.#clock.sleep(slow.free - now);
  }

  /** Whether this process is kept out just now. A pid of another namespace (0) says nothing. */
  keepsOut(pid: number): boolean {
    const until = this.#shut.get(pid);
    if (until === undefined) return false;
    if (this.#clock.monotonic() < until) return true;
    this.#shut.delete(pid);
    return false;
  }

  #turnAway(pid: number, slow: Slow): Entry {
    slow.turnedAway += 1;
    if (slow.turnedAway < limits.turnedAway) return "busy";
    const now = this.#clock.monotonic();
    for (const [other, until] of this.#shut) if (until <= now) this.#shut.delete(other);
    if (pid !== 0 && this.#shut.size < mostShut) this.#shut.set(pid, now + limits.keptOut);
    return "shut";
  }

  #current(user: number): Window {
    const window = this.#windows.get(user);
    return window === undefined || this.#isOver(window) ? { from: this.#clock.monotonic(), refusals: 0 } : window;
  }

  #forget(): void {
    for (const [user, window] of this.#windows) if (this.#isOver(window)) this.#windows.delete(user);
  }

  #isOver({ from }: Window): boolean {
    return this.#clock.monotonic() - from >= limits.refusalWindow;
  }
}
