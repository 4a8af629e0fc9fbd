import type { ProofRequest } from "../../../scripts/prove.ts";
import type { Subject } from "./subject.ts";

/** What one part of the proof found. */
export interface Found {
  /** A clause of the claim, with its counts. */
  readonly claim: string;
  readonly held: boolean;
  readonly figures: Readonly<Record<string, number | string>>;
}

/** What a part is given: the request, and what it is tried on. */
export interface Trial extends Pick<ProofRequest, "size" | "random" | "note"> {
  /** The room of policy as it is, or in a sabotaged run with one fault built in. */
  readonly subject: Subject;
}

export type Part = (trial: Trial) => Found | Promise<Found>;

/** What went wrong so far: all of it is counted, and the first few of each kind are told to a person. */
export class Wrong {
  readonly #note: (line: string) => void;
  readonly #counts = new Map<string, number>();

  constructor({ note }: Pick<Trial, "note">) {
    this.#note = note;
  }

  add(kind: string, about: () => string): void {
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    if (count <= 3) this.#note(`${kind}: ${about()}`);
  }

  count(...kinds: readonly string[]): number {
    return [...this.#counts].reduce((sum, [kind, count]) => sum + (kinds.length === 0 || kinds.includes(kind) ? count : 0), 0);
  }
}

export function inWords(number: number): string {
  return number.toLocaleString("en-US");
}
