import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Json, JsonRefused, readJson } from "../../src/identity/json.ts";
import { readPlainly } from "./plain-reader.ts";

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

const names = [
  '"a"',
  '"b"',
  '"\\u0061"',
  '"a:"',
  '"a\\""',
  '"\\\\"',
  '""',
  '"__proto__"',
  '"\\u005f_proto__"',
  '"toString"',
  '"é"',
  '"0"',
];
const scalars = [
  "1",
  "-0",
  "9007199254740993",
  "1e400",
  "1e-400",
  "1.50",
  "20.00000000000000001",
  "-1.5E+2",
  "1.e5",
  "0.1e-5",
  "01",
  "true",
  "null",
  '"x"',
  '"\\ud83d\\ude00"',
  '"\\ud83d"',
  '"\\u0000"',
  '"\x7f"',
  '":{"',
  "",
  "nul",
];

/** JSON and nearly JSON, its members named alike in several spellings. */
const { value: oddText } = fc.letrec<{ value: string; member: string }>((tie) => ({
  member: fc.tuple(fc.constantFrom(...names), tie("value")).map(([name, value]) => `${name}:${value}`),
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(...scalars),
    fc.array(tie("value"), { maxLength: 3 }).map((values) => `[${values.join(",")}]`),
    fc.array(tie("member"), { maxLength: 4 }).map((members) => `{${members.join(", ")}}`),
  ),
}));

function outcome(reader: (bytes: Uint8Array) => Json, text: string): string {
  try {
    return `read: ${JSON.stringify(reader(Buffer.from(text)))}`;
  } catch {
    return "refused";
  }
}

