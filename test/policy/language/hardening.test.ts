import { describe, expect, it } from "vitest";
import { match } from "../../../src/policy/match.ts";
import { identityWith } from "../identities.ts";
import { compile, policyOf, problemsOf, template, trusted } from "../rooms.ts";

/** Rows P-10 to P-14 and P-23: what a text can do to whoever reads it. P-20 and P-22, what a file can be, are in load.test.ts. */
const levels = "abcdefghi".split("");
const aliasBomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${levels
  .slice(1)
  .map((name, index) => `${name}: &${name} [${`*${levels[index]},`.repeat(9)}]`)
  .join("\n")}`;

describe("P-10: a text that is more than it shows is refused, and soon", () => {
  it.each<[string, string, string]>([
    ["nine levels of aliases", aliasBomb, "an alias; write the value out"],
    ["an alias of itself", "a: &a [*a]", "an alias"],
    ["a merge of aliases", "a: &a { x: y }\nb: { <<: *a }", "an alias"],
    ["20,000 open brackets", "[".repeat(20_000), "nested too deeply"],
    ["20,000 maps in each other", `a: ${"{a: ".repeat(20_000)}${"}".repeat(20_000)}`, "nested too deeply"],
    ["20,000 lists in each other", "- ".repeat(20_000), "nested too deeply"],
    [
      "10,000 keys",
      template(`${trusted}\n${Array.from({ length: 10_000 }, (_, index) => `a${index}: b`).join("\n")}`),
      "a0: no such key",
    ],
    [
      "10,000 claims that are ids nowhere",
      template(`who:\n${Array.from({ length: 10_000 }, (_, index) => `  a${index}: "1"`).join("\n")}`),
      "t0.yaml:3: who: 64 lines at most",
    ],
    ["20,000 documents", "---\na: b\n".repeat(20_000), "more than one document"],
    ["10,000 tags", "- !a b\n".repeat(10_000), "tag"],
    ["131,000 values", `[${"a,".repeat(131_000)}a]`, "more than 100000 words and signs of YAML"],
    ["65 levels", `${"[".repeat(65)}a${"]".repeat(65)}`, "t0.yaml:1: nested too deeply"],
    [
      "65 levels, line by line",
      Array.from({ length: 65 }, (_, level) => `${" ".repeat(level)}a:`).join("\n"),
      "nested too deeply",
    ],
  ])("%s", (_, text, problem) => {
    const begun = process.cpuUsage();
    expect(problemsOf(text).join("\n")).toContain(problem);
    // Some tens of milliseconds: the bound is for what would be minutes.
    expect(process.cpuUsage(begun).user / 1_000).toBeLessThan(2_000);
  });

  it("no more than 20 MB and 50 ms go into nine levels of aliases", () => {
    compile(aliasBomb);
    const before = process.memoryUsage().heapUsed;
    const begun = process.cpuUsage();
    for (let round = 0; round < 10; round += 1) compile(aliasBomb);
    expect(process.cpuUsage(begun).user / 1_000 / 10).toBeLessThan(50);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(10 * 20 * 2 ** 20);
  });
});

describe("P-11: YAML's types never change an id, a name or a mode", () => {
  const claim = (written: string) => template(`who: { issuer: github, repository_id: "1", trust: protected, ref: ${written} }`);

  it.each<[string, string]>([
    ["0400", "0400"],
    ["0123", "0123"],
    ["12345678901234567890", "12345678901234567890"],
    ["1e3", "1e3"],
    ["0x10", "0x10"],
    ["0o10", "0o10"],
    ["1.0", "1.0"],
    ["-1", "-1"],
    [".inf", ".inf"],
    [".nan", ".nan"],
  ])("%s as a claim's value is a number, which does not load", (written, quoted) => {
    expect(problemsOf(claim(written)).join("\n")).toContain(
      `t0.yaml:3: who.ref: a number: ids are quoted strings, so that no digit of them is lost; write it in quotes: "${quoted}"`,
    );
  });

  it.each(["no", "off", "y", "1_000", "1:30", "2026-11-20", "0b1", "~x", "Null x"])(
    "%s is text, as it stands there",
    (written) => {
      const lines = policyOf(claim(`refs/heads/${written}`)).templates.get("deploy")?.who;
      expect(lines).toContainEqual(
        expect.objectContaining({ claim: "ref", expected: JSON.stringify(`refs/heads/${written}`) }),
      );
      const read = policyOf(template(`${trusted}\nowner: ${written}`)).templates.get("deploy")?.owner;
      expect(read).toBe(written);
    },
  );
});

describe("P-12: nothing in a file is said twice, hidden or meant for another reader", () => {
  it.each<[string, string, string]>([
    ["a key twice", template(`${trusted}\nowner: a\nowner: b`), "t0.yaml:5: Map keys must be unique"],
    ["a key twice, once in quotes", template(`${trusted}\nowner: a\n"owner": b`), "t0.yaml:5: Map keys must be unique"],
    [
      "a key twice, once with an escape",
      template(`${trusted}\nowner: a\n"\\x6fwner": b`),
      "t0.yaml:5: Map keys must be unique",
    ],
    [
      "a claim twice, far apart",
      template(`who:\n  trust: protected\n  issuer: github\n  ref: a\n  trust: branch`),
      "t0.yaml:7: Map keys must be unique",
    ],
    [
      "a key twice in a list's entry",
      template("who: [{ issuer: github, ref: a, ref: b }]"),
      "t0.yaml:3: Map keys must be unique",
    ],
    ["an unknown key", template(`${trusted}\nwhom: x`), "t0.yaml:4: whom: no such key; did you mean who?"],
    ["a merge key", template("who: { <<: { ref: x }, issuer: github }"), "t0.yaml:3: a merge key; write the keys out"],
    ["a tag", template(`${trusted}\nowner: !!binary aGk=`), "t0.yaml:4: "],
    ["an anchor", template(`${trusted}\nowner: &a x`), "t0.yaml:4: an anchor; write the value out where it is used"],
    ["an anchor on a map", template("who: &a { issuer: github }"), "t0.yaml:3: an anchor"],
    ["an anchor on a list", template("who: { issuer: &a [github] }"), "t0.yaml:3: an anchor"],
    ["a tag on a map", template("who: !!map { issuer: github }"), "t0.yaml:3: a tag"],
    ["a tag on a list", template("who: { issuer: !!seq [github] }"), "t0.yaml:3: a tag"],
    ["an anchor on a key", template(`${trusted}\n&a owner: x`), "t0.yaml:4: an anchor"],
    ["two documents", `${template(trusted)}---\nowner: x\n`, "more than one document"],
    ["an end and more", `${template(trusted)}...\nowner: x\n`, "more than one document"],
    ["a tab", template(`who:\n\tissuer: github`), "t0.yaml:4: Tabs are not allowed as indentation"],
    ["a byte order mark", `\uFEFF${template(trusted)}`, "begins with a byte order mark"],
    ["a directive", `%YAML 1.1\n---\n${template(trusted)}`, "directive"],
    ["a key that is no text", template(`${trusted}\n? [owner]\n: x`), "t0.yaml:4: "],
  ])("%s", (_, text, problem) => {
    expect(problemsOf(text).join("\n")).toContain(problem);
  });

  it("line ends as Windows has them are line ends", () => {
    const [unix, windows] = [template(trusted), template(trusted).replaceAll("\n", "\r\n")].map(
      (text) => policyOf(text).templates.get("deploy")?.who,
    );
    expect(windows).toEqual(unix);
    expect(problemsOf(template("who: { issuer: githb }\nx: 1").replaceAll("\n", "\r\n")).join("\n")).toContain(
      "t0.yaml:4: x: no such key",
    );
  });
});

describe("P-12: a character that does not show, or ends a line for one reader only, is nowhere in a file", () => {
  const places: readonly (readonly [string, (character: string) => string])[] = [
    ["a comment", (character) => template(`${trusted}\n# a${character}not: { ref: main }`)],
    ["a comment behind a value", (character) => template(`${trusted} # a${character}b`)],
    ["a value", (character) => template(`${trusted}\nowner: team${character}shop`)],
    ["quotes", (character) => template(`${trusted}\nowner: "team${character}shop"`)],
    ["a key", (character) => template(`${trusted}\nown${character}er: x`)],
    ["the end", (character) => `${template(`${trusted}\nowner: x`)}${character}`],
  ];
  const characters: readonly (readonly [string, string])[] = [
    ..."\r\0\x01\x07\v\f\x1b\x1f\x7f\x80\x85\x9f\u00ad\u061c\u200b\u200d\u200e\u200f\u2028\u2029\u2060",
    ..."\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\u{e0041}",
  ].map((character) => [`U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`, character]);

  it.each(characters)("%s", (name, character) => {
    for (const [place, text] of places) {
      const line = place === "the end" ? 5 : place === "a comment behind a value" ? 3 : 4;
      expect(problemsOf(text(character)), place).toEqual([
        `t0.yaml:${line}: the character ${name}, with which a file means something else than it shows; take it out`,
      ]);
    }
  });

  it.each([" ", "\t", "é", "ж", "א", "中", "e\u0301", "🔑", "⚠️"])("but %s may be in a comment", (character) => {
    expect(policyOf(template(`${trusted}\n# a${character}b`)).templates.size).toBe(1);
    expect(policyOf(template(`${trusted}\n# a${character}b`).replaceAll("\n", "\r\n")).templates.size).toBe(1);
  });
});

