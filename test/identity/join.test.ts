import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { joined } from "../../src/identity/join.ts";

describe("joined", () => {
  it.each<[readonly string[], string]>([
    [["github", "456789"], "github:456789"],
    [["a:b", "c"], "a%3Ab:c"],
    [["a", "b:c"], "a:b%3Ac"],
    [["a%3Ab"], "a%253Ab"],
  ])("%j is %s", (parts, text) => {
    expect(joined(parts)).toBe(text);
  });

  it("never gives one text for two lists of the same length", () => {
    const parts = fc.array(fc.string({ unit: fc.constantFrom(..."ab:%3A") }), { minLength: 2, maxLength: 3 });
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        fc.pre(JSON.stringify(one) !== JSON.stringify(other));
        expect(joined(one)).not.toBe(joined(other));
      }),
      { numRuns: 10_000 },
    );
  });
});
