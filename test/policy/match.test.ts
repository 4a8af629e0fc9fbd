import { describe, expect, it } from "vitest";
import type { Claim } from "../../src/identity/identity.ts";
import { match, matches } from "../../src/policy/match.ts";
import { whoSchema } from "../../src/policy/who.ts";
import { identityWith } from "./identities.ts";

const base = { issuer: "github", repository_id: "1" };

function matched(
  who: Readonly<Record<string, unknown>>,
  claims: Readonly<Record<string, Claim>>,
  trust = "protected" as const,
): boolean {
  const identity = identityWith({ repository_id: "1", ...claims }, { trust });
  return match({ name: "t", who: whoSchema.parse({ ...base, ...who }) }, identity).matched;
}

type Row = [string, Readonly<Record<string, unknown>>, Readonly<Record<string, Claim>>];

describe("who matches", () => {
  it.each<Row>([
    ["a literal", { ref: "refs/heads/main" }, { ref: "refs/heads/main" }],
    ["any of a list", { event_name: ["push", "schedule"] }, { event_name: "schedule" }],
    ["a glob among literals", { ref: ["refs/heads/main", "refs/tags/*"] }, { ref: "refs/tags/v1" }],
    ["an empty claim that is there", { head_ref: "" }, { head_ref: "" }],
    ["a number by its digits", { runner_id: "7" }, { runner_id: 7 }],
    ["a boolean", { "oidc.circleci.com/ssh-rerun": false }, { "oidc.circleci.com/ssh-rerun": false }],
    ["one of the claim's own list", { groups_direct: "shop/admins" }, { groups_direct: ["a", "shop/admins"] }],
    ["trust", { trust: ["protected", "branch"] }, {}],
    ["not, where the claim is something else", { not: { event_name: "pull_request_target" } }, { event_name: "push" }],
    ["not, where the claim is absent", { not: { environment: "prod" } }, {}],
    ["a claim called toString that is there", { toString: "x" }, { toString: "x" }],
    ["absent, where it is", { absent: "environment" }, {}],
    ["absent, where all of them are", { absent: ["environment", "head_ref"] }, { Environment: "x" }],
    ["absent, where only the object's prototype has it", { absent: ["constructor", "__proto__"] }, {}],
    ["any, by its first alternative", { any: [{ ref: "a" }, { ref: "b", sha: "x" }] }, { ref: "a" }],
    ["any, by its last", { any: [{ ref: "a" }, { ref: "b", sha: "x" }] }, { ref: "b", sha: "x" }],
    ["any, by what one rules out", { any: [{ ref: "a" }, { not: { ref: "b" }, absent: "sha" }] }, { ref: "c" }],
  ])("%s", (_, who, claims) => {
    expect(matched(who, claims)).toBe(true);
  });
});

