import { pick, type Random } from "../identity/chance.ts";
import { chance } from "./chance.ts";
import { dayNames, zones } from "./oracle/time.ts";
import type { Plain, Written } from "./written.ts";

/** Hours of any kind: by day, past midnight, over the week's end, in a zone with summer time or without. */
export function randomWhen(random: Random): Written {
  const days = pick<Plain>(random, ["mon-fri", ["mon", "wed"], "fri-mon", "sat", [...dayNames]]);
  const hours = pick(random, ["07:00-19:00", "22:00-06:00", "00:00-24:00", "09:30-12:15", "23:59-00:01"]);
  const keys = chance(random, 0.5) ? { days, hours } : chance(random, 0.5) ? { days } : { hours };
  return { ...keys, zone: pick(random, zones) };
}
