import { describe, expect, it } from "vitest";
import { bindingFlaws, whoLinesSchema, whoSchema } from "../../src/policy/who.ts";

const base = { issuer: "github", repository_id: "1" };

function flaws(who: unknown): readonly string[] {
  return whoSchema.safeParse(who).error?.issues.map(({ path, message }) => `${path.join(".")}: ${message}`) ?? [];
}

describe("who, as it is written", () => {
  it("is read line by line, in its own order", () => {
    const who = {
      ...base,
      not: { actor: "eve", ref: ["a", "b"] },
      absent: ["environment"],
      any: [{ ref: "x", absent: "sha" }],
    };
    const literal = (value: string) => ({ kind: "literal", value });
    expect(whoSchema.parse(who)).toEqual([
      { kind: "claim", claim: "issuer", patterns: [literal("github")], expected: '"github"' },
      { kind: "claim", claim: "repository_id", patterns: [literal("1")], expected: '"1"' },
      { kind: "not", claim: "actor", patterns: [literal("eve")], expected: '"eve"' },
      { kind: "not", claim: "ref", patterns: [literal("a"), literal("b")], expected: '["a","b"]' },
      { kind: "absent", claim: "environment" },
      {
        kind: "any",
        alternatives: [
          [
            { kind: "claim", claim: "ref", patterns: [literal("x")], expected: '"x"' },
            { kind: "absent", claim: "sha" },
          ],
        ],
        expected: '[{"ref":"x","absent":"sha"}]',
      },
    ]);
  });

  it.each<[string, unknown]>([
    ["one name under absent", { ...base, absent: "environment" }],
    ["trust in an alternative", { ...base, any: [{ trust: "protected" }, { trust: "branch", ref: "main" }] }],
    ["not and absent alone in an alternative", { ...base, any: [{ not: { ref: "x" } }, { absent: "ref" }] }],
    ["what says whose job it is in every alternative", { issuer: "github", any: [{ repository_id: "1" }, { sub: "x/*" }] }],
    ["the same, where only one of two any does", { issuer: "github", any: [{ repository_id: ["1", "2"], ref: "*" }] }],
  ])("%s is fine", (_, who) => {
    expect(flaws(who)).toEqual([]);
  });

  const whose = ": name at least one claim that says whose job it is, such as repository_id";
  it.each<[string, unknown, readonly string[]]>([
    ["a list", [], [": write the claims that the job's token must have"]],
    [
      "an empty alternative, which would be everybody's",
      { ...base, any: [{ ref: "x" }, {}] },
      ["any.1: write the claims of this alternative: an empty one would hold for everybody"],
    ],
    [
      "no alternative, which would be nobody's",
      { ...base, any: [] },
      ["any: write a list of alternatives, of which one must hold as a whole"],
    ],
    [
      "an alternative that is no list",
      { ...base, any: { ref: "x" } },
      ["any: write a list of alternatives, of which one must hold as a whole"],
    ],
    [
      "an issuer in an alternative",
      { ...base, any: [{ issuer: "github" }] },
      ["any.0.issuer: the issuer stands at the top of 'who', and is one for all alternatives"],
    ],
    [
      "alternatives of an alternative",
      { ...base, any: [{ ref: "x", any: [{ sha: "y" }] }] },
      ["any.0.any: an alternative has no alternatives of its own: write each of them out"],
    ],
    [
      "a flaw deep inside",
      { ...base, any: [{ not: { ref: ["x", 7] } }] },
      ["any.0.not.ref.1: a number: ids are quoted strings, so that no digit of them is lost"],
    ],
    ["an empty not", { ...base, not: {} }, ["not: write the claims and the values that they must not have"]],
    ["an empty absent", { ...base, absent: [] }, ["absent: name the claims that the token must not have"]],
    ["an absent that is no name", { ...base, absent: [true] }, ["absent.0: name a claim that the token must not have"]],
    ["an absent issuer", { ...base, absent: "issuer" }, ["absent: issuer is never absent: the broker itself says it"]],
    ["an absent trust", { ...base, absent: ["trust"] }, ["absent.0: trust is never absent: the broker itself says it"]],
    ["a name with a blank", { ...base, absent: "a b" }, ["absent: a claim's name is printable ASCII without blanks"]],
    [
      "trust that is unknown, in an alternative",
      { ...base, any: [{ trust: "unknown" }] },
      ["any.0.trust: trust is one of protected, branch, pull_request, fork; 'unknown' can never be asked for"],
    ],
    ["only one alternative that says whose", { issuer: "github", any: [{ repository_id: "1" }, { ref: "*" }] }, [whose]],
    [
      "alternatives that only rule out",
      { issuer: "github", any: [{ not: { repository_id: "1" } }, { absent: "repository_id" }] },
      [whose],
    ],
    ["two any, each with one that does not say whose", { issuer: "github", any: [{ sub: "x" }, { trust: "branch" }] }, [whose]],
    ["no issuer", { repository_id: "1" }, [": name the issuer, as mayfly.yaml calls it"]],
    [
      "an issuer that is ruled out",
      { repository_id: "1", not: { issuer: "gitlab" } },
      [": name the issuer, as mayfly.yaml calls it"],
    ],
    ["nothing", {}, [": it asks for nothing: name a claim"]],
  ])("%s does not load", (_, who, messages) => {
    expect(flaws(who)).toEqual(messages);
  });

  it("a part of who may be what a whole one cannot: the lines of its base or its folder come before it", () => {
    const lines = whoLinesSchema.parse({ trust: "protected", not: { ref: "x" } });
    expect(bindingFlaws(lines)).toHaveLength(2);
    expect(bindingFlaws([...whoLinesSchema.parse({ issuer: "github" }), ...lines])).toHaveLength(1);
    expect(bindingFlaws([...whoLinesSchema.parse(base), ...lines])).toEqual([]);
  });
});
