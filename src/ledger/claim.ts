/**
 * One word of shared memory per call, in which asker and worker settle who was first, without comparing clocks:
 *
 *     waiting -> taken -> answered      the asker heard the answer
 *     waiting -> gone                   given up before it was begun: the worker does nothing
 *     waiting -> taken -> gone          given up while it was being done: it may still have been done
 */
const waiting = 0;
const taken = 1;
const answered = 2;
const gone = 3;

export type Surrender = "never-done" | "may-be-done" | "answer-is-coming";

export class Claim {
  readonly #word: Int32Array<SharedArrayBuffer>;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(4)) {
    this.#word = new Int32Array(memory);
  }

  get memory(): SharedArrayBuffer {
    return this.#word.buffer;
  }

  /** The worker, before it does anything. False: do nothing. */
  take(): boolean {
    return this.#swap(waiting, taken);
  }

  /** The worker, once it is done. False: nobody will hear the answer. */
  answer(): boolean {
    return this.#swap(taken, answered);
  }

  /** The asker, when its time is over. */
  giveUp(): Surrender {
    if (this.#swap(waiting, gone)) return "never-done";
    return this.#swap(taken, gone) ? "may-be-done" : "answer-is-coming";
  }

  #swap(from: number, to: number): boolean {
    return Atomics.compareExchange(this.#word, 0, from, to) === from;
  }
}
