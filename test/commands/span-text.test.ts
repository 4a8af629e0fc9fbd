import { expect, test } from "vitest";
import { spanText } from "../../src/commands/span-text.ts";

test.each([
  [0, "0s"],
  [999, "0s"],
  [45_900, "45s"],
  [60_000, "1m"],
  [270_000, "4m30s"],
  [3_600_000, "1h"],
  [3_605_000, "1h"],
  [86_400_000 * 2 + 3_600_000 * 3 + 59_000, "2d3h"],
  [86_400_000 * 1_500, "1500d"],
])("%i ms are %s", (span, text) => expect(spanText(span)).toBe(text));
