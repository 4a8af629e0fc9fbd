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
    const find = finder(value, Uint32Array.from(this.#sizes));
    const starts = Uint32Array.from(this.#starts);
    const numbers = this.#numbers;
    return {
      offsetOf: (path) => starts[find(path).index] ?? 0,
      numberAt: (path) => {
        const { index, whole } = find(path);
        return whole ? numbers.get(index) : undefined;
      },
    };
  }
}

type Find = (path: Path) => { readonly index: number; readonly whole: boolean };

function finder(value: unknown, sizes: Uint32Array): Find {
  // Of each value that was looked into, so that one with many flaws is not gone through for each of them.
  const known = new Map<number, ReadonlyMap<string, number>>();
  const below = (index: number, holder: object): ReadonlyMap<string, number> => {
    const places = known.get(index) ?? placesIn(holder, index, sizes);
    known.set(index, places);
    return places;
  };
  return (path) => {
    let index = 0;
    let above = value;
    for (const key of path) {
      const next = typeof above === "object" && above !== null ? below(index, above).get(String(key)) : undefined;
      if (next === undefined) return { index, whole: false };
      index = next;
      above = Object.getOwnPropertyDescriptor(above, String(key))?.value;
    }
    return { index, whole: true };
  };
}

function placesIn(holder: object, index: number, sizes: Uint32Array): ReadonlyMap<string, number> {
  let next = index + 1;
  return new Map(
    Object.keys(holder).map((key) => {
      const here = next;
      next += sizes[here] ?? 1;
      return [key, here];
    }),
  );
}