describe("P-13: keys that JavaScript's objects have are keys like any other", () => {
  it.each<[string, string, string]>([
    ["__proto__ at the top", template(`${trusted}\n__proto__: { owner: x }`), "t0.yaml:4: a key that no template can have"],
    [
      "__proto__ as a claim",
      template("who: { issuer: github, __proto__: { trust: protected } }"),
      "t0.yaml:3: a key that no template can have",
    ],
    [
      "__proto__ with an escape",
      template(`${trusted}\n"__pr\\x6fto__": { owner: x }`),
      "t0.yaml:4: a key that no template can have",
    ],
    [
      "__proto__ deep down",
      template(`${trusted}\nsandbox: { by_trust: { fork: { __proto__: {} } } }`),
      "t0.yaml:4: a key that no template can have",
    ],
    [
      "constructor at the top",
      template(`${trusted}\nconstructor: { prototype: { x: 1 } }`),
      "t0.yaml:4: constructor: no such key",
    ],
    ["a dotted __proto__", template(`${trusted}\n"__proto__.x": 1`), "t0.yaml:4: __proto__.x: no such key"],
    [
      "a provider called so",
      template(`${trusted}\ncredentials: { c: { provider: constructor } }`),
      "t0.yaml:4: credentials.c.provider: mayfly.yaml has no provider constructor",
    ],
    ["an issuer called so", template("who: { issuer: constructor, ref: x }"), "mayfly.yaml has no issuer constructor"],
    [
      "a step's credential called so",
      template(`${trusted}\nsteps: { s: { credentials: [constructor] } }`),
      "the template has no credential constructor",
    ],
    ["a base called so", template(`extends: constructor\n${trusted}`), "extends: there is no template constructor"],
    ["a trust called so", template(`${trusted}\nsandbox: { by_trust: { constructor: {} } }`), "sandbox.by_trust"],
  ])("%s", (_, text, problem) => {
    const keys = Reflect.ownKeys(Object.prototype).length;
    const globals = Reflect.ownKeys(globalThis).length;
    expect(problemsOf(text).join("\n")).toContain(problem);
    expect(Reflect.ownKeys(Object.prototype)).toHaveLength(keys);
    expect(Reflect.ownKeys(globalThis)).toHaveLength(globals);
  });

  it("a credential and a step may be called so, and are themselves", () => {
    const text = template(
      `${trusted}\ncredentials: { constructor: { provider: local } }\nsteps: { constructor: { credentials: [constructor], workspace: read-only } }`,
    );
    const found = policyOf(text).templates.get("deploy");
    expect([...(found?.credentials.keys() ?? [])]).toEqual(["constructor"]);
    expect(found?.steps.get("constructor")?.credentials).toEqual(["constructor"]);
  });
});

