import type { Path } from "../language/document.ts";
import { own, plainOf } from "../language/plain.ts";
import type { Linted } from "./rule.ts";

/** A text in what a credential asks of its provider, slots and all. */
export interface ScopeText {
  readonly path: Path;
  readonly text: string;
}

/** Every text in the options of one credential, in the template's final form. */
export function scopeTexts(linted: Linted, credential: string): readonly ScopeText[] {
  return textsIn(scopeOf(linted, credential), ["credentials", credential]);
}

/** What the author wrote for it, after `extends` and `for_each`; what Mayfly itself reads of a credential is left out. */
export function scopeOf({ template, written }: Linted, credential: string): unknown {
  const whole = member(member(template.expanded, "credentials") ?? member(written, "credentials"), credential);
  if (typeof whole !== "object" || whole === null) return undefined;
  return Object.fromEntries(Object.entries(whole).filter(([key]) => !ours.includes(key)));
}

const ours = ["provider", "ttl", "wait", "optional", "deliver"];

function textsIn(value: unknown, path: Path): readonly ScopeText[] {
  if (typeof value === "string") return [{ path, text: value }];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) =>
    textsIn(inner, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}

/** A part of a file's plain value; undefined where it is not there. */
export function member(value: unknown, key: string): unknown {
  return own(plainOf(value), key);
}
