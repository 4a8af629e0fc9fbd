import type { Linted } from "./rule.ts";
import { credentialsOf } from "./run-view.ts";
import { scopeTexts } from "./scope-view.ts";
import { asking, patternText } from "./who-view.ts";

const production = /(?:^|[^a-z0-9])(?:prod|production|prd)(?:$|[^a-z0-9])/i;
const lesser = /(?:^|[^a-z0-9])(?:dev|development|test|tests|testing|staging|stage|preview|qa)(?:$|[^a-z0-9])/i;

export function saysProduction(text: string): boolean {
  return production.test(text);
}

/** A word for what production is not. */
export function saysLesser(text: string): boolean {
  return lesser.test(text) && !production.test(text);
}

/** The word by which a template is for production: its name, its environment, or what its credentials are for. */
export function productionWord(linted: Linted): string | undefined {
  const texts = [
    linted.template.name,
    ...asking(linted, "environment", "deployment_tier").flatMap(({ patterns }) => patterns.map(patternText)),
    ...credentialsOf(linted).flatMap(({ name }) => [name, ...scopeTexts(linted, name).map(({ text }) => text)]),
  ];
  return texts.find(saysProduction);
}

/**
 * The nearest of these words where no more than a slip of the hand lies between; undefined where the word itself is one, or none is so near.
 * Stricter than `nearest`, which only has to be helpful: what this finds does not load.
 */
export function slipOf(word: string, words: readonly string[]): string | undefined {
  if (words.includes(word)) return undefined;
  const most = word.length < 5 ? 1 : 2;
  const near = words
    .filter((other) => Math.abs(other.length - word.length) <= most)
    .map((other) => ({ other, distance: distanceOf(word, other) }))
    .filter(({ distance }) => distance <= most)
    .toSorted((a, b) => a.distance - b.distance);
  return near[0]?.other;
}

/** Levenshtein's, where a swap of neighbours counts once, and so does another case or `-` for `_`. */
function distanceOf(one: string, other: string): number {
  const [a, b] = [one, other].map((text) => text.toLowerCase().replaceAll("-", "_"));
  if (a === undefined || b === undefined || a === b) return one === other ? 0 : 1;
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= a.length; row += 1) rows.push(nextRow(a, b, rows));
  return rows.at(-1)?.at(-1) ?? 0;
}

function nextRow(a: string, b: string, rows: readonly (readonly number[])[]): number[] {
  const row = rows.length;
  const above = rows[row - 1] ?? [];
  const current = [row];
  for (let column = 1; column <= b.length; column += 1) {
    const replaced = (above[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
    const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
    const before = swapped ? (rows[row - 2]?.[column - 2] ?? replaced) + 1 : replaced;
    current.push(Math.min(replaced, before, (above[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
  }
  return current;
}