describe("P-14: a claim that a token lacks is absent, whatever it is called", () => {
  it.each(["toString", "length", "constructor", "valueOf", "hasOwnProperty"])("%s", (claim) => {
    const asked = policyOf(
      template(`who: { issuer: github, repository_id: "1", trust: protected, ${claim}: x }`),
    ).templates.get("deploy");
    const lacking = policyOf(
      template(`who: { issuer: github, repository_id: "1", trust: protected, absent: ${claim} }`),
    ).templates.get("deploy");
    const [bare, having] = [{}, { [claim]: "x" }].map((more) => identityWith({ repository_id: "1", ...more }));
    if (asked === undefined || lacking === undefined || bare === undefined || having === undefined)
      throw new Error("did not load");
    expect([match(asked, bare).matched, match(asked, having).matched]).toEqual([false, true]);
    expect([match(lacking, bare).matched, match(lacking, having).matched]).toEqual([true, false]);
  });
});

describe("P-23: a span is a whole number and a unit, within its bounds", () => {
  const spans = [
    "-1",
    "0",
    "1e9",
    '"15m "',
    '" 15m"',
    ".nan",
    '"NaN"',
    "2147483648",
    '"2147483648"',
    '"0m"',
    '"-5m"',
    '"1.5m"',
    '"15M"',
    '"٣m"',
    '"1m1s"',
    '"9999999999s"',
    '"25h"',
    "true",
    "~",
    "[]",
  ];

  it.each(spans)("%s", (span) => {
    const lines: readonly (readonly [string, string])[] = [
      ["credentials.c.ttl", `credentials: { c: { provider: local, ttl: ${span} } }`],
      ["credentials.c.wait", `credentials: { c: { provider: local, wait: ${span} } }`],
      ["max_ttl", `max_ttl: ${span}`],
    ];
    for (const [key, written] of lines)
      expect(problemsOf(template(`${trusted}\n${written}`)).join("\n")).toContain(`t0.yaml:4: ${key}: `);
  });

  it.each<[string, string]>([
    ["a step too many", `steps:\n${Array.from({ length: 101 }, (_, index) => `  s${index}: {}`).join("\n")}`],
    [
      "a credential too many",
      `credentials:\n${Array.from({ length: 101 }, (_, index) => `  c${index}: { provider: local }`).join("\n")}`,
    ],
  ])("%s", (_, lines) => {
    expect(problemsOf(template(`${trusted}\n${lines}`)).join("\n")).toMatch(/a template has 100 (?:steps|credentials) at most/);
  });
});
