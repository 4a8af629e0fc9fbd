import type { ProofRequest } from "../../../scripts/prove.ts";
import type { MakeVerifier } from "../../identity/bad-tokens/stage.ts";

/** What one part of the proof found. */
export interface Found {
  /** A clause of the claim, with its counts. */
  readonly claim: string;
  readonly held: boolean;
  readonly figures: Readonly<Record<string, number | string>>;
  /** Tokens that this part tried and that had to be refused, and those of them that were accepted. */
  readonly bad?: number;
  readonly accepted?: number;
  /** Tokens that had to be accepted, and those of them that were. */
  readonly controls?: number;
  readonly controlsAccepted?: number;
}

/** What a part is given: the request, with what it is to try. */
export interface Trial extends Pick<ProofRequest, "size" | "random" | "note"> {
  /** Ours, or in a sabotaged run one that lacks a guard. */
  readonly makeVerifier: MakeVerifier;
  /** In a sabotaged run, what is taken out beside the verifier. */
  readonly sabotage: string | undefined;
}

export type Part = (trial: Trial) => Promise<Found>;

/** The first few, for a person: a proof that fails must say on what. */
export function say(trial: Trial, what: string, wrong: readonly string[]): void {
  for (const one of wrong.slice(0, 10)) trial.note(`${what}: ${one}`);
  if (wrong.length > 10) trial.note(`${what}: and ${wrong.length - 10} more`);
}
