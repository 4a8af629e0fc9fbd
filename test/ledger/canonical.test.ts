import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonical } from "../../src/ledger/canonical.ts";
import type { Entry } from "../../src/ledger/entry.ts";
import { entryOf, fit, leafOf, sealEntry } from "../../src/ledger/leaf.ts";
import { aSession, denied, noon, observed, read } from "./fixture.ts";

describe("canonical JSON", () => {
  test.each<[string, unknown, string]>([
    [
      "sorts members by UTF-16 code units",
      { "\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\u{1f600}": 5, "\u0080": 6, "\u00f6": 7 },
      '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\u{1f600}":5,"\ufb33":3}',
    ],
    ["writes strings as ECMAScript does", '\u20ac$\u000f\nA\'B"\\\\"/', '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'],
    ["leaves undefined members out", { b: undefined, a: null }, '{"a":null}'],
    ["writes minus zero as zero", [-0], "[0]"],
    ["has no white space", { a: [1, { b: true }] }, '{"a":[1,{"b":true}]}'],
    ["takes objects without a prototype", Object.assign(Object.create(null) as object, { a: 1 }), '{"a":1}'],
    ["takes an own member called __proto__", JSON.parse('{"__proto__":1}'), '{"__proto__":1}'],
    ["escapes a lone surrogate", "\ud800", '"\\ud800"'],
  ])("%s", (_, value, text) => {
    expect(canonical(value)).toBe(text);
  });

  const deep = JSON.parse(`${"[".repeat(40)}${"]".repeat(40)}`) as unknown;
  test.each<[string, unknown]>([
    ["a fraction", 0.5],
    ["an unsafe integer", 2 ** 53],
    ["NaN", Number.NaN],
    ["undefined in a list", [undefined]],
    ["a date", new Date(0)],
    ["a bigint", 1n],
    ["a function", () => 1],
    ["a map", new Map()],
    ["bytes", Buffer.of(1)],
    ["what is nested too deeply", deep],
  ])("refuses %s", (_, value) => {
    expect(() => canonical(value)).toThrow(expect.objectContaining({ code: "internal" }));
  });

  test("has one spelling for equal values, and reads back equal", () => {
    const number = fc.maxSafeInteger().map((value) => value + 0);
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 5 },
        number,
        fc.boolean(),
        fc.constant(null),
        fc.string({ unit: "binary" }),
        fc.array(tie("any")),
        fc.dictionary(fc.string(), tie("any")),
      ),
    })).any;
    fc.assert(
      fc.property(value, (any) => {
        const text = canonical(any);
        expect(canonical(JSON.parse(text))).toBe(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(any)));
      }),
    );
  });
});

describe("a leaf", () => {
  const entry: Entry = { v: 1, index: 0, time: noon, event: read("x") };
  const text = leafOf(entry).toString();

  test("is read back as the entry it was", () => {
    expect(text).toBe(`{"event":{"kind":"audit-read","peer":0,"what":"x"},"index":0,"time":${noon},"v":1}`);
    expect(entryOf(Buffer.from(text))).toEqual(entry);
  });

  test.each<[string, string, string]>([
    ["with white space", text.replace(":", ": "), "not in canonical form"],
    ["with its members in another order", `{"v":1,${text.slice(1).replace(',"v":1', "")}`, "not in canonical form"],
    ["with a member twice", text.replace('"peer":0', '"peer":1,"peer":0'), "not in canonical form"],
    ["with a needless escape", text.replace('"x"', '"\\u0078"'), "not in canonical form"],
    ["with a number in another spelling", text.replace('"index":0', '"index":0e0'), "not in canonical form"],
    ["with a byte order mark", `\ufeff${text}`, "not JSON"],
    ["with a member too many", text.replace('"v":1', '"v":1,"w":1'), "not an entry"],
    ["with a member missing", text.replace('"peer":0,', ""), "not an entry"],
    ["of an unknown kind", text.replace("audit-read", "audit-write"), "not an entry"],
    ["of another version", text.replace('"v":1', '"v":2'), "not an entry"],
    ["that was cut", text.slice(0, -1), "not JSON"],
  ])("%s is refused", (_, changed, why) => {
    expect(() => entryOf(Buffer.from(changed))).toThrow(
      expect.objectContaining({ code: "ledger-corrupt", message: expect.stringContaining(why) as string }),
    );
  });

  test("longer than a published log allows is refused", () => {
    const fits = 65_535 - (text.length - 1);
    expect(leafOf({ ...entry, event: read("x".repeat(fits)) })).toHaveLength(65_535);
    expect(() => leafOf({ ...entry, event: read("x".repeat(fits + 1)) })).toThrow(
      expect.objectContaining({ code: "internal" }),
    );
  });

  test("of a denial is cut to size, and names what was cut by its digest", () => {
    const short = denied(1);
    expect(fit(short)).toEqual(short);
    expect(fit({ ...short, message: "m".repeat(2_000), trace: "t".repeat(20_000) })).toMatchObject({
      message: expect.stringMatching(/^m{1024}\.\.\. \(cut, sha256 [0-9a-f]{64}\)$/) as string,
      trace: { cut: expect.stringMatching(/^[0-9a-f]{64}$/) as string },
    });
  });

  test("of a denial has its claims whole or not at all, by their bytes", () => {
    const of = (sub: string) => fit({ ...denied(1), claims: { sub } });
    expect(of("x".repeat(16_384 - 10))).toMatchObject({ claims: { sub: expect.stringMatching(/^x{16374}$/) as string } });
    expect(of("x".repeat(16_384 - 9))).toMatchObject({ claims: null, trust: "branch" });
    expect(of("\u{e4}".repeat(8_188))).toMatchObject({ claims: null });
  });

  test("of an observation has its claims whole or not at all, and what stands beside them is cut", () => {
    const of = (claims: Readonly<Record<string, string>>) => fit({ ...observed("o"), claims, subject: "s".repeat(2_000) });
    expect(fit(observed("o"))).toEqual(observed("o"));
    expect(of({ sub: "x".repeat(16_384 - 10) })).toMatchObject({
      claims: { sub: expect.stringMatching(/^x{16374}$/) as string },
    });
    const cut = of({ sub: "x".repeat(16_384 - 9) });
    expect(cut).toMatchObject({
      claims: null,
      trust: "branch",
      subject: expect.stringMatching(/^s{1024}\.\.\. \(cut/) as string,
    });
    expect(sealEntry({ ...entry, event: cut }).entry.event).toEqual(cut);
  });

  test("of a session with 16 KiB of claims, ids among them, is kept whole", () => {
    const id = "x".repeat(12_000);
    const { event } = aSession({ claims: { sub: id, other: "y".repeat(4_384) } });
    const whole = { ...event, subject: id, workload: id, job: id };
    expect(entryOf(leafOf({ ...entry, event: fit(whole) })).event).toEqual(whole);
  });

  test("of an identity keeps the claims of every kind that can be matched on, and no fraction", () => {
    const claims = { text: "", number: -7, yes: false, list: [], toString: "own", constructor: ["a"] };
    const { event } = aSession({ claims });
    expect(sealEntry({ ...entry, event }).entry.event).toEqual(event);
    for (const other of [{ half: 0.5 }, { huge: 2 ** 53 }, { nested: [1] }, { none: null }])
      expect(() => sealEntry({ ...entry, event: { ...event, claims: other as never } })).toThrow(
        expect.objectContaining({ code: "internal" }),
      );
  });
});
