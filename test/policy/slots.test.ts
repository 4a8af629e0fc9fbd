import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import { fill, type SlotKind, slot, slotKinds, slotsOf } from "../../src/policy/slots.ts";

const parse = (kind: SlotKind, text: string) => slot(kind).parse(text);

describe("filling slots", () => {
  it("at any depth, and nothing else changes", () => {
    const options = {
      path: parse("path-segment", "a/{x}/b"),
      deep: [{ name: parse("name", "{y}") }],
      plain: "{x}",
      n: 1,
      none: null,
    };
    expect(fill(options, { x: "1", y: "two" })).toEqual({
      path: "a/1/b",
      deep: [{ name: "two" }],
      plain: "{x}",
      n: 1,
      none: null,
    });
    expect(slotsOf(options)).toEqual(["x", "y"]);
  });

  it.each<[SlotKind, unknown]>([
    ["path-segment", "a/b"],
    ["path-segment", ".."],
    ["path-segment", "."],
    ["path-segment", ""],
    ["path-segment", "a b"],
    ["path-segment", "%2e%2e"],
    ["path-segment", "a\0"],
    ["path-segment", "．．"],
    ["path-segment", ["a"]],
    ["path-segment", true],
    ["path-segment", undefined],
    ["name", "-rf"],
    ["name", ".hidden"],
    ["name", "a".repeat(64)],
    ["name", "a\n"],
  ])("a %s takes no %j", (kind, value) => {
    const options = parse(kind, "x/{claim}");
    expect(() => fill(options, { claim: value })).toThrow(
      new BrokerError("slot-unfillable", `the claim claim cannot fill its slot, which takes a ${kind}`),
    );
  });

  it("a claim that every object inherits is absent", () => {
    expect(() => fill(parse("name", "{constructor}"), {})).toThrow("the claim constructor cannot fill its slot");
    const claims = Object.setPrototypeOf({}, { inherited: "x" }) as Record<string, unknown>;
    expect(() => fill(parse("name", "{inherited}"), claims)).toThrow("the claim inherited cannot fill its slot");
  });

  it("a value with a slot in it is not filled again", () => {
    expect(() => fill(parse("path-segment", "{a}"), { a: "{b}", b: "x" })).toThrow("the claim a cannot fill its slot");
  });

  it.each<[string, string]>([
    ["{a}{b}", "two slots need a character between them"],
    ["{a}-{b}", "two slots need a character between them"],
    ["{a}/x/{b}{c}", "two slots need a character between them"],
    ["{", "a slot is written {claim}"],
    ["}", "a slot is written {claim}"],
    ["{1}", "a slot is written {claim}"],
    ["{a b}", "a slot is written {claim}"],
    ["{{a}}", "a slot is written {claim}"],
    ["{}", "a slot is written {claim}"],
    ["{each.x}", "needs for_each"],
    ["", "Too small"],
  ])("%j does not load", (text, why) => {
    expect(slot("path-segment").safeParse(text).error?.issues[0]?.message).toContain(why);
  });

  it("never changes how many segments a path has, and two claims never merge", () => {
    const value = fc.string({ unit: fc.constantFrom(..."ab./-%*") });
    const path = parse("path-segment", "secret/{a}/{b}/x");
    const filled = (a: string, b: string) => {
      try {
        return fill(path, { a, b });
      } catch {
        return undefined;
      }
    };
    fc.assert(
      fc.property(value, value, value, value, (a, b, c, d) => {
        const one = filled(a, b);
        if (one === undefined) return;
        expect(one.split("/")).toHaveLength(4);
        if (a !== c || b !== d) expect(filled(c, d)).not.toBe(one);
      }),
      { numRuns: 10_000 },
    );
  });

  it("no kind takes what a shell, a glob, a URL or a template would act on", () => {
    for (const kind of Object.values(slotKinds))
      for (const value of [
        "*",
        "?",
        "a b",
        "a;b",
        "$x",
        "${x}",
        "{x}",
        '"',
        "'",
        "\\",
        "a\n",
        "#",
        "&",
        ",",
        "|",
        "<",
        "~/x",
        "a:b",
      ])
        expect(kind.test(value), value).toBe(false);
  });
});
