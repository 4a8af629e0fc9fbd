import type { Ask } from "../../../src/policy/decide.ts";
import { pick, type Random, whole } from "../identity/chance.ts";
import { chance, some } from "./chance.ts";
import { near } from "./identities.ts";
import type { Final, FinalStep } from "./oracle/final.ts";

/** Somewhere in the months in which these templates' dates and both changes of summer time lie. */
function randomMoment(random: Random): number {
  return Date.UTC(2026, pick(random, [2, 9, 10, 10, 11, 12]), 1) + whole(random, 31 * 86_400) * 1_000;
}

/** What somebody close to one of these templates asks for: most often what it gives, and now and then something that it does not. */
export function randomAsk(finals: readonly Final[], random: Random): Ask {
  const [meant] = some(random, finals, [1, 1]);
  const { whos, steps, name } = meant ?? { whos: [], steps: new Map<string, FinalStep>(), name: undefined };
  const step = randomStep([...steps.keys()], random);
  return {
    identity: near(whos, random),
    template: pick(random, [undefined, name, name, undefined, chance(random, 0.1) ? "nosuch" : name]),
    step,
    command: randomCommand(steps.get(step ?? "")?.run?.map(String), random),
    now: randomMoment(random),
  };
}

function randomStep(steps: readonly string[], random: Random): string | undefined {
  if (steps.length > 0 && chance(random, 0.92)) return pick(random, steps);
  return chance(random, 0.05) ? "nosuch" : undefined;
}

function randomCommand(pinned: readonly string[] | undefined, random: Random): readonly string[] {
  if (chance(random, 0.1)) return [];
  return pinned !== undefined && chance(random, 0.8) ? pinned : ["make", "all"];
}
