import { slotsOf } from "../slots.ts";
import type { Finding, Linted } from "./rule.ts";
import { credentialsOf } from "./run-view.ts";
import { scopeTexts } from "./scope-view.ts";

/** For each claim that fills a slot of a credential, once, where it first stands. */
export function slotFindings(linted: Linted, judge: (claim: string) => Omit<Finding, "path"> | undefined): readonly Finding[] {
  return credentialsOf(linted).flatMap(({ name, options }) => {
    const claims = [...new Set(slotsOf(options))];
    const places = claims.length === 0 ? undefined : placesOf(linted, name);
    return claims.flatMap((claim) => {
      const judged = judge(claim);
      return judged === undefined ? [] : [{ path: places?.get(claim) ?? ["credentials", name], ...judged }];
    });
  });
}

function placesOf(linted: Linted, credential: string): ReadonlyMap<string, Finding["path"]> {
  const places = new Map<string, Finding["path"]>();
  for (const { path, text } of scopeTexts(linted, credential))
    for (const [, claim = ""] of text.matchAll(/\{([^{}]*)\}/g)) if (!places.has(claim)) places.set(claim, path);
  return places;
}
