import { describe, expect, it } from "vitest";
import { policyOfTree, problemsOfTree, template, trusted } from "../rooms.ts";

const tree = (options: string, credential: string) => ({
  "bounds.yaml": `version: 1\ncredentials: [{ provider: vault-main, options: ${options} }, { provider: local, options: { kind: x509 } }]\n`,
  "a.yaml": template(`${trusted}\ncredentials: { c: { ${credential} } }`, "a"),
});

describe("a credential within the options that bounds name", () => {
  it.each<[string, string, string]>([
    ["a literal", "{ path: kv/shop }", "provider: vault-main, path: kv/shop"],
    ["one of a list", "{ path: [kv/shop, kv/site] }", "provider: vault-main, path: kv/site"],
    ["a segment", '{ path: "kv/*" }', "provider: vault-main, path: kv/shop"],
    ["a slot for a segment", '{ path: "kv/*" }', 'provider: vault-main, path: "kv/{repository_id}"'],
    ["a slot for a part of one", '{ path: "kv/shop-*" }', 'provider: vault-main, path: "kv/shop-{repository_id}"'],
    ["a slot beneath", '{ path: "kv/**" }', 'provider: vault-main, path: "kv/a/{repository_id}/b"'],
    ["a slot that is written the same", '{ path: "kv/{run_id}" }', 'provider: vault-main, path: "kv/{run_id}"'],
    [
      "a slot that may hold a slash, beneath",
      '{ path: kv/x, tag: "a/**" }',
      'provider: vault-main, path: kv/x, tag: "a/{repository_id}"',
    ],
    ["the same, further down", '{ path: kv/x, tag: "a/**" }', 'provider: vault-main, path: kv/x, tag: "a/b/{repository_id}:c"'],
    ["the same, at its start", '{ path: kv/x, tag: "**" }', 'provider: vault-main, path: kv/x, tag: "{repository_id}"'],
    ["what has no slots in such a place", '{ path: kv/x, tag: "a/*" }', "provider: vault-main, path: kv/x, tag: a/b"],
    ["a list, each of it", "{ path: kv/x, fields: [user, password] }", "provider: vault-main, path: kv/x, fields: [password]"],
    [
      "what every credential has",
      "{ path: kv/x }",
      "provider: vault-main, path: kv/x, ttl: 5m, wait: 1m, optional: true, deliver: { files: { a: password } }",
    ],
    ["a default that is left out", "{ path: kv/x }", "provider: local"],
    ["a default that is written", "{ path: kv/x }", "provider: local, kind: x509"],
  ])("may have %s", (_, options, credential) => {
    expect(problemsOfTree(tree(options, credential)).filter((text) => text.includes("bounds.yaml"))).toEqual([]);
    expect(policyOfTree(tree(options, credential)).templates.size).toBe(1);
  });

  it.each<[string, string, string, string]>([
    [
      "a slot that may hold a slash for a segment",
      '{ path: kv/x, tag: "a/*" }',
      'path: kv/x, tag: "a/{repository_id}"',
      'tag: not "a/*"',
    ],
    ["one for two segments", '{ path: kv/x, tag: "a/*/*" }', 'path: kv/x, tag: "a/{repository_id}"', 'tag: not "a/*/*"'],
    ["one for two parts", '{ path: kv/x, tag: "a:*:*" }', 'path: kv/x, tag: "a:{repository_id}"', 'tag: not "a:*:*"'],
    ["one that begins above", '{ path: kv/x, tag: "a/b/**" }', 'path: kv/x, tag: "a/{repository_id}"', 'tag: not "a/b/**"'],
    [
      "one that begins above and goes on within",
      '{ path: kv/x, tag: "a/b/**" }',
      'path: kv/x, tag: "{repository_id}/b/c"',
      'tag: not "a/b/**"',
    ],
    [
      "one in the segment that names it",
      '{ path: kv/x, tag: "a/**" }',
      'path: kv/x, tag: "a{repository_id}/x"',
      'tag: not "a/**"',
    ],
    [
      "a slot whose name fits, and not what it is filled to",
      '{ path: "kv/*_id*" }',
      'path: "kv/{repository_id}"',
      'path: not "kv/*_id*"',
    ],
    ["a slot where a star is not", '{ path: "kv/shop/*" }', 'path: "kv/{repository_id}/x"', 'path: not "kv/shop/*"'],
    ["an empty list", "{ path: kv/x, fields: [user] }", "path: kv/x, fields: []", 'fields: not "user"'],
    ["no list at all", "{ path: kv/x, fields: [user] }", "path: kv/x", 'fields: not "user"'],
    ["an option that is not named", "{ path: kv/x }", "path: kv/x, note: admin", "note: only path can be said here"],
    ["a list that is not named", "{ path: kv/x }", "path: kv/x, fields: [root]", "fields: only path can be said here"],
    ["any option where none is named", "{}", "path: kv/x", "path: only what every credential has can be said here"],
  ])("cannot have %s", (_, options, credential, problem) => {
    const found = problemsOfTree(tree(options, `provider: vault-main, ${credential}`));
    expect(found).toContain(`a.yaml:4: credentials.c.${problem}, by bounds.yaml`);
  });

  it("another kind than the one that is named, also where it is written", () => {
    expect(problemsOfTree(tree("{ path: kv/x }", "provider: local, kind: jwt"))).toEqual([
      'a.yaml:4: credentials.c.kind: not "x509", by bounds.yaml',
    ]);
  });
});
