import type { Masker } from "./masker.ts";
import type { Scanner, State } from "./scanner.ts";
import { Window } from "./window.ts";

const mask = Buffer.from("***");

/** Bytes of the stream, by offset, that must not be shown. */
interface Range {
  from: number;
  to: number;
}

/**
 * The masker of one stream. What is before `#window` is decided and gone; what is in it may still become part of a secret
 * that began there. A range is shown as one mask as soon as its beginning is decided, and may then only grow.
 *
 * It fails closed: once anything has gone wrong inside, every later call throws, and nothing more is shown.
 */
export class MaskedStream implements Masker {
  readonly #current: () => Scanner;
  readonly #window = new Window();
  #scanner: Scanner;
  #state: State = 0;
  /** Disjoint and in order; all begin in the window. */
  #ranges: Range[] = [];
  /** Up to where the last mask that was shown reaches. */
  #hiddenTo = 0;
  /** A base64 form ended at the window's end: its cut character may be the next byte. */
  #owed: "nothing" | "character" | "padding" = "nothing";
  #over: Error | undefined;

  /** `current` gives the scanner of all secrets so far; a new one means that secrets were added. */
  constructor(current: () => Scanner) {
    this.#current = current;
    this.#scanner = current();
  }

  write(chunk: Uint8Array): Uint8Array {
    return this.#guarded(() => {
      this.#refresh();
      const before = this.#window.to;
      this.#window.append(chunk);
      this.#settleDebt(before);
      this.#scan(before);
      return this.#show(this.#decided());
    });
  }

  /**
   * A tail that is at least 4 bytes and more than half of some form is hidden: the job was cut off while it printed a secret. A
   * shorter one is shown, as it would be in the middle of the stream.
   */
  end(): Uint8Array {
    return this.#guarded(() => {
      this.#refresh();
      const beginning = this.#scanner.mostly(this.#state);
      if (beginning > 0) this.#hide({ from: this.#window.to - beginning, to: this.#window.to });
      const rest = this.#show(this.#window.to);
      this.#window.wipe();
      this.#over = new Error("the masked stream has ended");
      return rest;
    });
  }

  #guarded<T>(work: () => T): T {
    if (this.#over !== undefined) throw this.#over;
    try {
      return work();
    } catch (cause) {
      this.#over = new Error("the masker failed, so its stream shows nothing more", { cause });
      throw this.#over;
    }
  }

  /** The bytes that are held are read once more for the new secrets; those already shown were shown before they came. */
  #refresh(): void {
    const scanner = this.#current();
    if (scanner === this.#scanner) return;
    [this.#scanner, this.#state, this.#ranges] = [scanner, 0, []];
    this.#scan(this.#window.from);
  }

  #scan(from: number): void {
    const bytes = this.#window.view(from, this.#window.to);
    this.#state = this.#scanner.scan(bytes, this.#state, (end, state) => this.#found(from + end, state));
  }

  /** Where the earliest unfinished form begins, its cut character included. */
  #decided(): number {
    const end = this.#window.to;
    const cut = this.#scanner.liveCut(this.#state);
    const edge = cut >= 0 && this.#isBase64(end - cut - 1) ? cut + 1 : 0;
    return end - Math.max(this.#scanner.live(this.#state), edge);
  }

  #found(end: number, state: State): void {
    const cut = this.#scanner.longestCut(state);
    const edge = cut > 0 && this.#isBase64(end - cut - 1) ? cut + 1 : 0;
    this.#hide({ from: end - Math.max(this.#scanner.longest(state), edge), to: end });
    if (this.#scanner.cutRight(state)) this.#hideCutEnd(end);
  }

  #hideCutEnd(end: number): void {
    const past = this.#isBase64(end) ? end + 1 : end;
    const padded = this.#pastPadding(past);
    if (padded > end) this.#hide({ from: end - 1, to: padded });
    if (padded === this.#window.to) this.#owed = past === end && padded === end ? "character" : "padding";
  }

  /** What a form that ended with the last chunk still claims of this one. */
  #settleDebt(end: number): void {
    if (this.#owed === "nothing" || end === this.#window.to) return;
    const past = this.#owed === "character" && this.#isBase64(end) ? end + 1 : end;
    const padded = this.#pastPadding(past);
    this.#owed = padded === this.#window.to ? "padding" : "nothing";
    if (padded > end) this.#hide({ from: end - 1, to: padded });
  }

  #pastPadding(from: number): number {
    let to = from;
    while (this.#window.at(to) === 0x3d) to += 1;
    return to;
  }

  #isBase64(offset: number): boolean {
    const byte = this.#window.at(offset);
    return byte !== undefined && /[A-Za-z0-9+/_-]/.test(String.fromCharCode(byte));
  }

  /** Ranges that share a byte become one; ranges that only touch stay two masks. */
  #hide(range: Range): void {
    for (let last = this.#ranges.at(-1); last !== undefined && range.from < last.to; last = this.#ranges.at(-1)) {
      range = { from: Math.min(range.from, last.from), to: Math.max(range.to, last.to) };
      this.#ranges.pop();
    }
    if (range.from < this.#hiddenTo) {
      this.#hiddenTo = Math.max(this.#hiddenTo, range.to);
      return;
    }
    if (range.from < this.#window.from) throw new Error("a secret began in bytes that were already shown");
    this.#ranges.push(range);
  }

  /** Everything before `limit` is decided: shows it, one mask for each range that begins there. */
  #show(limit: number): Uint8Array {
    const shown: Uint8Array[] = [];
    let at = this.#window.from;
    const showTo = (to: number) => {
      const from = Math.max(at, this.#hiddenTo);
      if (to > from) shown.push(this.#window.view(from, to));
      at = Math.max(at, to);
    };
    for (let [range] = this.#ranges; range !== undefined && range.from < limit; [range] = this.#ranges) {
      showTo(range.from);
      shown.push(mask);
      this.#hiddenTo = range.to;
      this.#ranges.shift();
    }
    showTo(limit);
    const bytes = Buffer.concat(shown);
    this.#window.dropTo(limit);
    return bytes;
  }
}
