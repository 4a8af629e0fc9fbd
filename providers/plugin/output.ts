import type { Readable } from "node:stream";
import type { Lodging } from "../../src/lease/provider.ts";
import type { Secret } from "../../src/secret.ts";
import type { Clock, Duration } from "../../src/time.ts";

const longestLine = 8 * 1_024;
/** Lines that wait for the end of a call, and lines in one span; what is beyond is counted and left out. */
const mostWaiting = 256;
const mostPerSpan = 200;
const span: Duration = 10_000;
const empty: Buffer = Buffer.alloc(0);

/**
 * While a call runs, the plug-in may hold a secret that we do not know yet. `waits` until the answer has come; `lost`, and nobody will ever
 * know it.
 */
interface Window {
  state: "waits" | "known" | "lost";
}

interface Line {
  readonly stream: string;
  readonly text: string;
  readonly during: readonly Window[];
}

/** A call, as far as what is printed meanwhile is concerned. The first word ends it; a later one changes nothing. */
export interface Listening {
  /** The answer has come: these are all the secrets that it brought. */
  known(secrets: readonly Secret[]): void;
  lost(): void;
}

export interface OutputParts {
  readonly lodging: Lodging;
  readonly clock: Clock;
  /** How long after a call a process may still speak of it: as long as a call may take. */
  readonly linger: Duration;
}

/**
 * What a plug-in prints, on its way to the operator's log. A line that comes while calls are under way is held until each of them has been
 * answered, and written with their secrets hidden. Where an answer was lost it is withheld, since nobody knows what must not be
 * seen in it. What is withheld or too much is counted, and the plug-in is never held up.
 */
export class Output {
  readonly #parts: OutputParts;
  readonly #open = new Set<Window>();
  readonly #lines: Line[] = [];
  #left = 0;
  #spanEnds = 0;
  #inSpan = 0;

  constructor(parts: OutputParts) {
    this.#parts = parts;
  }

  listen(stream: string, from: Readable): void {
    let begun = empty;
    let during = new Set<Window>();
    const end = (rest: Buffer): void => {
      if (rest.length > 0) this.#take({ stream, text: rest.toString("utf8"), during: [...during] }, rest.length);
      during = new Set(this.#open);
    };
    from.on("data", (chunk: Buffer) => {
      for (const window of this.#open) during.add(window);
      const [first = empty, ...more] = linesOf(chunk);
      // Of a line without end only its length goes on to be known: it is left out as a whole, since a cut could go through a secret.
      begun = begun.length > longestLine ? begun : Buffer.concat([begun, first]);
      for (const next of more) {
        end(begun);
        begun = next;
      }
    });
    from.on("end", () => end(begun));
    from.on("error", () => undefined);
  }

  /** A call that shows these secrets to the plug-in. */
  during(sent: readonly Secret[]): Listening {
    const window: Window = { state: "waits" };
    this.#open.add(window);
    const shown = this.#hide(sent);
    const settle = (state: "known" | "lost"): void => {
      window.state = state;
      if (state === "known") this.#open.delete(window);
      this.#flush();
    };
    return {
      known: (secrets) => {
        if (window.state !== "waits") return;
        const hidden = this.#hide(secrets);
        settle("known");
        this.#later(() => [shown, hidden].forEach((one) => one[Symbol.dispose]()));
      },
      lost: () => {
        if (window.state !== "waits") return;
        settle("lost");
        this.#later(() => {
          this.#open.delete(window);
          shown[Symbol.dispose]();
        });
      },
    };
  }

  #hide(secrets: readonly Secret[]): Disposable {
    return secrets.length === 0 ? { [Symbol.dispose]: () => undefined } : this.#parts.lodging.log.hiding(secrets);
  }

  #later(what: () => void): void {
    const { clock, linger, lodging } = this.#parts;
    void clock.sleep(linger, lodging.ends).then(what, what);
  }

  #take(line: Line, length: number): void {
    if (length > longestLine || this.#lines.length >= mostWaiting || this.#isOverrun()) this.#leaveOut();
    else this.#lines.push(line);
    this.#flush();
  }

  #isOverrun(): boolean {
    const now = this.#parts.clock.monotonic();
    if (now >= this.#spanEnds) {
      this.#spanEnds = now + span;
      this.#inSpan = 0;
    }
    this.#inSpan += 1;
    return this.#inSpan > mostPerSpan;
  }

  /** In their order, as far as nothing waits. */
  #flush(): void {
    const stop = this.#lines.findIndex(({ during }) => during.some(({ state }) => state === "waits"));
    const ready = this.#lines.splice(0, stop < 0 ? this.#lines.length : stop);
    const { log, name } = this.#parts.lodging;
    for (const { stream, text, during } of ready) {
      if (during.some(({ state }) => state === "lost")) this.#leaveOut();
      else log.info({ provider: name, stream, text }, "a provider's process printed a line");
    }
  }

  /** Told once for all that follow soon. */
  #leaveOut(): void {
    this.#left += 1;
    if (this.#left > 1) return;
    this.#later(() => {
      const { log, name } = this.#parts.lodging;
      log.warn(
        { provider: name, lines: this.#left },
        "lines of a provider's process were left out: too many, too long, or beside a lost answer",
      );
      this.#left = 0;
    });
  }
}

/** At least one; the last is the one that has no end yet. */
function linesOf(chunk: Buffer): readonly Buffer[] {
  const lines: Buffer[] = [];
  let from = 0;
  for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, from)) {
    lines.push(chunk.subarray(from, at));
    from = at + 1;
  }
  return [...lines, chunk.subarray(from)];
}
