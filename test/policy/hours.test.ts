import { describe, expect, it } from "vitest";
import { type Hours, hoursSchema, isWithin, localTime } from "../../src/policy/hours.ts";

const office = { days: "mon-fri", hours: "07:00-19:00", zone: "Europe/Berlin" };

function within(when: unknown, at: string): boolean {
  return isWithin(hoursSchema.parse(when), Date.parse(at));
}

describe("hours as a template writes them", () => {
  it.each<[string, unknown, Partial<Hours>]>([
    ["a span of days", office, { days: new Set([1, 2, 3, 4, 5]), from: 420, to: 1_140, zone: "Europe/Berlin" }],
    ["days one by one", { ...office, days: ["mon", "wed"] }, { days: new Set([1, 3]) }],
    ["spans and days together", { ...office, days: ["mon-tue", "sun"] }, { days: new Set([1, 2, 7]) }],
    ["a span across the week's end", { ...office, days: "sat-mon" }, { days: new Set([6, 7, 1]) }],
    ["one day", { ...office, days: "sat" }, { days: new Set([6]) }],
    ["no days: every day", { hours: "07:00-19:00", zone: "UTC" }, { days: new Set([1, 2, 3, 4, 5, 6, 7]) }],
    ["no hours: all day", { days: "mon", zone: "UTC" }, { from: 0, to: 1_440, expected: "mon 00:00-24:00 UTC" }],
    ["what it says, for those who may see it", office, { expected: "mon,tue,wed,thu,fri 07:00-19:00 Europe/Berlin" }],
  ])("%s", (_, when, hours) => {
    expect(hoursSchema.parse(when)).toMatchObject(hours);
  });

  it.each<[string, unknown, string]>([
    ["a day that is none", { ...office, days: "mon-day" }, "write days as mon-fri, sat, or a list of those"],
    ["a day in capitals", { ...office, days: "Mon" }, "write days as mon-fri"],
    ["no day in the list", { ...office, days: [] }, "write days as mon-fri"],
    ["three days in one span", { ...office, days: "mon-tue-wed" }, "write days as mon-fri"],
    ["an hour that is none", { ...office, hours: "7-19" }, 'write hours as "07:00-19:00"'],
    ["a minute past the day", { ...office, hours: "07:00-24:01" }, 'write hours as "07:00-19:00"'],
    ["a begin at 24:00", { ...office, hours: "24:00-07:00" }, 'write hours as "07:00-19:00"'],
    ["a span of nothing, or of everything", { ...office, hours: "07:00-07:00" }, 'for the whole day write "00:00-24:00"'],
    ["hours that YAML read as a number", { ...office, hours: 25_200 }, 'write hours as "07:00-19:00"'],
    ["a zone that is none", { ...office, zone: "Europe/Berlim" }, "name a time zone as IANA does"],
    ["an offset, which knows no summer time", { ...office, zone: "+01:00" }, "name a time zone as IANA does"],
    ["no zone", { days: "mon", hours: "07:00-19:00" }, "name a time zone, such as Europe/Berlin"],
    ["a zone alone", { zone: "UTC" }, "name days or hours"],
    ["a key that is none", { ...office, until: "x" }, "Unrecognized key"],
    ["a text", "mon-fri", "write days, hours and a zone"],
  ])("%s does not load", (_, when, message) => {
    expect(
      hoursSchema
        .safeParse(when)
        .error?.issues.map((issue) => issue.message)
        .join(),
    ).toContain(message);
  });
});

