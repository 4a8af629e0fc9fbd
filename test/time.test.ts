import { describe, expect, test } from "vitest";
import { duration } from "../src/duration.ts";
import { systemClock, within } from "../src/time.ts";

describe("durations as operators write them", () => {
  test.each([
    ["250ms", 250],
    ["90s", 90_000],
    ["15m", 900_000],
    ["12h", 43_200_000],
    ["7d", 604_800_000],
  ])("%s is %d ms", (text, expected) => {
    expect(duration.parse(text)).toBe(expected);
  });

  test.each(["90", "0s", "1.5h", "-1s", "1 h", "1H", "1w", "", "s", "1s2m", "01s", "9999999999s"])(
    "%j is refused, with what to write instead",
    (text) => {
      expect(duration.safeParse(text).error?.issues[0]?.message).toMatch(/^write a duration as a whole number and a unit: /);
    },
  );
});

describe("the clock", () => {
  test("tells the wall time, and a time that never goes back", () => {
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(50);
    const [earlier, later] = [systemClock.monotonic(), systemClock.monotonic()];
    expect(later).toBeGreaterThanOrEqual(earlier);
  });

  test("sleeps as long as it was told", async () => {
    const from = performance.now();
    await systemClock.sleep(30);
    expect(performance.now() - from).toBeGreaterThan(25);
  });

  test("a sleep ends at once when it is aborted, even one longer than Node's longest timer", async () => {
    const abort = new AbortController();
    const sleeping = systemClock.sleep(2 ** 40, abort.signal);
    abort.abort(new Error("stop"));
    await expect(sleeping).rejects.toThrow(expect.objectContaining({ name: "AbortError" }));
  });
});

describe("within a span", () => {
  const never = new Promise<string>(() => undefined);

  test.each<[string, Promise<string>, string]>([
    ["work that is done in time gives its own", Promise.resolve("done"), "done"],
    ["work that is late is not waited for", never, "late"],
  ])("%s", async (_, work, expected) => {
    expect(await within(systemClock, 20, work, () => "late")).toBe(expected);
  });

  test("work that fails in time fails", async () => {
    await expect(within(systemClock, 1_000, Promise.reject(new Error("no")), () => "late")).rejects.toThrow("no");
  });

  test("work that fails late is heard: no unhandled rejection ends the process", async () => {
    const failing = systemClock.sleep(20).then(() => Promise.reject(new Error("too late")));
    expect(await within(systemClock, 5, failing, () => "late")).toBe("late");
    await systemClock.sleep(30);
  });

  test("no timer is left behind that would keep a finished process alive", async () => {
    const waiting = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    const before = waiting();
    await within(systemClock, 60_000, Promise.resolve(1), () => 2);
    expect(waiting()).toBeLessThanOrEqual(before);
  });
});
