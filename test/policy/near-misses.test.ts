import { describe, expect, it } from "vitest";
import type { Claim, Identity } from "../../src/identity/identity.ts";
import { matches } from "../../src/policy/match.ts";
import { lines } from "./by-hand.ts";
import { identityWith } from "./identities.ts";

/*
 * What is nearly meant and is not, at least sixty for each kind of matcher (hardening P-16), each beside what is meant: a table that only
 * says no would hold for a matcher that accepts nothing.
 */

type Claims = Readonly<Record<string, Claim>>;
type Subject = readonly [string, Claims, Partial<Identity>?];

function isMeant(who: Readonly<Record<string, unknown>>, [, claims, changes]: Subject): boolean {
  return matches({ name: "t", who: lines({ issuer: "github", ...who }) }, identityWith(claims, changes));
}

/** Values of a claim, as subjects of their own. */
function of(claim: string, ...values: readonly Claim[]): readonly Subject[] {
  return values.map((value) => [JSON.stringify(value), { [claim]: value }] as const);
}

const blanks = [" ", "\t", "\n", "\r\n", "\0", "\u00a0", "\u200b", "\ufeff"];
const lookalikes: Readonly<Record<string, string>> = {
  a: "а",
  c: "с",
  e: "е",
  i: "ı",
  o: "о",
  p: "р",
  s: "ѕ",
  h: "һ",
  "/": "∕",
};

/** A text with one thing about it that is not as it should be. */
function nearly(text: string): readonly string[] {
  const middle = Math.floor(text.length / 2);
  const homoglyphs = Object.entries(lookalikes).flatMap(([from, to]) => (text.includes(from) ? [text.replace(from, to)] : []));
  return [
    ...blanks.flatMap((blank) => [blank + text, text + blank, text.slice(0, middle) + blank + text.slice(middle)]),
    ...["x", "-", ".", "/", ":", "*", ",", ";", "%00", "\\", '"', "'"].flatMap((more) => [text + more, more + text]),
    text.slice(1),
    text.slice(0, -1),
    text.slice(0, middle),
    text.slice(middle),
    text + text,
    `${text}/${text}`,
    text.toUpperCase(),
    text.slice(0, 1).toUpperCase() + text.slice(1),
    `%${encodeURIComponent(text)}`,
    ...homoglyphs,
    "",
    "*",
    "**",
    "?",
    ".*",
    `^${text}$`,
    `(${text})`,
    `[${text}]`,
    `{${text}}`,
    `${text}|x`,
    JSON.stringify(text),
    "null",
    "undefined",
    "absent",
    "true",
    "[object Object]",
  ].filter((near) => near !== text);
}

const absent: Subject = ["absent", {}];
const main = "refs/heads/main";

/** A value of each form that a claim can have, and is not a text. */
const forms: readonly Claim[] = [true, false, 0, 1, 7, []];

interface Kind {
  readonly who: Readonly<Record<string, unknown>>;
  readonly meant: readonly Subject[];
  readonly nearly: readonly Subject[];
}

const heads = ["", "a", "main", "release", "Release/1", "release:1", "releases/1", "prerelease/1", "release-1", "release.1/x"];

