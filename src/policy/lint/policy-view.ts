import type { Template } from "../policy.ts";
import { type Overlaps, overlapsOf } from "./overlap.ts";
import { member } from "./scope-view.ts";

/** What only all templates together say. */
export interface WholePolicy {
  /** The names of the templates that others extend. */
  readonly extended: ReadonlySet<string>;
  /** Asked for by two rules, and found once. */
  overlaps(): Overlaps;
}

interface Written {
  readonly template: Template<unknown, unknown>;
  readonly written: Readonly<Record<string, unknown>>;
}

export function wholePolicy(drafts: readonly Written[]): WholePolicy {
  let found: Overlaps | undefined;
  const extended = drafts.map(({ written }) => member(written, "extends")).filter((name) => typeof name === "string");
  return {
    extended: new Set(extended),
    overlaps: () => (found ??= overlapsOf(drafts.map(({ template }) => template))),
  };
}
