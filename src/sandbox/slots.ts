import { BrokerError } from "../errors.ts";
import { rangeSize } from "./spec.ts";

/** A job's place on this host: its own range of host ids, which no other job has while this one lives. */
export interface Slot {
  /** The first host uid and gid of the range. */
  readonly first: number;
  release(): void;
}

/** Outputs that wait for their readers, for each place. */
const mostLingering = 4;

/** Admission. Nothing waits here: one job more than the host may run is told so at once. */
export class Slots {
  readonly capacity: number;
  readonly #first: number;
  readonly #taken = new Set<number>();
  #lingering = 0;

  constructor(capacity: number, first: number) {
    this.capacity = capacity;
    this.#first = first;
  }

  get running(): number {
    return this.#taken.size;
  }

  /** For what a removed job had printed and its reader has not taken; it holds no place, but memory, so there is a most of it too. */
  linger(): Disposable {
    this.#lingering += 1;
    return { [Symbol.dispose]: () => void (this.#lingering -= 1) };
  }

  /** Throws `busy`. */
  take(): Slot {
    if (this.#lingering >= mostLingering * this.capacity)
      throw new BrokerError("busy", undefined, { hint: "too many runners here do not read what their jobs had printed" });
    const free = Array.from({ length: this.capacity }, (_, index) => index).find((index) => !this.#taken.has(index));
    if (free === undefined)
      throw new BrokerError("busy", undefined, { hint: `try again; ${this.capacity} jobs run at a time here` });
    this.#taken.add(free);
    return { first: this.#first + free * rangeSize, release: () => void this.#taken.delete(free) };
  }
}
