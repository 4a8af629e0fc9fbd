import { getEventListeners } from "node:events";
import { expect, it } from "vitest";
import { bounded } from "../../src/lease/bounded.ts";
import { systemClock } from "../../src/time.ts";

it("leaves nobody listening once the work is done, since such a signal is never collected", async () => {
  const seen: AbortSignal[] = [];
  const work = (signal: AbortSignal): Promise<string> => {
    seen.push(signal);
    return Promise.resolve("done");
  };
  expect(await bounded(systemClock, 1_000, new AbortController().signal, work)).toBe("done");
  expect(seen.map((signal) => getEventListeners(signal, "abort").length)).toEqual([0]);
});
