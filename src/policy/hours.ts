import { z } from "zod";
import type { Instant } from "../time.ts";

/** When a template can be used: `{ days: mon-fri, hours: "07:00-19:00", zone: Europe/Berlin }`. */
export interface Hours {
  /** 1 is Monday, 7 is Sunday (ISO 8601). */
  readonly days: ReadonlySet<number>;
  /** Minutes of the day, the first included and the last not; where `to` is not after `from`, the span goes on past midnight. */
  readonly from: number;
  readonly to: number;
  /** An IANA time zone: summer time moves with it. */
  readonly zone: string;
  /** As the template says it. */
  readonly expected: string;
}

const names: readonly string[] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const wholeDay = { from: 0, to: 1_440 };

const daysMessage = "write days as mon-fri, sat, or a list of those";

/** `mon-fri`, also across the week's end as in `fri-mon`, or one day. */
const daySpan = z.string(daysMessage).transform((text, context): readonly number[] => {
  const [first, last, ...more] = text.split("-").map((name) => names.indexOf(name));
  if (first === undefined || first < 0 || (last ?? 0) < 0 || more.length > 0) return flaw(context, daysMessage);
  const length = last === undefined ? 1 : ((last - first + 7) % 7) + 1;
  return Array.from({ length }, (_, index) => ((first + index) % 7) + 1);
});

const days = z
  .union([daySpan.transform((span) => [span]), z.array(daySpan).min(1, daysMessage)], daysMessage)
  .transform((spans) => new Set(spans.flat()));

const hoursMessage = 'write hours as "07:00-19:00"; "22:00-06:00" goes on past midnight';

const hours = z.string(hoursMessage).transform((text, context): { readonly from: number; readonly to: number } => {
  const [, from, to] = /^((?:[01][0-9]|2[0-3]):[0-5][0-9])-((?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)$/.exec(text) ?? [];
  if (from === undefined || to === undefined) return flaw(context, hoursMessage);
  if (from === to) return flaw(context, 'it ends as it begins: for the whole day write "00:00-24:00"');
  return { from: minutes(from), to: minutes(to) };
});

function minutes(text: string): number {
  return Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
}

/** An offset such as `+01:00` is none: it would be an hour off for half of the year, and nobody would see it. */
const zone = z.string("name a time zone, such as Europe/Berlin").refine((text) => {
  if (!/^[A-Za-z]/.test(text)) return false;
  try {
    return formatter(text) !== undefined;
  } catch {
    return false;
  }
}, "name a time zone as IANA does, such as Europe/Berlin or UTC");

/** `when`, read. `days` left out: every day; `hours` left out: all day. The zone is never guessed. */
export const hoursSchema = z
  .strictObject(
    { days: days.optional(), hours: hours.optional(), zone },
    { error: ({ code }) => (code === "invalid_type" ? "write days, hours and a zone" : undefined) },
  )
  .refine((when) => when.days !== undefined || when.hours !== undefined, "name days or hours, or leave 'when' out")
  .transform((when): Hours => {
    const span = when.hours ?? wholeDay;
    const held = when.days ?? new Set(names.map((_, index) => index + 1));
    return { days: held, ...span, zone: when.zone, expected: `${daysText(held)} ${spanText(span)} ${when.zone}` };
  });

function flaw(context: { addIssue(issue: { code: "custom"; message: string }): void }, message: string): never {
  context.addIssue({ code: "custom", message });
  return z.NEVER;
}

function daysText(held: ReadonlySet<number>): string {
  return names.filter((_, index) => held.has(index + 1)).join(",");
}

function spanText({ from, to }: Pick<Hours, "from" | "to">): string {
  return `${clockText(from)}-${clockText(to)}`;
}

function clockText(minute: number): string {
  return [Math.floor(minute / 60), minute % 60].map((part) => String(part).padStart(2, "0")).join(":");
}

/** By the clock on the wall there: the hour that summer time repeats is within twice. What is left of a night belongs to the day on which it began. */
export function isWithin({ days: held, from, to, zone: there }: Hours, instant: Instant): boolean {
  const { day, minute } = wallClock(there, instant);
  if (from < to) return held.has(day) && minute >= from && minute < to;
  const eve = day === 1 ? 7 : day - 1;
  return (held.has(day) && minute >= from) || (held.has(eve) && minute < to);
}

/** `tue 20:14 Europe/Berlin`. */
export function localTime(there: string, instant: Instant): string {
  const { day, minute } = wallClock(there, instant);
  return `${names[day - 1]} ${clockText(minute)} ${there}`;
}

function wallClock(there: string, instant: Instant): { readonly day: number; readonly minute: number } {
  const parts = new Map(
    formatter(there)
      .formatToParts(instant)
      .map(({ type, value }) => [type, value]),
  );
  const day = names.indexOf((parts.get("weekday") ?? "").toLowerCase()) + 1;
  return { day, minute: Number(parts.get("hour")) * 60 + Number(parts.get("minute")) };
}

/** One costs a hundred times what using it does. Only zones that exist come in here, so there are some hundreds at most. */
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(there: string): Intl.DateTimeFormat {
  const known = formatters.get(there);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat("en-US", {
    timeZone: there,
    calendar: "gregory",
    numberingSystem: "latn",
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  formatters.set(there, made);
  return made;
}