describe("who does not match", () => {
  it.each<Row>([
    [
      "the same name in another repository",
      { repository: "octo/shop", repository_id: "1" },
      { repository: "octo/shop", repository_id: "2" },
    ],
    ["an absent claim", { environment: "prod" }, {}],
    ["an absent claim is not the empty one", { environment: "" }, {}],
    ["an absent claim is not anything", { environment: "*" }, {}],
    ["a claim that every object inherits", { toString: "*" }, {}],
    ["a claim that every object inherits, by name", { constructor: "**" }, {}],
    ["true that is 'true'", { ref_protected: true }, { ref_protected: "true" }],
    ["'true' that is true", { ref_protected: "true" }, { ref_protected: true }],
    ["an empty list", { groups_direct: "*" }, { groups_direct: [] }],
    ["a list joined", { groups_direct: "a,b" }, { groups_direct: ["a", "b"] }],
    ["an environment that looks like a subject", { environment: "prod" }, { environment: "prod:ref:refs/heads/main" }],
    ["a tag named main", { ref: "refs/heads/main" }, { ref: "refs/tags/main" }],
    ["a path that winds back", { ref: "refs/heads/release/**" }, { ref: "refs/heads/release/../main" }],
    [
      "a path that winds back, where a segment may be anything",
      { ref: "refs/heads/release/*/x" },
      { ref: "refs/heads/release/../x" },
    ],
    ["a path with a dot", { ref: "refs/heads/release/**" }, { ref: "refs/heads/release/./x" }],
    ["trust that is lower", { trust: "branch" }, {}],
    ["not, by a literal", { not: { event_name: "pull_request_target" } }, { event_name: "pull_request_target" }],
    ["not, by a list", { not: { event_name: ["a", "issue_comment"] } }, { event_name: "issue_comment" }],
    ["not, by a glob", { not: { ref: "refs/heads/dev/**" } }, { ref: "refs/heads/dev/x/y" }],
    ["not, by a glob, winding", { not: { ref: "refs/heads/dev/**" } }, { ref: "refs/heads/dev/../main" }],
    ["not, by one of the claim's own list", { not: { groups_direct: "banned" } }, { groups_direct: ["a", "banned"] }],
    ["not, by trust", { not: { trust: "protected" } }, {}],
    ["absent, and it is there", { absent: "environment" }, { environment: "x" }],
    ["absent, and it is there but empty", { absent: "environment" }, { environment: "" }],
    ["absent, and it is there as an empty list", { absent: ["sha", "groups"] }, { groups: [] }],
    [
      "any, half of each alternative",
      {
        any: [
          { ref: "a", sha: "x" },
          { ref: "b", sha: "y" },
        ],
      },
      { ref: "a", sha: "y" },
    ],
    ["any, and another line does not hold", { any: [{ ref: "a" }], sha: "x" }, { ref: "a" }],
    ["another issuer", { issuer: "gitlab" }, {}],
    ["an issuer claim does not stand in for the issuer", { issuer: "gitlab" }, { issuer: "gitlab" }],
    ["a trust claim does not stand in for trust", { trust: "fork" }, { trust: "fork" }],
  ])("%s", (_, who, claims) => {
    expect(matched(who, claims)).toBe(false);
  });

  it("unknown trust satisfies no trust line at all", () => {
    const who = whoSchema.parse({ ...base, trust: ["protected", "branch", "pull_request", "fork"] });
    expect(match({ name: "t", who }, identityWith({ repository_id: "1" }, { trust: "unknown" })).matched).toBe(false);
  });

  it("a claim that only the object's prototype has", () => {
    const who = whoSchema.parse({ ...base, inherited: "x" });
    const identity = {
      ...identityWith({}),
      claims: Object.setPrototypeOf({ repository_id: "1" }, { inherited: "x" }) as Record<string, Claim>,
    };
    expect(match({ name: "t", who }, identity).matched).toBe(false);
  });

  it("a template without a line, which could not load, matches nobody", () => {
    expect(match({ name: "t", who: [] }, identityWith({})).matched).toBe(false);
    expect(matches({ name: "t", who: [] }, identityWith({}))).toBe(false);
  });
});

describe("the trace", () => {
  it("has every line up to the first that did not hold, in the template's order", () => {
    const who = whoSchema.parse({ ...base, ref: ["a", "b"], not: { actor: "eve" }, sha: "x" });
    const trace = match({ name: "t", who }, identityWith({ repository_id: "1", ref: "a", actor: "eve" }));
    expect(trace).toEqual({
      template: "t",
      matched: false,
      lines: [
        { line: "issuer", held: true, expected: '"github"', found: '"github"' },
        { line: "repository_id", held: true, expected: '"1"', found: '"1"' },
        { line: "ref", held: true, expected: '["a","b"]', found: '"a"' },
        { line: "not actor", held: false, expected: '"eve"', found: '"eve"' },
      ],
    });
  });

  it.each<[string, unknown, Readonly<Record<string, Claim>>, object]>([
    [
      "an alternative that holds",
      { any: [{ ref: "a" }, { ref: "b" }] },
      { ref: "b" },
      { line: "any", held: true, expected: '[{"ref":"a"},{"ref":"b"}]', found: "alternative 2" },
    ],
    [
      "where each alternative failed",
      { any: [{ ref: "b", sha: "x" }, { absent: "ref" }, { not: { ref: ["a", "b"] } }] },
      { ref: "b" },
      { line: "any", held: false, found: '1 at sha, absent; 2 at absent ref, "b"; 3 at not ref, "b"' },
    ],
    [
      "what should be absent",
      { absent: ["sha", "ref"] },
      { ref: "" },
      { line: "absent ref", held: false, expected: "absent", found: '""' },
    ],
    ["what is absent", { absent: "ref" }, {}, { line: "absent ref", held: true, expected: "absent", found: "absent" }],
  ])("shows %s", (_, more, claims, line) => {
    const who = whoSchema.parse({ ...base, ...(more as object) });
    expect(match({ name: "t", who }, identityWith({ repository_id: "1", ...claims })).lines.at(-1)).toMatchObject(line);
  });

  it("cuts long values for display only", () => {
    const who = whoSchema.parse({ ...base, sha: "x".repeat(1_000) });
    const trace = match({ name: "t", who }, identityWith({ repository_id: "1", sha: "x".repeat(1_000) }));
    expect(trace.matched).toBe(true);
    expect(trace.lines.at(-1)?.found).toHaveLength(201);
  });
});
