/** The bytes of a stream that are not yet decided, addressed by their offset in the whole stream. */
export class Window {
  #bytes = Buffer.alloc(0);
  /** Where the window begins in `#bytes`; what lies before is dead until the next move to the front. */
  #start = 0;
  #length = 0;
  #from = 0;

  get from(): number {
    return this.#from;
  }

  get to(): number {
    return this.#from + this.#length;
  }

  append(chunk: Uint8Array): void {
    if (this.#start + this.#length + chunk.length > this.#bytes.length) this.#makeRoom(chunk.length);
    this.#bytes.set(chunk, this.#start + this.#length);
    this.#length += chunk.length;
  }

  /** Forgets everything before `offset`. */
  dropTo(offset: number): void {
    this.#start += offset - this.#from;
    this.#length -= offset - this.#from;
    this.#from = offset;
  }

  /** The byte at this offset, where the window has it. */
  at(offset: number): number | undefined {
    return offset < this.#from || offset >= this.to ? undefined : this.#bytes[this.#start + offset - this.#from];
  }

  /** A view, good until the next `append`. */
  view(from: number, to: number): Buffer {
    return this.#bytes.subarray(this.#start + from - this.#from, this.#start + to - this.#from);
  }

  wipe(): void {
    this.#bytes.fill(0);
  }

  /** Twice the need, so that a stream of single bytes moves each of them a bounded number of times. */
  #makeRoom(more: number): void {
    const roomy = Buffer.alloc(Math.max(4096, 2 * (this.#length + more)));
    this.#bytes.copy(roomy, 0, this.#start, this.#start + this.#length);
    this.#bytes.fill(0);
    this.#bytes = roomy;
    this.#start = 0;
  }
}
