import { limits } from "./limits.ts";

/**
 * A job's stdin between the stream it comes on and the job that reads it. `add` resolves at once while no more than the window is
 * held, so signals behind it get through; beyond that it waits for the job, which is plain back pressure.
 */
export class StdinWindow implements AsyncIterable<Uint8Array> {
  readonly #taken: (bytes: number) => Promise<void>;
  readonly #chunks: Uint8Array[] = [];
  #held = 0;
  #untold = 0;
  #telling = false;
  #ended = false;
  #arrived: () => void = () => undefined;
  #room: () => void = () => undefined;

  /** `taken` hears how much the job has read; while it is busy saying so, further bytes are added up. */
  constructor(taken: (bytes: number) => Promise<void>) {
    this.#taken = taken;
  }

  async add(chunk: Uint8Array): Promise<void> {
    if (this.#ended || chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    this.#arrived();
    while (this.#held > limits.stdinWindow && !this.#ended) await new Promise<void>((resolve) => (this.#room = resolve));
  }

  end(): void {
    this.#ended = true;
    this.#arrived();
    this.#room();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        yield chunk;
        this.#take(chunk.length);
      } else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#arrived = resolve));
    }
  }

  #take(bytes: number): void {
    this.#held -= bytes;
    this.#untold += bytes;
    this.#room();
    if (!this.#telling) void this.#tell();
  }

  async #tell(): Promise<void> {
    this.#telling = true;
    while (this.#untold > 0) {
      const bytes = this.#untold;
      this.#untold = 0;
      await this.#taken(bytes);
    }
    this.#telling = false;
  }
}
