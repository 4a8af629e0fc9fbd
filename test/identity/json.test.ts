import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JsonRefused, readJson } from "../../src/identity/json.ts";

const read = (text: string) => readJson(Buffer.from(text));

function reason(text: string | Uint8Array): string {
  try {
    readJson(Buffer.from(text));
  } catch (error) {
    if (error instanceof JsonRefused) return error.message;
    throw error;
  }
  return "was read";
}

const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;

describe("strict JSON", () => {
  it.each<[string, string, unknown]>([
    ["an empty object", "{}", {}],
    ["space everywhere", ' {\t"a" :\r\n[ 1 , 2 ] } ', { a: [1, 2] }],
    ["escapes", '"\\u00e9\\"\\\\\\/"', 'é"\\/'],
    ["a surrogate pair, escaped", '"\\ud83d\\ude00"', "😀"],
    ["a negative exponent", "-1.5e-2", -0.015],
    ["the largest exact number", "9007199254740991", 9_007_199_254_740_991],
    ["words", "[true,false,null]", [true, false, null]],
    ["16 levels", nested(16), JSON.parse(nested(16))],
    ["a member called toString", '{"toString":1}', { toString: 1 }],
  ])("reads %s", (_, text, value) => {
    expect(structuredClone(read(text))).toEqual(value);
  });

  it.each<[string, string | Uint8Array, string]>([
    ["a duplicate member", '{"a":1,"a":1}', "there twice"],
    ["a duplicate that is spelled with an escape", '{"sub":"x","\\u0073ub":"y"}', "there twice"],
    ["__proto__", '{"__proto__":{}}', "__proto__"],
    ["__proto__ spelled with escapes", '{"\\u005f_proto__":{}}', "__proto__"],
    ["17 levels", nested(18), "nested too deeply"],
    ["a hundred thousand levels", nested(100_000), "nested too deeply"],
    ["an id that a double would round", "12345678901234567890", "too large"],
    ["1e308", "1e308", "too large"],
    ["1e999", "1e999", "not a value"],
    ["NaN", "NaN", "not a value"],
    ["a leading zero", "0400", "follows"],
    ["a plus sign", "+1", "not a value"],
    ["an escaped NUL", '"a\\u0000"', "control character"],
    ["a raw newline in a string", '"a\nb"', "not a string"],
    ["an escaped newline in a string", '"a\\nb"', "control character"],
    ["a lone surrogate", '"\\ud800"', "lone surrogate"],
    ["a comma too many in a list", "[1,]", "a comma before the end"],
    ["a comma too many in an object", '{"a":1,}', "a comma before the end"],
    ["a missing comma", "[1 2]", "separator"],
    ["a missing colon", '{"a" 1}', "separator"],
    ["two values", "{} {}", "follows"],
    ["nothing", "", "not a value"],
    ["an unfinished object", '{"a":1', "separator"],
    ["an unfinished list", "[", "not a value"],
    ["an unfinished string", '"abc', "not a string"],
    ["single quotes", "{'a':1}", "not a string"],
    ["a comment", "/**/{}", "not a value"],
    ["a byte order mark", "\uFEFF{}", "not a value"],
    ["bytes that are not UTF-8", Buffer.from([0x22, 0xff, 0x22]), "not UTF-8"],
    ["UTF-16", Buffer.from("{}", "utf16le"), "not a string"],
  ])("refuses %s", (_, text, why) => {
    expect(reason(text)).toContain(why);
  });

  it("gives objects without a prototype", () => {
    const value = read('{"a":{}}');
    expect(Object.getPrototypeOf(value)).toBeNull();
    expect((value as { toString?: unknown }).toString).toBeUndefined();
  });

  it("agrees with JSON.parse on everything that it reads at all", () => {
    const value = fc.jsonValue({ maxDepth: 6 });
    fc.assert(
      fc.property(value, (written) => {
        const text = JSON.stringify(written);
        const why = reason(text);
        if (why === "was read") expect(JSON.stringify(read(text))).toBe(JSON.stringify(JSON.parse(text)));
        else expect(why).toMatch(/control character|too large|__proto__/);
      }),
    );
  });

  it("never reads what JSON.parse does not", () => {
    const text = fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0019e-.tfn \n') });
    fc.assert(
      fc.property(text, (spelled) => {
        if (reason(spelled) === "was read") expect(() => void JSON.parse(spelled)).not.toThrow();
      }),
      { numRuns: 2_000 },
    );
  });

  it("takes a megabyte of one string, of one number and of open brackets without a stall", () => {
    for (const text of [`"${"a".repeat(1e6)}`, "1".repeat(1e6), "[".repeat(1e6), '{"a":'.repeat(2e5)]) {
      const begun = performance.now();
      expect(reason(text)).not.toBe("was read");
      expect(performance.now() - begun).toBeLessThan(500);
    }
  });
});
