import { BrokerError } from "../errors.ts";
import { rangeSize } from "./spec.ts";

/** A job's place on this host: its own range of host ids, which no other job has while this one lives. */
export interface Slot {
  /** The first host uid and gid of the range. */
  readonly first: number;
  release(): void;
}

/** Admission. Nothing waits here: one job more than the host may run is told so at once. */
export class Slots {
  readonly capacity: number;
  readonly #first: number;
  readonly #taken = new Set<number>();

  constructor(capacity: number, first: number) {
    this.capacity = capacity;
    this.#first = first;
  }

  get running(): number {
    return this.#taken.size;
  }

  /** Throws `busy`. */
  take(): Slot {
    const free = Array.from({ length: this.capacity }, (_, index) => index).find((index) => !this.#taken.has(index));
    if (free === undefined)
      throw new BrokerError("busy", undefined, { hint: `try again; ${this.capacity} jobs run at a time here` });
    this.#taken.add(free);
    return { first: this.#first + free * rangeSize, release: () => void this.#taken.delete(free) };
  }
}
