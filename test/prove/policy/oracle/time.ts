import { listOf, mapOf, type Plain } from "../written.ts";

/*
 * When a template can be used, with the summer times of Europe and the United States written out as their laws have them, so that no time
 * zone data is shared with what is tried.
 */

const hour = 3_600_000;

const offsets: Readonly<Record<string, (utc: number) => number>> = {
  UTC: () => 0,
  "Asia/Kolkata": () => 5.5,
  // From the last Sunday of March to the last Sunday of October, at 01:00 UTC (directive 2000/84/EC).
  "Europe/Berlin": (utc) => (within(utc, lastSunday(utc, 2) + hour, lastSunday(utc, 9) + hour) ? 2 : 1),
  // From the second Sunday of March to the first Sunday of November, at 02:00 by the clock on the wall (15 U.S.C. 260a).
  "America/New_York": (utc) => (within(utc, nthSunday(utc, 2, 2) + 7 * hour, nthSunday(utc, 10, 1) + 6 * hour) ? -4 : -5),
};

export const zones = Object.keys(offsets);

export const dayNames = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;

/** A span that goes past midnight belongs to the day on which it began. */
export function isOpen(when: Plain | undefined, now: number): boolean {
  const { days, hours = "00:00-24:00", zone } = mapOf(when);
  const local = wallClock(String(zone), now);
  const minute = local.getUTCHours() * 60 + local.getUTCMinutes();
  const [from = 0, to = 0] = String(hours).split("-").map(minutesOf);
  const [today, yesterday] = [daysOf(days).has(dayOf(local, 0)), daysOf(days).has(dayOf(local, 1))];
  if (from < to) return today && minute >= from && minute < to;
  return (today && minute >= from) || (yesterday && minute < to);
}

/** As UTC, what the clock on the wall says there. */
function wallClock(zone: string, now: number): Date {
  const offset = offsets[zone];
  if (offset === undefined) throw new Error(`the oracle does not know the zone ${zone}`);
  return new Date(now + offset(now) * hour);
}

function dayOf(local: Date, before: number): string {
  return dayNames[(local.getUTCDay() + 6 - before) % 7] ?? "mon";
}

function minutesOf(text: string): number {
  const [hours = 0, minutes = 0] = text.split(":").map(Number);
  return hours * 60 + minutes;
}

/** `mon-fri`, `[mon, wed]`, `sat-mon`. */
function daysOf(days: Plain | undefined): ReadonlySet<string> {
  if (days === undefined) return new Set(dayNames);
  return new Set(listOf(days).flatMap((item) => spanOf(String(item))));
}

function spanOf(text: string): readonly string[] {
  const [first = "", last = first] = text.split("-");
  const start = dayNames.findIndex((name) => name === first);
  const twice = [...dayNames, ...dayNames].slice(start);
  return twice.slice(0, twice.indexOf(last as (typeof dayNames)[number]) + 1);
}

function within(utc: number, from: number, to: number): boolean {
  return utc >= from && utc < to;
}

function nthSunday(utc: number, month: number, nth: number): number {
  const first = new Date(Date.UTC(new Date(utc).getUTCFullYear(), month, 1));
  return first.getTime() + (((7 - first.getUTCDay()) % 7) + (nth - 1) * 7) * 24 * hour;
}

function lastSunday(utc: number, month: number): number {
  const last = new Date(Date.UTC(new Date(utc).getUTCFullYear(), month + 1, 0));
  return last.getTime() - last.getUTCDay() * 24 * hour;
}
