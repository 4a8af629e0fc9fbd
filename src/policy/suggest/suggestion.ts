import type { Duration } from "../../time.ts";
import type { Template } from "../policy.ts";
import type { Edit } from "./edit.ts";
import type { Usage } from "./usage.ts";

/** Fewer runs say nothing about the next one. */
export const fewestRuns = 10;

/** One thing that the recorded runs say about a template. */
export interface Point {
  /** Where in the template: `credentials.aws.ttl`. */
  readonly key: string;
  readonly evidence: string;
  /** As it is, and as it could be; undefined where the evidence is all there is. */
  readonly before?: string;
  readonly after?: string;
  readonly edits?: readonly Edit[];
}

export interface Subject<I> {
  /** The file's text. */
  readonly text: string;
  /** What it became: one template, or one for each entry of `for_each`. At least one. */
  readonly templates: readonly Template<unknown, I>[];
  readonly usage: Usage;
  readonly limits: (isolation: I) => { readonly timeout: Duration; readonly memory: number };
}

export function runsText(count: number): string {
  return count === 1 ? "1 run" : `${count} runs`;
}