const kinds: Readonly<Record<string, Kind>> = {
  "a literal": {
    who: { ref: main },
    meant: of("ref", main, [main], ["other", main]),
    nearly: [
      absent,
      ...of("ref", ...nearly(main), ...forms, [], ["refs", "heads", "main"], [`${main} `], ["refs/heads/", "main"]),
    ],
  },
  "a list": {
    who: { event_name: ["push", "schedule"] },
    meant: of("event_name", "push", "schedule", ["schedule"]),
    nearly: [
      absent,
      ...of("event_name", ...nearly("push"), ...forms, "push,schedule", "pushschedule", "push schedule", '["push","schedule"]'),
      ...of("event_name", ["pus", "h"], ["push,schedule"], "schedule,", "scheduled", "pull_request", "workflow_dispatch"),
    ],
  },
  "an issuer": {
    who: { repository_id: "1" },
    meant: [["github", { repository_id: "1" }]],
    nearly: [
      ...nearly("github").map((issuer): Subject => [JSON.stringify(issuer), { repository_id: "1" }, { issuer }]),
      ["an issuer that the token claims", { repository_id: "1", issuer: "github", iss: "github" }, { issuer: "gitlab" }],
    ],
  },
  "a glob with *": {
    who: { ref: "refs/heads/release-*" },
    meant: of("ref", "refs/heads/release-1", "refs/heads/release-", "refs/heads/release-1.2-rc", "refs/heads/release-..x"),
    nearly: [
      absent,
      ...of(
        "ref",
        ...nearly("refs/heads/release-1").filter(
          (text) => !text.startsWith("refs/heads/release-") || /[/:]/.test(text.slice(19)),
        ),
      ),
      ...of(
        "ref",
        ...forms,
        [],
        "refs/heads/release-/",
        "refs/heads/release-1/x",
        "refs/heads/release-a:b",
        "refs/heads/release-/..",
      ),
      ...of(
        "ref",
        "refs/heads/x/release-1",
        "refs/heads/Release-1",
        "refs:heads:release-1",
        "refs/heads/release",
        "refs/heads//release-1",
      ),
      ...of(
        "ref",
        "refs/tags/release-1",
        "refs/pull/release-1",
        "refs/heads/release‐1",
        "refs/heads/release_1",
        "refs/heads/release-1/",
      ),
      ...of(
        "ref",
        ["refs/heads/", "release-1"],
        "refs/heads/../heads/release-1",
        "refs/./heads/release-1",
        "refs/heads/prerelease-1",
      ),
    ],
  },
  "a glob with **": {
    who: { ref: "refs/heads/release/**" },
    meant: of("ref", "refs/heads/release/1", "refs/heads/release/a/b:c", "refs/heads/release/", "refs/heads/release/..x"),
    nearly: [
      absent,
      ...of("ref", ...nearly("refs/heads/release").filter((text) => !text.startsWith("refs/heads/release/")), ...forms, []),
      ...of("ref", ...heads.map((head) => `refs/heads/${head}`), ...heads.map((head) => `refs/tags/release/${head}`)),
      ...of(
        "ref",
        ...["..", ".", "../main", "./x", "a/../..", "a/..", "a:..", "../../tags/v1", "a/./b", ".:x"].map(
          (end) => `refs/heads/release/${end}`,
        ),
      ),
    ],
  },
  "a glob across parts": {
    who: { sub: "repo:octo/*:environment:prod-*" },
    meant: of("sub", "repo:octo/shop:environment:prod-eu", "repo:octo/:environment:prod-"),
    nearly: [
      absent,
      ...of(
        "sub",
        ...nearly("repo:octo/shop:environment:prod").filter((text) => !text.startsWith("repo:octo/shop:environment:prod-")),
        ...forms,
      ),
      ...of("sub", "repo:octo/shop:environment:prod", "repo:octo/a/b:environment:prod-1", "repo:octo/a:b:environment:prod-1"),
      ...of("sub", "repo:octo/x:environment:prod-1:y", "repo:octo/x:environment:prod-1/y", "repo:octo/..:environment:prod-1"),
      ...of("sub", "repo:evil/x:environment:prod-1", "repo:octo:environment:prod-1", "repo:octo/x/environment:prod-1"),
    ],
  },
  not: {
    who: { repository_id: "1", not: { ref: [main, "refs/pull/**", "refs/heads/dev-*", ""], fork: true } },
    meant: [
      ["another ref", { repository_id: "1", ref: "refs/heads/x" }],
      ["no ref", { repository_id: "1" }],
    ],
    nearly: [
      ["a list with one that is ruled out", { repository_id: "1", ref: ["x", main] }],
      ["the ref is right and the fork is not", { repository_id: "1", ref: "refs/heads/x", fork: true }],
      ["only the id is wrong", { repository_id: "2", ref: "refs/heads/x" }],
      ["the id is absent", { ref: "refs/heads/x" }],
      ["the empty one, which is not absent", { repository_id: "1", ref: "" }],
      ["the literal", { repository_id: "1", ref: main }],
      ...[
        ...nearly("1").map((text) => `refs/pull/${text}`),
        "refs/pull/..",
        "refs/pull/../heads/x",
        "refs/pull/",
        "refs/heads/dev-",
        "refs/heads/dev-..",
        "refs/heads/dev-*",
      ].map((ref): Subject => [JSON.stringify(ref), { repository_id: "1", ref }]),
    ],
  },
  absent: {
    who: { repository_id: "1", absent: ["environment", "head_ref"] },
    meant: [
      ["both are absent", { repository_id: "1" }],
      ["another claim is there", { repository_id: "1", Environment: "x" }],
    ],
    nearly: [
      ...[...nearly("prod"), ...forms, "prod", [""], ["a"]].map(
        (environment): Subject => [JSON.stringify(environment), { repository_id: "1", environment }],
      ),
      ["only the other one is there", { repository_id: "1", head_ref: "" }],
      ["it is absent, and the id too", {}],
    ],
  },
  any: {
    who: {
      any: [
        { ref: main, event_name: "push", trust: "protected" },
        { ref: "refs/tags/*", absent: "head_ref", not: { actor: "eve" } },
      ],
    },
    meant: [
      ["the first as a whole", { ref: main, event_name: "push" }],
      ["the second as a whole", { ref: "refs/tags/v1", actor: "bob" }],
      ["the second, whatever the first says", { ref: "refs/tags/v1", event_name: "x" }, { trust: "unknown" }],
    ],
    nearly: [
      absent,
      ["half of each", { ref: main, actor: "bob" }],
      ["the other half of each", { ref: "refs/tags/v1", head_ref: "", event_name: "push" }],
      ["the first, with less trust", { ref: main, event_name: "push" }, { trust: "branch" }],
      [
        "the first, with a trust that the token claims",
        { ref: main, event_name: "push", trust: "protected" },
        { trust: "fork" },
      ],
      ["the second, with the claim that must not be there", { ref: "refs/tags/v1", head_ref: "x" }],
      ["the second, by the one who is ruled out", { ref: "refs/tags/v1", actor: "eve" }],
      ["the second, by several of whom one is", { ref: "refs/tags/v1", actor: ["bob", "eve"] }],
      ...nearly("push").map((event): Subject => [`the first, with ${JSON.stringify(event)}`, { ref: main, event_name: event }]),
    ],
  },
  true: {
    who: { ref_protected: true },
    meant: of("ref_protected", true),
    nearly: [
      absent,
      ...of("ref_protected", ...nearly("true"), "true", false, 1, 0, -1, [], ["true"], "1", "yes", "on", "t", "y", "TRUE"),
    ],
  },
  false: {
    who: { rerun: false },
    meant: of("rerun", false),
    nearly: [absent, ...of("rerun", ...nearly("false"), "false", true, 0, -0, 1, [], ["false"], "0", "no", "off", "")],
  },
  "a number, by its digits": {
    who: { runner_id: "7" },
    meant: of("runner_id", 7, "7", 7.0),
    nearly: [
      absent,
      ...of("runner_id", ...nearly("7").filter((text) => text !== "7"), 70, 77, 17, 7.5, -7, 0.7, 7e21, true, []),
      ...of("runner_id", "07", "7.0", "7e0", "+7", "-7", "0x7", "７", "٧", "VII", ["77"]),
    ],
  },
  "an empty text": {
    who: { head_ref: "" },
    meant: of("head_ref", "", [""], ["a", ""]),
    nearly: [
      absent,
      ...of("head_ref", ...blanks, ...nearly("a").filter((text) => text !== ""), false, 0, [], ["null"], '""', "''"),
    ],
  },
};

describe.each(Object.entries(kinds))("%s", (_, { who, meant, nearly: near }) => {
  it.each(meant.map((subject) => [subject[0], subject] as const))("accepts %s", (_name, subject) => {
    expect(isMeant(who, subject)).toBe(true);
  });

  it("accepts none of the sixty and more that are nearly so", () => {
    const distinct = new Set(near.map((subject) => JSON.stringify(subject)));
    expect(distinct.size).toBeGreaterThanOrEqual(60);
    expect(near.filter((subject) => isMeant(who, subject)).map(([name]) => name)).toEqual([]);
  });
});
