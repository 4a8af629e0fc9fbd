import type { Path } from "./document.ts";

/**
 * Where each value of a file stands, in two numbers a value: the parser's own tree takes a hundred times the text, and a policy has
 * thousands of files.
 */
export interface Places {
  /** Of the value at the path; where the path leads to something that is missing, of the nearest thing above it. A pair stands where its key does. */
  offsetOf(path: Path): number;
  /** As it is spelled, where an unquoted number stands there. */
  numberAt(path: Path): string | undefined;
}

/** Noted from the top down, each value before those in it, which come in the order of its keys. */
export class PlaceNotes {
  readonly #starts: number[] = [];
  /** How many values each one is, itself included. */
  readonly #sizes: number[] = [];
  readonly #numbers = new Map<number, string>();

  /** Begins a value; `close` ends it. */
  open(offset: number): number {
    this.#sizes.push(1);
    return this.#starts.push(offset) - 1;
  }

  number(index: number, source: string): void {
    this.#numbers.set(index, source);
  }

  close(index: number): void {
    this.#sizes[index] = this.#starts.length - index;
  }

  of(value: unknown): Places {
    const starts = Uint32Array.from(this.#starts);
    const sizes = Uint32Array.from(this.#sizes);
    const numbers = this.#numbers;
    return {
      offsetOf: (path) => starts[find(value, path, sizes).index] ?? 0,
      numberAt: (path) => {
        const { index, whole } = find(value, path, sizes);
        return whole ? numbers.get(index) : undefined;
      },
    };
  }
}

function find(value: unknown, path: Path, sizes: Uint32Array): { readonly index: number; readonly whole: boolean } {
  let index = 0;
  let above = value;
  for (const key of path) {
    const keys = typeof above === "object" && above !== null ? Object.keys(above) : [];
    const position = keys.indexOf(String(key));
    if (position < 0) return { index, whole: false };
    index += 1;
    for (let skipped = 0; skipped < position; skipped += 1) index += sizes[index] ?? 1;
    above = Object.getOwnPropertyDescriptor(above, String(key))?.value;
  }
  return { index, whole: true };
}