/** 2026-01-05 is a Monday. In Berlin, summer time begins on 2026-03-29 at 01:00Z and ends on 2026-10-25 at 01:00Z, both Sundays. */
describe("a time within them", () => {
  const night = { days: "fri", hours: "22:00-06:00", zone: "Europe/Berlin" };
  const sunday = { days: "sun", zone: "Europe/Berlin" };
  it.each<[string, unknown, string]>([
    ["the first minute", office, "2026-01-05T06:00:00Z"],
    ["the last millisecond", office, "2026-01-05T17:59:59.999Z"],
    ["in summer, an hour earlier by the sun", office, "2026-07-06T05:00:00Z"],
    ["Friday night", night, "2026-01-09T21:00:00Z"],
    ["what is left of Friday's night, on Saturday", night, "2026-01-10T04:59:00Z"],
    ["Sunday's night, on Monday", { ...night, days: "sun" }, "2026-01-12T03:00:00Z"],
    ["the hour that comes twice, the first time", { ...sunday, hours: "02:00-03:00" }, "2026-10-25T00:30:00Z"],
    ["the hour that comes twice, the second time", { ...sunday, hours: "02:00-03:00" }, "2026-10-25T01:30:00Z"],
    ["right after the hour that is left out", { ...sunday, hours: "02:30-03:30" }, "2026-03-29T01:00:00Z"],
    ["another day elsewhere", { days: "tue", zone: "Pacific/Auckland" }, "2026-01-05T12:00:00Z"],
    ["until midnight", { days: "mon", hours: "22:00-24:00", zone: "UTC" }, "2026-01-05T23:59:59Z"],
    ["until midnight, written as 00:00", { days: "mon", hours: "22:00-00:00", zone: "UTC" }, "2026-01-05T23:59:59Z"],
    ["midnight itself", { days: "mon", zone: "UTC" }, "2026-01-05T00:00:00Z"],
    ["a zone half an hour off", { days: "mon", hours: "05:30-05:31", zone: "Asia/Kolkata" }, "2026-01-05T00:00:00Z"],
  ])("%s", (_, when, at) => {
    expect(within(when, at)).toBe(true);
  });

  it.each<[string, unknown, string]>([
    ["a millisecond early", office, "2026-01-05T05:59:59.999Z"],
    ["the end", office, "2026-01-05T18:00:00Z"],
    ["winter's end, in summer", office, "2026-07-06T17:30:00Z"],
    ["Saturday", office, "2026-01-10T10:00:00Z"],
    ["Friday's small hours, which are Thursday's night", night, "2026-01-09T03:00:00Z"],
    ["Saturday night", night, "2026-01-10T22:00:00Z"],
    ["the end of the night", night, "2026-01-10T05:00:00Z"],
    ["Monday's small hours, where the night is Saturday's", { ...night, days: "sat" }, "2026-01-12T03:00:00Z"],
    ["the hour after the one that comes twice", { ...sunday, hours: "02:00-03:00" }, "2026-10-25T02:00:00Z"],
    ["nothing at all of an hour that is left out", { ...sunday, hours: "02:00-03:00" }, "2026-03-29T01:30:00Z"],
    ["the same day elsewhere", { days: "mon", zone: "Pacific/Auckland" }, "2026-01-05T12:00:00Z"],
    ["midnight, which is the next day's", { days: "mon", hours: "22:00-00:00", zone: "UTC" }, "2026-01-06T00:00:00Z"],
  ])("%s is not", (_, when, at) => {
    expect(within(when, at)).toBe(false);
  });

  it("is told as the clock on the wall shows it", () => {
    expect(localTime("Europe/Berlin", Date.parse("2026-07-06T22:30:00Z"))).toBe("tue 00:30 Europe/Berlin");
  });

  it("every minute of a year agrees with the offset that the zone has then", () => {
    const hours = hoursSchema.parse({ days: "mon-fri", hours: "22:15-06:45", zone: "America/New_York" });
    const offset = new Intl.DateTimeFormat("en-US", { timeZone: "America/New_York", timeZoneName: "longOffset" });
    for (let at = Date.parse("2026-01-01T00:00:00Z"); at < Date.parse("2027-01-01T00:00:00Z"); at += 17 * 60_000) {
      const name = offset.formatToParts(at).find(({ type }) => type === "timeZoneName")?.value ?? "";
      const wall = new Date(at - Number(name.slice(4, 6)) * 3_600_000);
      const minute = wall.getUTCHours() * 60 + wall.getUTCMinutes();
      const began = minute < 405 ? (wall.getUTCDay() + 6) % 7 : wall.getUTCDay();
      const obvious = (minute >= 1_335 || minute < 405) && began >= 1 && began <= 5;
      expect(isWithin(hours, at), new Date(at).toISOString()).toBe(obvious);
    }
  });
});
