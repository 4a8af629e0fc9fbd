import type { Path } from "./document.ts";

/** One entry of `for_each`, or none of them. */
export type Variables = Readonly<Record<string, string>>;

const spelling = /\{each\.([a-z0-9][a-z0-9_-]*)\}/g;

/** Whether anything in it looks like an `{each.…}`, in a key too. */
export function mentionsEach(value: unknown): boolean {
  if (typeof value === "string") return value.includes("{") && looksFilled.test(value);
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.some(mentionsEach);
  return Object.entries(value).some(([key, item]: [string, unknown]) => looksFilled.test(key) || mentionsEach(item));
}

/** A claim may be called `each-team`. */
const looksFilled = /\{\s*each[.\s][^}]*\}?/i;

/** The variables that a text names, as often as it does. */
export function namedIn(text: string): readonly string[] {
  return [...text.matchAll(spelling)].flatMap(([, name]) => name ?? []);
}

/** What was put in, and how many characters still can be: a short text, written often, would be filled to gigabytes. */
export interface Filling {
  readonly used: Set<string>;
  left: number;
}

/** With each `{each.NAME}` in a text replaced, as long as there is room. What no variable fills stays as it is, and a part without any is not copied. */
export function fillEach(value: unknown, variables: Variables, filling: Filling): unknown {
  if (Object.keys(variables).length === 0) return value;
  if (typeof value === "string") return fillText(value, variables, filling);
  if (Array.isArray(value)) {
    const filled = value.map((item: unknown) => fillEach(item, variables, filling));
    return filled.some((item, index) => item !== value[index]) ? filled : value;
  }
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, item]: [string, unknown]) => {
    const filled = fillEach(item, variables, filling);
    return { key, filled, changed: filled !== item };
  });
  return entries.some(({ changed }) => changed) ? Object.fromEntries(entries.map(({ key, filled }) => [key, filled])) : value;
}

/** No value holds a brace, so what was put in is never read again. */
function fillText(text: string, variables: Variables, filling: Filling): string {
  if (!text.includes("{each.")) return text;
  return text.replaceAll(spelling, (whole, name: string) => {
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
    if (value === undefined) return whole;
    filling.used.add(name);
    filling.left -= value.length;
    return filling.left < 0 ? whole : value;
  });
}

export interface Unfilled {
  readonly path: Path;
  /** `each.account` as it is spelled there, or the whole key. */
  readonly spelled: string;
}

/** Where an `{each.…}` is left, also one that is misspelled or stands in a key: it would be taken for what it says. */
export function unfilledIn(value: unknown, path: Path = []): readonly Unfilled[] {
  if (typeof value === "string") return unfilledText(value, path);
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return value.flatMap((item: unknown, index) => unfilledIn(item, [...path, index]));
  return Object.entries(value).flatMap(([key, item]: [string, unknown]) => [
    ...unfilledText(key, [...path, key]),
    ...unfilledIn(item, [...path, key]),
  ]);
}

function unfilledText(text: string, path: Path): readonly Unfilled[] {
  const [found] = looksFilled.exec(text) ?? [];
  return found === undefined ? [] : [{ path, spelled: found }];
}
