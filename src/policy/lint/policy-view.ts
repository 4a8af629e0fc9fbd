import type { Stepwise } from "../language/stepwise.ts";
import type { Template } from "../policy.ts";
import type { Rooms } from "../rooms.ts";
import { type Overlaps, overlapsOf } from "./overlap.ts";
import { member } from "./scope-view.ts";
import { issuersOf } from "./who-view.ts";

/** What only all templates together say. */
export interface WholePolicy {
  /** The names of the templates that others extend. */
  readonly extended: ReadonlySet<string>;
  readonly overlaps: Overlaps;
}

interface Written {
  readonly template: Template<unknown, unknown>;
  readonly written: Readonly<Record<string, unknown>>;
}

export function* wholePolicy(drafts: readonly Written[], rooms: Rooms<unknown, unknown>): Stepwise<WholePolicy> {
  const extended = drafts.map(({ written }) => member(written, "extends")).filter((name) => typeof name === "string");
  const templates = drafts.map(({ template }) => template);
  const listsOf = ({ who }: Pick<Template<unknown, unknown>, "who">) => issuersOf(who, rooms).flatMap(({ lists }) => lists);
  return { extended: new Set(extended), overlaps: yield* overlapsOf(templates, listsOf) };
}
