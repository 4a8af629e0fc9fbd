import type { Pattern } from "./forms.ts";

/** Where the scan of a stream stands: an index into the scanner's tables, meaningless to any other scanner. */
export type State = number;

/** Shorter beginnings of a secret say too little to be hidden at the end of a stream. */
const shortestBeginning = 4;

/**
 * Finds every pattern in a stream of bytes in linear time, whatever the patterns (Aho and Corasick, 1975). After each byte the
 * state is the longest end of the stream that is a beginning of some pattern; `fail` leads to the next shorter one. States with
 * several children, and the first, hold a row of 256 next states with failures already followed; all others know their only
 * child, which keeps the tables near the size of the patterns.
 */
export class Scanner {
  readonly #child: Int32Array;
  readonly #sibling: Int32Array;
  readonly #byte: Int16Array;
  readonly #depth: Int32Array;
  readonly #fail: Int32Array;
  readonly #row: Int32Array;
  #rows = new Int32Array(0);
  #size = 1;

  /** Length of the longest pattern that ends here; and of the longest of those cut on the left; and whether any is cut on the right. */
  readonly #longest: Int32Array;
  readonly #longestCut: Int32Array;
  readonly #cutRight: Uint8Array;
  /** Length of the longest unfinished pattern; of the longest of those cut on the left; and of the longest more than half finished one. */
  readonly #live: Int32Array;
  readonly #liveCut: Int32Array;
  readonly #mostly: Int32Array;

  constructor(patterns: readonly Pattern[]) {
    const most = 1 + patterns.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const table = () => new Int32Array(most);
    [this.#child, this.#sibling, this.#depth, this.#fail] = [table(), table(), table(), table()];
    [this.#longest, this.#longestCut, this.#live, this.#mostly] = [table(), table(), table(), table()];
    this.#byte = new Int16Array(most).fill(-1);
    this.#row = table().fill(-1);
    this.#liveCut = table().fill(-1);
    this.#cutRight = new Uint8Array(most);
    const shortest = table().fill(2 ** 31 - 1);
    for (const pattern of patterns) this.#insert(pattern, shortest);
    this.#link(shortest);
  }

  /** Calls `found` after each byte at which a pattern ends. Gives the state after the last. */
  scan(bytes: Uint8Array, start: State, found: (end: number, state: State) => void): State {
    const [row, rows, child, byte, fail, longest] = [this.#row, this.#rows, this.#child, this.#byte, this.#fail, this.#longest];
    let state = start;
    for (let at = 0; at < bytes.length; at++) {
      // Most bytes of a log begin nothing.
      if (state === 0) while (at < bytes.length && rows[bytes[at]!] === 0) at += 1;
      if (at === bytes.length) break;
      const next = bytes[at]!;
      while (row[state]! < 0 && byte[child[state]!] !== next) state = fail[state]!;
      state = row[state]! < 0 ? child[state]! : rows[row[state]! + next]!;
      if (longest[state] !== 0) found(at + 1, state);
    }
    return state;
  }

  longest(state: State): number {
    return this.#longest[state]!;
  }

  longestCut(state: State): number {
    return this.#longestCut[state]!;
  }

  cutRight(state: State): boolean {
    return this.#cutRight[state] === 1;
  }

  live(state: State): number {
    return this.#live[state]!;
  }

  /** At least 0, an empty beginning, if there is any pattern cut on the left; else -1. */
  liveCut(state: State): number {
    return this.#liveCut[state]!;
  }

  mostly(state: State): number {
    return this.#mostly[state]!;
  }

  /** The tables spell the patterns out. A scanner that was wiped finds nothing: its owner must not scan any more. */
  wipe(): void {
    for (const table of [this.#child, this.#sibling, this.#byte, this.#rows, this.#fail]) table.fill(0);
  }

  #insert({ bytes, cutLeft, cutRight }: Pattern, shortest: Int32Array): void {
    let state = 0;
    for (const byte of bytes) {
      this.#live[state] = this.#depth[state]!;
      if (cutLeft) this.#liveCut[state] = this.#depth[state]!;
      state = this.#descend(state, byte);
      shortest[state] = Math.min(shortest[state]!, bytes.length);
    }
    this.#longest[state] = bytes.length;
    if (cutLeft) this.#longestCut[state] = bytes.length;
    if (cutRight) this.#cutRight[state] = 1;
  }

  #descend(parent: State, byte: number): State {
    for (let state = this.#child[parent]!; state !== 0; state = this.#sibling[state]!) {
      if (this.#byte[state] === byte) return state;
    }
    const state = this.#size++;
    this.#byte[state] = byte;
    this.#depth[state] = this.#depth[parent]! + 1;
    this.#sibling[state] = this.#child[parent]!;
    this.#child[parent] = state;
    return state;
  }

  /** By growing depth, so that what `fail` leads to is always finished first. */
  #link(shortest: Int32Array): void {
    const order = this.#breadthFirst();
    const branching = order.filter((state) => state === 0 || this.#sibling[this.#child[state]!] !== 0);
    this.#rows = new Int32Array(branching.length * 256);
    branching.forEach((state, index) => (this.#row[state] = index * 256));
    for (const state of order) {
      if (state !== 0) this.#inherit(state, shortest[state]!);
      this.#linkChildren(state);
    }
  }

  #breadthFirst(): Int32Array {
    const order = new Int32Array(this.#size);
    let [reached, next] = [1, 0];
    for (; next < reached; next++) {
      for (let state = this.#child[order[next]!]!; state !== 0; state = this.#sibling[state]!) order[reached++] = state;
    }
    return order;
  }

  /** What is true of a shorter end of the stream is true of the longer one too. */
  #inherit(state: State, shortest: number): void {
    const fail = this.#fail[state]!;
    const depth = this.#depth[state]!;
    this.#longest[state] = Math.max(this.#longest[state]!, this.#longest[fail]!);
    this.#longestCut[state] = Math.max(this.#longestCut[state]!, this.#longestCut[fail]!);
    this.#cutRight[state] = this.#cutRight[state]! | this.#cutRight[fail]!;
    this.#live[state] = Math.max(this.#live[state]!, this.#live[fail]!);
    this.#liveCut[state] = Math.max(this.#liveCut[state]!, this.#liveCut[fail]!);
    this.#mostly[state] = depth >= shortestBeginning && depth * 2 > shortest ? depth : this.#mostly[fail]!;
  }

  #linkChildren(state: State): void {
    const row = this.#row[state]!;
    if (row >= 0 && state !== 0)
      for (let byte = 0; byte < 256; byte++) this.#rows[row + byte] = this.#step(this.#fail[state]!, byte);
    for (let child = this.#child[state]!; child !== 0; child = this.#sibling[child]!) {
      const byte = this.#byte[child]!;
      if (state !== 0) this.#fail[child] = this.#step(this.#fail[state]!, byte);
      if (row >= 0) this.#rows[row + byte] = child;
    }
  }

  #step(from: State, byte: number): State {
    let state = from;
    while (this.#row[state]! < 0 && this.#byte[this.#child[state]!] !== byte) state = this.#fail[state]!;
    return this.#row[state]! < 0 ? this.#child[state]! : this.#rows[this.#row[state]! + byte]!;
  }
}
