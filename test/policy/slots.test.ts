import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import { presets } from "../../src/identity/presets/presets.ts";
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
    ["{a{b}}", "a slot is written {claim}"],
    ["{/a}", "a slot is written {claim}"],
    ["{-a}", "a slot is written {claim}"],
    ['{a"}', "a slot is written {claim}"],
    ["{a,b}", "a slot is written {claim}"],
    ["{a*}", "a slot is written {claim}"],
    ["${a}", "a ${…} is another language's variable"],
    ["x/${aws:username}", "a ${…} is another language's variable"],
    ["{}", "a slot is written {claim}"],
    ["{each.x}", "an {each.…} that no entry of for_each fills"],
    ["a//{x}", "whatever fills its slots, this is no path-segment"],
    ["{x}/../b", "whatever fills its slots, this is no path-segment"],
    ["", "Too small"],
  ])("%j does not load", (text, why) => {
    expect(slot("path-segment").safeParse(text).error?.issues[0]?.message).toContain(why);
  });

  it.each(Object.entries(presets))(
    "whatever a token of %s may have fills a slot",
    (_, { known = [], required, workload, job }) => {
      for (const claim of [...known, ...required, ...workload, ...job].map((name) => name.replace("*", "own-$#"))) {
        const options = parse("path-segment", `a/{${claim}}/b`);
        expect(slotsOf(options)).toEqual([claim]);
        expect(fill(options, { [claim]: "1" })).toBe("a/1/b");
      }
    },
  );

  it("a name with a slash parts nothing: two slots still need something between them, and the path has its own segments", () => {
    const path = parse("path-segment", "kv/{oidc.circleci.com/project-id}/{oidc.circleci.com/job-id}");
    expect(fill(path, { "oidc.circleci.com/project-id": "p", "oidc.circleci.com/job-id": "j" })).toBe("kv/p/j");
    expect(() => fill(path, { "oidc.circleci.com/project-id": "p/q", "oidc.circleci.com/job-id": "j" })).toThrow(
      "the claim oidc.circleci.com/project-id cannot fill its slot",
    );
    expect(slot("path-segment").safeParse("{a/b}-{c/d}").error?.issues[0]?.message).toContain("two slots need a character");
  });

  it("a text has one reading: its slots and what is between them, as they were written", () => {
    const name = fc.stringMatching(/^[a-z_][A-Za-z0-9_.:/$#-]{0,12}$/).filter((text) => !text.startsWith("each."));
    const between = fc.stringMatching(/^[a-z./:-]{0,6} $/);
    fc.assert(
      fc.property(fc.array(fc.tuple(between, name), { minLength: 1, maxLength: 4 }), (parts) => {
        const options = parse("tag", parts.map(([text, claim]) => `${text}{${claim}}`).join(""));
        expect(slotsOf(options)).toEqual(parts.map(([, claim]) => claim));
        const claims = Object.fromEntries(parts.map(([, claim]) => [claim, "v"]));
        expect(fill(options, claims)).toBe(parts.map(([text]) => `${text}v`).join(""));
      }),
      { numRuns: 1_000 },
    );
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
});

type Taken = readonly [SlotKind, string, Readonly<Record<string, unknown>>, string];
type Refused = readonly [SlotKind, string, Readonly<Record<string, unknown>>];

const kinds = Object.keys(slotKinds).filter((name): name is SlotKind => Object.hasOwn(slotKinds, name));
const arn = "arn:aws:iam::{x}:role/{y}";
const bucket = "arn:aws:s3:::shop/{x}/*";
const cel = "resource.name.startsWith('projects/_/buckets/b/objects/{x}/')";

describe("each kind", () => {
  it.each<Taken>([
    ["arn-part", arn, { x: "111122223333", y: "ci-deploy" }, "arn:aws:iam::111122223333:role/ci-deploy"],
    ["policy-resource", bucket, { x: "519283746" }, "arn:aws:s3:::shop/519283746/*"],
    ["session-name", "{x},{y}", { x: "519283746", y: 77 }, "519283746,77"],
    ["session-name", "{x}", { x: "a".repeat(64) }, "a".repeat(64)],
    ["tag", "{x} {y}", { x: "octo/shop", y: "refs/heads/main" }, "octo/shop refs/heads/main"],
    ["tag", "{x}", { x: "a".repeat(256) }, "a".repeat(256)],
    ["gcp-literal", cel, { x: "77" }, "resource.name.startsWith('projects/_/buckets/b/objects/77/')"],
    ["file-name", "{x}.{y}.json", { x: "shop", y: "7" }, "shop.7.json"],
    ["header", "mayfly ({x}; {y})", { x: "octo/shop", y: "1" }, "mayfly (octo/shop; 1)"],
    ["query", "api://{x}/.default", { x: "a-b_c.d~e" }, "api://a-b_c.d~e/.default"],
  ])("%s: %j takes %j", (kind, text, claims, filled) => {
    expect(fill(parse(kind, text), claims)).toBe(filled);
  });

  /** What each is there to keep out: the rows of hardening section 3. */
  const attacks: Readonly<Record<SlotKind, readonly unknown[]>> = {
    "path-segment": ["..", ".", "%2e%2e", "a//b", "/sys/x", "a ", "a\0", "．．", "a/b", "a%2fb", "?list=true", "#x", "*", "+ "],
    name: ["-rf", ".hidden", "a".repeat(64), "a/b", "a\n", "a,CN=b", "a b"],
    "arn-part": ["a:b", "a/b", "*", "?", "${aws:username}", "${*}", "a,b", "..", "", "a\n", "$", "{y}"],
    "policy-resource": [
      "*",
      "?",
      "a*",
      "${aws:username}",
      "${*}",
      '"',
      ",",
      "\n",
      "a/b",
      "a:b",
      '","Effect":"Allow',
      "..",
      "\\u002a",
      "＊",
    ],
    "session-name": ["a b", "a/b", "a:b", "a,b", "a".repeat(65), "", "ａ", "a\n"],
    tag: ["a".repeat(257), "*", "a b", "a\n", "", "a,b", "\u00e9", "\u200b"],
    "gcp-literal": ["') || true || ('", "'", '"', "\\", "a'", "\\'", "a/b", "/", "..", "\n", "", "${x}"],
    "file-name": [
      "../x",
      "/abs",
      "a/../../b",
      ".",
      "..",
      "con\0",
      "a".repeat(256),
      "a\nb",
      "~",
      ".bashrc",
      "．．",
      "x.sh",
      "a\\b",
    ],
    header: ["a\r\nX: y", "a,b", "a;b", '"', "a\0", "\u007f", "a b", "\t", "é", "(a)", "\\"],
    query: ["&resource=x", "#", "a=b", "a/b", "%26", "a+b", "..", ".", "?", "a b", "@evil", ":", ";"],
  };
  const texts: Readonly<Record<SlotKind, string>> = {
    "path-segment": "a/{x}/b",
    name: "ci-{x}",
    "arn-part": arn.replace("{y}", "r"),
    "policy-resource": bucket,
    "session-name": "s-{x}",
    tag: "{x}",
    "gcp-literal": cel,
    "file-name": "f{x}.json",
    header: "agent {x}",
    query: "?scope={x}",
  };
  it.each(kinds.flatMap((kind) => attacks[kind].map((attack): Refused => [kind, texts[kind], { x: attack }])))(
    "%s: %j takes no %j",
    (kind, text, claims) => {
      const options = parse(kind, text);
      expect(fill(options, { x: "a1" })).toBe(text.replace("{x}", "a1"));
      expect(() => fill(options, claims)).toThrow(
        new BrokerError("slot-unfillable", `the claim x cannot fill its slot, which takes a ${kind}`),
      );
    },
  );

  it.each<Refused>([
    ["session-name", "mayfly-{x}", { x: "a".repeat(58) }],
    ["session-name", "{x}", { x: "a" }],
    ["tag", "{x} {y}", { x: "a".repeat(200), y: "b".repeat(56) }],
    ["file-name", "{x}", { x: "-rf" }],
    ["file-name", "{x}.{y}", { x: "-", y: "x" }],
    ["file-name", "{x}.{y}.{z}", { x: "a".repeat(64), y: "b".repeat(64), z: "c" }],
    ["header", "{x} {y}", { x: "a".repeat(256), y: "b".repeat(0) }],
  ])("%s: %j is refused as a whole when filled with %j, and never cut", (kind, text, claims) => {
    expect(() => fill(parse(kind, text), claims)).toThrow(expect.objectContaining({ code: "slot-unfillable" }) as Error);
  });

  it.each<[SlotKind, string, string]>([
    ["session-name", "mayfly {x}", "whatever fills its slots, this is no session-name"],
    ["session-name", `${"a".repeat(64)}{x}`, "whatever fills its slots, this is no session-name"],
    ["session-name", "x", "whatever fills its slots, this is no session-name"],
    ["session-name", "{a}-{b}", "such as ','"],
    ["session-name", "{a}.{b}", "such as ','"],
    ["tag", "{a}/{b}", "such as ' '"],
    ["tag", "a*{b}", "whatever fills its slots, this is no tag"],
    ["arn-part", "{a}{b}", "such as ':' or '/'"],
    ["file-name", ".{a}", "whatever fills its slots, this is no file-name"],
    ["file-name", "a/{a}", "whatever fills its slots, this is no file-name"],
    ["file-name", "{a}-{b}", "such as '.'"],
    ["header", "{a}/{b}", "such as ' ' or ','"],
    ["header", "a\n{b}", "whatever fills its slots, this is no header"],
    ["query", "{a}.{b}", "such as '/' or '&'"],
  ])("%s: %j does not load", (kind, text, why) => {
    expect(
      slot(kind)
        .safeParse(text)
        .error?.issues.map(({ message }) => message)
        .join(),
    ).toContain(why);
  });

  it("takes no number that JSON may have rounded", () => {
    for (const x of [2 ** 53, 1e21, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => fill(parse("name", "a{x}"), { x })).toThrow("the claim x cannot fill its slot");
  });
});

/** What separates, quotes, stands for anything or begins an expression where a text of this kind is read. */
const structure = /[^A-Za-z0-9_.@=+~-]/g;
const skeleton = (text: string): string => (text.match(structure) ?? []).join("");
const between: Readonly<Record<SlotKind, string>> = {
  "path-segment": "a/{x}/b/{y}",
  name: "n/{x}/{y}",
  "arn-part": arn,
  "policy-resource": "arn:aws:s3:::b/{x}/{y}/*",
  "session-name": "{x},{y}",
  tag: "{x} {y}",
  "gcp-literal": "r.startsWith('{x}/{y}')",
  "file-name": "{x}.{y}",
  header: "{x}, {y}",
  query: "?a={x}&b={y}",
};
const nasty = fc.constantFrom(..."ab1._-=+@~/:*?$%&#,;'\"\\(){}|<> \n\0é．＊");
const claimValue = fc.oneof(
  fc.string({ unit: nasty, maxLength: 6 }),
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.constantFrom("..", ".", "${*}", "'||true||'", "*", "refs/heads/main", "octo/shop"),
  fc.constantFrom("a", "1", "a1", "shop", "x".repeat(60)),
);

/** Every two values that, with the same text between them, read as these two do (hardening P-06). */
function splits(a: string, text: string, b: string): readonly (readonly [string, string])[] {
  const joined = a + text + b;
  const places = [...joined].map((_, index) => index).filter((index) => joined.startsWith(text, index));
  return places.map((index) => [joined.slice(0, index), joined.slice(index + text.length)]);
}

describe.each(kinds)("whatever claims there are, a %s", (kind) => {
  const options = parse(kind, between[kind]);
  const filled = (x: unknown, y: unknown): string | undefined => {
    try {
      return fill(options, { x, y });
    } catch (error) {
      expect(error).toMatchObject({ code: "slot-unfillable" });
      return undefined;
    }
  };
  // A tag and a header are read as a whole: what separates elsewhere is a character of theirs like any other.
  const shape = (text: string): string =>
    kind === "tag" || kind === "header" ? skeleton(text).replace(/[/:]/g, "") : skeleton(text);

  it("keeps the template's shape, or is denied, and no other two claims give the same text", () => {
    const text = between[kind].split(/\{[xy]\}/)[1] ?? "";
    let fits = 0;
    fc.assert(
      fc.property(claimValue, claimValue, (a, b) => {
        const one = filled(a, b);
        const same = splits(a, text, b).filter(([x, y]) => filled(x, y) !== undefined);
        expect(same.length).toBeLessThanOrEqual(1);
        if (one === undefined) return;
        fits += 1;
        expect(shape(one)).toBe(shape(between[kind].replace("{x}", "x").replace("{y}", "y")));
      }),
      { numRuns: 10_000 },
    );
    expect(fits).toBeGreaterThan(500);
  });
});
