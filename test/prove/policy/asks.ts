import type { Ask } from "../../../src/policy/decide.ts";
import { pick, type Random, whole } from "../identity/chance.ts";
import { chance } from "./chance.ts";
import { near } from "./identities.ts";
import type { Final } from "./oracle/final.ts";

/** Somewhere in the months in which these templates' dates and both changes of summer time lie. */
function randomMoment(random: Random): number {
  return Date.UTC(2026, pick(random, [2, 9, 10, 10, 11, 12]), 1) + whole(random, 31 * 86_400) * 1_000;
}

/** What somebody close to one of these templates asks for: most often what it gives, and now and then something that it does not. */
export function randomAsk(finals: readonly Final[], random: Random): Ask {
  const meant = finals.length === 0 ? undefined : pick(random, finals);
  const steps = [...(meant?.steps.keys() ?? [])];
  const step = steps.length > 0 && chance(random, 0.92) ? pick(random, steps) : chance(random, 0.05) ? "nosuch" : undefined;
  const pinned = meant?.steps.get(step ?? "")?.run?.map(String);
  return {
    identity: near(meant?.whos ?? [], random),
    template: chance(random, 0.5) ? undefined : chance(random, 0.03) ? "nosuch" : meant?.name,
    step,
    command: chance(random, 0.1) ? [] : pinned !== undefined && chance(random, 0.8) ? pinned : ["make", "all"],
    now: randomMoment(random),
  };
}