describe("strict JSON", () => {
  it.each<[string, string, unknown]>([
    ["an empty object", "{}", {}],
    ["space everywhere", ' {\t"a" :\r\n[ 1 , 2 ] } ', { a: [1, 2] }],
    ["escapes", '"\\u00e9\\"\\\\\\/"', 'é"\\/'],
    ["a surrogate pair, escaped", '"\\ud83d\\ude00"', "😀"],
    ["a negative exponent", "-1.5e-2", -0.015],
    ["fractions, as they are usually written", "[0.1,-0.5,1.50,20.0,3.141592653589793]", [0.1, -0.5, 1.5, 20, Math.PI]],
    ["exponents", "[1e3,1E+3,10e-1,0e5,0.0,-0.0e-3,5e-324]", [1000, 1000, 1, 0, 0, -0, 5e-324]],
    ["words beside numbers", '[true,1,false,"1.2.3e4",null]', [true, 1, false, "1.2.3e4", null]],
    ["the largest exact number", "9007199254740991", 9_007_199_254_740_991],
    ["words", "[true,false,null]", [true, false, null]],
    ["16 levels", nested(16), JSON.parse(nested(16))],
    ["a backslash in a value", '{"a":"\\\\"}', { a: "\\" }],
    ["a slash that is escaped after a backslash", '{"a":"\\\\\\/"}', { a: "\\/" }],
    ["a name with a slash that is escaped", '{"https:\\/\\/a":1}', { "https://a": 1 }],
    ["a member called toString", '{"toString":1}', { toString: 1 }],
  ])("reads %s", (_, text, value) => {
    expect(structuredClone(read(text))).toEqual(value);
  });

  it.each<[string, string | Uint8Array, string]>([
    ["a duplicate member", '{"a":1,"a":1}', "there twice"],
    ["a duplicate that is spelled with an escape", '{"sub":"x","\\u0073ub":"y"}', "an escape"],
    ["__proto__", '{"__proto__":{}}', "__proto__"],
    ["__proto__ spelled with escapes", '{"\\u005f_proto__":{}}', "an escape"],
    ["17 levels", nested(17), "nested too deeply"],
    ["brackets that close too early, then 17 levels", `]]]]${nested(21)}`, "nested too deeply"],
    ["a duplicate inside a list inside an object", '{"a":[{"b":1,"c":2,"b":3}]}', "there twice"],
    ["a duplicate whose first value holds as many members", '{"a":{"b":1},"a":1}', "there twice"],
    ["a duplicate beside a string with colons in it", '{"a":":::","a":1}', "there twice"],
    ["a backslash in a name", '{"a\\\\":1}', "an escape"],
    ["a quote in a name", '{"a\\"":1}', "an escape"],
    ["a duplicate behind a string with an escaped quote", '{"a":"\\":","b":2,"b":3}', "there twice"],
    ["a hundred thousand levels", nested(100_000), "nested too deeply"],
    ["an id that a double would round", "12345678901234567890", "too large"],
    ["1e308", "1e308", "too large"],
    ["1e999", "1e999", "read as another"],
    ["a fraction that would be lost", "20.00000000000000001", "read as another"],
    ["a fraction of a number that has no room for one", "9007199254740991.4", "read as another"],
    ["more digits than a double has", "0.12345678901234567890", "read as another"],
    ["a number that would be nothing", '{"a":[true,1e-400]}', "read as another"],
    ["an exponent that would be rounded", "12345678901234567E-1", "read as another"],
    ["a fraction of forty digits", `1.${"0".repeat(40)}`, "read as another"],
    ["a fraction behind forty digits", `${"1".repeat(40)}.5`, "read as another"],
    ["two fractions in one number", "1.2.3", "not JSON"],
    ["a fraction without a whole", ".5", "not JSON"],
    ["a whole without its fraction", "5.", "not JSON"],
    ["an exponent without digits", "1e+", "not JSON"],
    ["NaN", "NaN", "not JSON"],
    ["a leading zero", "0400", "not JSON"],
    ["a plus sign", "+1", "not JSON"],
    ["an escaped NUL", '"a\\u0000"', "control character"],
    ["a raw newline in a string", '"a\nb"', "not JSON"],
    ["an escaped newline in a string", '"a\\nb"', "control character"],
    ["a lone surrogate", '"\\ud800"', "lone surrogate"],
    ["a comma too many in a list", "[1,]", "not JSON"],
    ["a comma too many in an object", '{"a":1,}', "not JSON"],
    ["a missing comma", "[1 2]", "not JSON"],
    ["a missing colon", '{"a" 1}', "not JSON"],
    ["two values", "{} {}", "not JSON"],
    ["nothing", "", "not JSON"],
    ["an unfinished object", '{"a":1', "not JSON"],
    ["an unfinished list", "[", "not JSON"],
    ["an unfinished string", '"abc', "not JSON"],
    ["single quotes", "{'a':1}", "not JSON"],
    ["a comment", "/**/{}", "not JSON"],
    ["a byte order mark", "\uFEFF{}", "not JSON"],
    ["bytes that are not UTF-8", Buffer.from([0x22, 0xff, 0x22]), "not UTF-8"],
    ["more members and items than a key set has", `[${"1,".repeat(20_000)}1]`, "too many members"],
    ["a backslash outside of a string", '{"a"\\:1}', "an escape"],
    ["a member without a name", "{:1}", "not JSON"],
    ["UTF-16", Buffer.from("{}", "utf16le"), "not JSON"],
  ])("refuses %s", (_, text, why) => {
    expect(reason(text)).toContain(why);
  });

  it("never takes an escaped name for another, whatever V8 was made to remember before (nodejs/node#63785)", () => {
    expect(JSON.parse('{"x":1,"re\\\\":2}')).toEqual({ x: 1, "re\\": 2 });
    expect(reason('{"x":1,"re\\\\":2}')).not.toBe("was read");
    expect(reason('{"x":1,"re\\u0066":2}')).toContain("an escape");
    expect(structuredClone(read('{"https:\\/\\/a.example\\/b":1}'))).toEqual({ "https://a.example/b": 1 });
  });

  it("gives objects without a prototype", () => {
    const value = read('{"a":{}}');
    expect(Object.getPrototypeOf(value)).toBeNull();
    expect((value as { toString?: unknown }).toString).toBeUndefined();
  });

  it("reads what the same rules written plainly read, and nothing more", () => {
    const spelled = fc.oneof(oddText, fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0019e-.tfn \n\x7f'), maxLength: 40 }));
    fc.assert(
      fc.property(spelled, (text) => {
        const [fast, plain] = [readJson, readPlainly].map((reader) => outcome(reader, text));
        expect(fast).toEqual(plain);
      }),
      { numRuns: 20_000 },
    );
  });

  it("agrees with JSON.parse on everything that it reads at all", () => {
    const value = fc.jsonValue({ maxDepth: 6 });
    fc.assert(
      fc.property(value, (written) => {
        const text = JSON.stringify(written);
        const why = reason(text);
        if (why === "was read") expect(JSON.stringify(read(text))).toBe(JSON.stringify(JSON.parse(text)));
        else expect(why).toMatch(/control character|too large|read as another|__proto__|an escape/);
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

  it("takes a megabyte of one string, of one number, of points and exponents and of open brackets without a stall", () => {
    for (const text of [
      `"${"a".repeat(1e6)}`,
      "1".repeat(1e6),
      `0.${"1".repeat(1e6)}`,
      "1.".repeat(5e5),
      "1e".repeat(5e5),
      "[".repeat(1e6),
      '{"a":'.repeat(2e5),
    ]) {
      const begun = performance.now();
      expect(reason(text)).not.toBe("was read");
      expect(performance.now() - begun).toBeLessThan(500);
    }
  });
});
