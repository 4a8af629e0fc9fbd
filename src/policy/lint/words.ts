import { distance } from "../language/nearest.ts";
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
    .map((other) => ({ other, far: distance(plain(word), plain(other)) }))
    .filter(({ far }) => far <= most)
    .toSorted((a, b) => a.far - b.far);
  return near[0]?.other;
}

/** `-` for `_` and another case are slips of their own kind. */
function plain(word: string): string {
  return word.toLowerCase().replaceAll("-", "_");
}
