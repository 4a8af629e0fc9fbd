import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { accepts, readPattern } from "../../src/policy/pattern.ts";

function matches(written: unknown, value: string | number | boolean): boolean {
  const read = readPattern(written);
  if (read.kind === "flaw") throw new Error(read.message);
  return accepts(read.pattern, value);
}

describe("what a pattern accepts", () => {
  it.each<[unknown, string | number | boolean]>([
    ["refs/heads/main", "refs/heads/main"],
    ["refs/heads/*", "refs/heads/main"],
    ["refs/heads/release-*", "refs/heads/release-"],
    ["refs/heads/release-*", "refs/heads/release-1.2"],
    ["refs/tags/v*.*", "refs/tags/v1.2"],
    ["refs/heads/**", "refs/heads/a/b/c"],
    ["refs/heads/**", "refs/heads/a"],
    ["repo:octo/*:ref:refs/heads/main", "repo:octo/shop:ref:refs/heads/main"],
    ["repo:octo/shop:**", "repo:octo/shop:environment:prod"],
    ["*", "anything"],
    ["**", "any/thing:at/all"],
    ["*a*b*", "xaxbx"],
    ["a*a", "aa"],
    ["", ""],
    ["7", 7],
    ["7*", 7.5],
    [true, true],
    ["(a+)+$", "(a+)+$"],
    ["519283746", "519283746"],
  ])("%j accepts %j", (written, value) => {
    expect(matches(written, value)).toBe(true);
  });
});

/** Sixty values that are nearly right. */
describe("what it does not", () => {
  it.each<[unknown, string | number | boolean]>([
    ...[
      "main",
      "refs/heads/Main",
      "refs/heads/main2",
      "refs/heads/mai",
      "xrefs/heads/main",
      "refs/heads/main/",
      "/refs/heads/main",
      "refs/heads/main\n",
      " refs/heads/main",
      "refs/heads/main ",
      "refs//heads/main",
      "refs/tags/main",
      "refs/heads/maın",
      "refs/heads/main\0",
      "refs.heads.main",
    ].map((value): [string, string] => ["refs/heads/main", value]),
    ...["refs/heads/a/b", "refs/heads", "refs/tags/x", "refs/heads/a:b", "refs/heads/a/", "refs/heads//", "xrefs/heads/a"].map(
      (value): [string, string] => ["refs/heads/*", value],
    ),
    ...["refs/heads", "refs/heads:a", "refs/tags/a", "xrefs/heads/a", "refs/headsx/a", "REFS/heads/a", ""].map(
      (value): [string, string] => ["refs/heads/**", value],
    ),
    ...["octo-evil/shop", "octo/shop-evil", "evil/octo/shop", "octo", "octo/", "Octo/shop", "octo/sho", "octo:shop"].map(
      (value): [string, string] => ["octo/shop", value],
    ),
    ...["octo/evil/shop", "octo", "octo:shop", "evil/octo/x", "octo/a:b", "octo-evil/x"].map((value): [string, string] => [
      "octo/*",
      value,
    ]),
    ...["refs/tags/v1", "refs/tags/v1/2.3", "refs/tags/x1.2", "refs/heads/v1.2"].map((value): [string, string] => [
      "refs/tags/v*.*",
      value,
    ]),
    ...[
      "repo:octo/shop:ref:refs/heads/evil/main",
      "repo:octo/a/b:ref:refs/heads/main",
      "repo:octo/a:b:ref:refs/heads/main",
    ].map((value): [string, string] => ["repo:octo/*:ref:refs/heads/main", value]),
    ["aaaa", "(a+)+$"],
    ["(a+)+$", "aaaa"],
    ["a?c", "abc"],
    ["[ab]", "a"],
    ["a*a", "a"],
    ["*a*b*", "xbxax"],
    ["ab*ba", "aba"],
    ["*ab*b", "ab"],
    ["true", true],
    [true, "true"],
    [false, ""],
    ["", "x"],
    ["7", 70],
    ["07", 7],
  ])("%j does not accept %j", (written, value) => {
    expect(matches(written, value)).toBe(false);
  });

  it.each<[unknown, string]>([
    ["refs/heads/release**", "'**' can only stand at the end"],
    ["**/main", "'**' can only stand at the end"],
    ["refs/**/main", "'**' can only stand at the end"],
    ["refs/***", "'**' can only stand at the end"],
    [519283746, "ids are quoted strings"],
    [null, "not a value"],
    [{}, "not a value"],
  ])("%j does not load", (written, why) => {
    expect(readPattern(written)).toMatchObject({ kind: "flaw", message: expect.stringContaining(why) as string });
  });
});

