import { describe, expect, it } from "vitest";
import { z } from "zod";
import { readDocument } from "../../../src/policy/language/document.ts";
import { readPart } from "../../../src/policy/language/reading.ts";
import { type Problem, problemText } from "../../../src/policy/problem.ts";
import { policyOfTree, problemsOf, problemsOfTree, type Tree, template, trusted } from "../rooms.ts";

const base = template("credentials:\n  db: { provider: vault-main, path: database/creds/shop }", "base/deploy");
const child = (name: string, lines = "") => template(`extends: base/deploy\n${trusted}\n${lines}`, `shop/${name}`);
const bounds = "version: 1\ncredentials: [{ provider: local }]\n";
const beyond = "credentials.db.provider: nothing of vault-main can be used here, by";

describe("what only the base has is said of each child that may not have it", () => {
  const open = base.replace("path: database/creds/shop", 'path: "database/creds/{each.database}"');
  const each = "for_each: { a: { env: x }, b: { env: y, database: z } }";
  const filled = child("a", each).replace(" }", ', environment: "{each.env}" }');

  it.each<[string, Tree, readonly string[]]>([
    [
      "two children beyond their folder's bounds",
      { "base/deploy.yaml": base, "shop/bounds.yaml": bounds, "shop/a.yaml": child("a"), "shop/b.yaml": child("b") },
      ["a", "b"].map((name) => `shop/${name}.yaml:3: extends: ${beyond} shop/bounds.yaml (base/deploy.yaml:4); there is local`),
    ],
    [
      "beyond the bounds of the base too: that is the base's own mistake",
      { "base/deploy.yaml": base, "bounds.yaml": bounds, "shop/a.yaml": child("a") },
      [`base/deploy.yaml:4: ${beyond} bounds.yaml; there is local`],
    ],
    [
      "an entry that lacks a variable",
      { "base/deploy.yaml": open, "shop/a.yaml": filled },
      [
        "shop/a.yaml:5: for_each.a: credentials.db.path: entry a has nothing for {each.database} (base/deploy.yaml:4); there is env",
      ],
    ],
    [
      "no for_each at all",
      { "base/deploy.yaml": open, "shop/a.yaml": child("a") },
      [
        "shop/a.yaml:3: extends: credentials.db.path: {each.database} without a for_each that fills it (base/deploy.yaml:4); write the value out",
      ],
    ],
  ])("%s", (_, tree, problems) => {
    expect(problemsOfTree(tree)).toEqual(problems);
  });
});

describe("a sandbox that is no map", () => {
  const runtimes = "version: 1\nsandbox: { runtimes: [crun] }\n";
  const kept = base.concat("sandbox: { memory: 2GiB }\n");

  it.each<[string, string]>([
    ['""', "is text where a map belongs"],
    ["off", 'is the text "off" where a map belongs'],
    ["[]", "is a list where a map belongs"],
    ["[memory]", "is a list where a map belongs"],
  ])("%s is refused beneath bounds that list runtimes, alone and in a child", (written, message) => {
    const line = `sandbox: ${written}`;
    const said = `sandbox: ${message}; write keys with their values: { key: value }`;
    const alone = { "bounds.yaml": runtimes, "shop/a.yaml": template(`${trusted}\n${line}`, "shop/a") };
    expect(problemsOfTree(alone)).toEqual([`shop/a.yaml:4: ${said}`]);
    const extending = { "bounds.yaml": runtimes, "base/deploy.yaml": kept, "shop/a.yaml": child("a", line) };
    expect(problemsOfTree(extending)).toEqual([`shop/a.yaml:5: ${said}`]);
  });

  it("is not one that is left out", () => {
    const { templates } = policyOfTree({ "bounds.yaml": runtimes, "base/deploy.yaml": kept, "shop/a.yaml": child("a") });
    expect(templates.get("shop/a")?.isolation.base).toMatchObject({ memory: "2GiB", runtimes: ["crun"] });
  });
});

describe("a schema that throws", () => {
  it.each<[string, z.ZodType, string]>([
    [
      "its own issues",
      z.string().transform((text) => z.object({ n: z.number() }).parse({ n: text })),
      "owner.n: cannot be read: ",
    ],
    [
      "something else",
      z.string().transform(() => {
        throw new TypeError("no such thing");
      }),
      "owner: cannot be read: TypeError: no such thing",
    ],
  ])("%s is a problem where the part stands", (_, schema, said) => {
    const read = readDocument({ file: "a.yaml", text: "version: 1\nowner: x\n" });
    const problems: Problem[] = [];
    if (read.kind === "document")
      expect(readPart(schema, "x", { document: read.document, problems, at: ["owner"] })).toBeUndefined();
    expect(problems.map(problemText)).toEqual([expect.stringContaining(`a.yaml:2: ${said}`)]);
  });
});

describe("what says nothing is said in words", () => {
  it("nothing where something belongs", () => {
    expect(problemsOf(template(`${trusted}\ncredentials: { c: { provider: "" } }`))).toContain(
      "t0.yaml:4: credentials.c.provider: is empty",
    );
  });

  it("a bound of nothing", () => {
    const empty = 'version: 1\ncredentials: [{ provider: vault-main, options: { path: kv/x, note: "" } }]\n';
    const lines = `${trusted}\ncredentials: { c: { provider: vault-main, path: kv/x, note: n } }`;
    expect(problemsOfTree({ "bounds.yaml": empty, "a.yaml": template(lines, "a") })).toEqual([
      'a.yaml:4: credentials.c.note: not "", by bounds.yaml',
    ]);
  });

  it("a number that must be more than another", () => {
    const problems: Problem[] = [];
    const read = readDocument({ file: "bounds.yaml", text: "cpus: 0\n" });
    if (read.kind === "document") readPart(z.number().positive(), 0, { document: read.document, problems, at: ["cpus"] });
    expect(problems.map(problemText)).toEqual(["bounds.yaml:1: cpus: must be more than 0"]);
  });
});

it("a claim may be called as a variable begins", () => {
  const lines = `${trusted}\ncredentials: { c: { provider: vault-main, path: "kv/{each-team}" } }`;
  expect(policyOfTree({ "a.yaml": template(lines, "a") }).templates.size).toBe(1);
});
