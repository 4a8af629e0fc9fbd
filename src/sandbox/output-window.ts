/** Where output goes: `send` one message of it, `end` after the last. */
export interface OutputSink {
  send(stream: "stdout" | "stderr", chunk: Uint8Array): void;
  end(): void;
}

interface Piece {
  readonly stream: "stdout" | "stderr";
  readonly chunk: Uint8Array;
}

const pieceSize = 65_536;

/** Messages under way that the reader has not taken. All else that is said on the stream waits behind these at most. */
const mostUnderWay = 4;

/** More than two pipes hold, even where the job made them as large as the kernel lets it (pipe(7), 1 MiB each). */
const mostKept = 4 * 2 ** 20;

/**
 * A job's masked output on its way to `serve`, which acknowledges each message once its reader took it. While the job runs,
 * `put` waits for room, so a slow reader slows the job. Once it is over nobody waits: what its pipes still held is kept here.
 */
export class OutputWindow {
  readonly #sink: OutputSink;
  readonly #kept: Piece[] = [];
  readonly #waiting: (() => void)[] = [];
  #keptBytes = 0;
  #underWay = 0;
  #released = false;
  #ended = false;

  constructor(sink: OutputSink) {
    this.#sink = sink;
  }

  /** Throws where more is kept than a job that is over can have left. */
  async put(stream: Piece["stream"], bytes: Uint8Array): Promise<void> {
    for (let from = 0; from < bytes.length; from += pieceSize) {
      this.#kept.push({ stream, chunk: bytes.subarray(from, from + pieceSize) });
    }
    this.#keptBytes += bytes.length;
    this.#forward();
    if (this.#keptBytes > mostKept) throw new Error("more output is left than a job can have written");
    if (this.#kept.length > 0 && !this.#released) await new Promise<void>((resume) => this.#waiting.push(resume));
  }

  /** Whether somebody waits for room. */
  get isFull(): boolean {
    return this.#waiting.length > 0;
  }

  /** One message was taken. */
  taken(): void {
    this.#underWay = Math.max(0, this.#underWay - 1);
    this.#forward();
  }

  /** The job is over: nobody waits for room any more. */
  release(): void {
    this.#released = true;
    this.#resume();
  }

  /** Nothing is put any more. */
  end(): void {
    this.#ended = true;
    this.#forward();
  }

  #forward(): void {
    while (this.#underWay < mostUnderWay) {
      const next = this.#kept.shift();
      if (next === undefined) break;
      this.#underWay += 1;
      this.#keptBytes -= next.chunk.length;
      this.#sink.send(next.stream, next.chunk);
    }
    if (this.#kept.length === 0) this.#empty();
  }

  #empty(): void {
    this.#resume();
    if (this.#ended) this.#sink.end();
    this.#ended = false;
  }

  #resume(): void {
    for (const resume of this.#waiting.splice(0)) resume();
  }
}