const piece = fc.string({ unit: fc.constantFrom("a", "b", "*"), maxLength: 6 });
const separator = fc.constantFrom("/", ":");
const glob = fc
  .array(fc.tuple(piece, separator), { maxLength: 4 })
  .chain((head) => piece.map((last) => head.flat().join("") + last.replaceAll("**", "*")));
const value = fc.string({ unit: fc.constantFrom("a", "b", "/", ":"), maxLength: 12 });
const countOf = (text: string) => text.split(/[/:]/).length;
const separators = (text: string) => text.replace(/[^/:]/g, "");

describe("globs, for all patterns and values", () => {
  it("without '**' at the end, what is accepted has the pattern's own separators in the pattern's own order", () => {
    fc.assert(
      fc.property(glob, value, (written, text) => {
        fc.pre(!written.includes("**"));
        if (matches(written, text)) expect(separators(text)).toBe(separators(written));
      }),
      { numRuns: 10_000 },
    );
  });

  it("with '**' at the end, the part before it has them", () => {
    fc.assert(
      fc.property(glob, separator, value, (written, between, text) => {
        fc.pre(!written.includes("**"));
        if (!matches(`${written}${between}**`, text)) return;
        expect(separators(text).startsWith(separators(written) + between)).toBe(true);
        expect(countOf(text)).toBeGreaterThan(countOf(written));
      }),
      { numRuns: 10_000 },
    );
  });

  it("they agree with the slow and obvious matcher", () => {
    fc.assert(
      fc.property(glob, value, (written, text) => {
        fc.pre(!written.includes("**"));
        const obvious = new RegExp(`^${written.replace(/[*]/g, "[^/:]*")}$`);
        expect(matches(written, text)).toBe(obvious.test(text));
      }),
      { numRuns: 10_000 },
    );
  });

  /** What makes a matcher that goes back, or looks for a piece naively, take its time. */
  const slow: readonly string[] = [
    "*a*a*a*a*a*a*a*b",
    "a*".repeat(128),
    `${"*a".repeat(127)}b`,
    "**",
    "a/**",
    "*/x",
    ...["/", ":"].map((separator) => `*${separator}`.repeat(120)),
    ...["/", ":"].map((separator) => `${`*a*${separator}`.repeat(60)}**`),
    ...[1, 3, 6, 7, 8, 30, 125, 252].flatMap((length) => {
      const run = "a".repeat(length);
      const half = "a".repeat(length / 2);
      return [`*b${run}*`, `*${run}b*`, `*${half}b${half}*`, `*${run}*`, `${run}*b`];
    }),
  ];
  const long: readonly string[] = [
    "a",
    "ab",
    "ba",
    "/",
    ":",
    "a/",
    "/:",
    `${"a".repeat(251)}b`,
    `b${"a".repeat(251)}`,
    "é",
  ].map((unit) => unit.repeat(Math.ceil(8_192 / unit.length)).slice(0, 8_192));

  it("any of them against 8 KiB takes less than a millisecond", () => {
    const best = (written: string, text: string): number =>
      Math.min(
        ...Array.from({ length: 5 }, () => {
          const begun = performance.now();
          matches(written, text);
          return performance.now() - begun;
        }),
      );
    const took = slow.flatMap((written) => long.map((text) => ({ written, text: text.slice(0, 9), ms: best(written, text) })));
    expect(took.filter(({ ms }) => ms >= 1)).toEqual([]);
  });

  it("one that is longer than V8's search is linear for does not load", () => {
    expect(readPattern(`${"a".repeat(255)}*`)).toMatchObject({ kind: "pattern" });
    expect(readPattern(`${"a".repeat(256)}*`)).toMatchObject({
      kind: "flaw",
      message: "longer than 256 characters, which is too long for one with a '*'",
    });
  });

  it("a value that is longer than any claim is meant to be does not load", () => {
    expect(readPattern("a".repeat(1_024))).toMatchObject({ kind: "pattern" });
    expect(readPattern("a".repeat(1_025))).toMatchObject({
      kind: "flaw",
      message: "longer than 1024 characters, which is the most",
    });
  });
});
