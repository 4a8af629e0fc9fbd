import type { Question } from "./question.ts";

/** A policy in Rego, wherever it is evaluated. */
export interface Rego {
  /** What tells its decisions from those of another: the first digits of the bundle's digest, or undefined for a server. */
  readonly version: string | undefined;
  /** Rejects where no answer came, in our words or the system's: for the operator alone. */
  ask(question: Question, signal: AbortSignal): Promise<Said>;
}

export interface Said {
  /** What the rule gave; undefined where no rule held. Not checked yet. */
  readonly result: unknown;
  /** The server's own id of this decision, where it logs its decisions. */
  readonly id: string | undefined;
}
