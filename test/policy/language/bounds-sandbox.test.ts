import { describe, expect, it } from "vitest";
import { decide } from "../../../src/policy/decide.ts";
import { expandedText, writtenFiles } from "../../../src/policy/language/origins.ts";
import { identityWith } from "../identities.ts";
import { policyOfTree, problemsOfTree, template, trusted } from "../rooms.ts";

const observing = template(
  `${trusted}\nsandbox: { memory: 2GiB, by_trust: { protected: { memory: 1GiB } } }\nobserve: { parts: [limits], until: "2030-01-31" }`,
  "shop/a",
);

describe("limits that are only observed", () => {
  it.each<[string, string, Readonly<Record<string, string>>]>([
    ["the root", "bounds.yaml", { "bounds.yaml": "version: 1\nsandbox: { memory: 4GiB }\n" }],
    ["the folder", "shop/bounds.yaml", { "shop/bounds.yaml": "version: 1\nsandbox: { memory: 1023GiB }\n" }],
  ])("are held within the bounds of %s", (_, file, more) => {
    expect(problemsOfTree({ ...more, "shop/a.yaml": observing })).toEqual([
      `shop/a.yaml:5: observe.parts: limits that are only observed are the host's own: memory, more than ${more[file]?.slice(30, -3)}, by ${file}; take limits out of it`,
    ]);
  });

  it.each<[string, string]>([
    ["say nothing of limits", "version: 1\nsandbox: { env: { pass: [CI] } }\n"],
    ["allow all that the host has", "version: 1\nsandbox: { memory: 1024GiB }\n"],
  ])("load where the bounds %s", (_, bounds) => {
    expect(policyOfTree({ "bounds.yaml": bounds, "shop/a.yaml": observing }).templates.size).toBe(1);
  });

  it("are enforced all the same for a job whose trust the template treats apart", () => {
    const policy = policyOfTree({ "shop/a.yaml": observing.replace("trust: protected", "trust: [protected, branch]") });
    const memory = (trust: "protected" | "branch") => {
      const identity = identityWith({ repository_id: "519283746" }, { trust });
      const decision = decide(policy, { identity, template: undefined, step: undefined, command: ["x"], now: 0 });
      return decision.kind === "granted" ? decision.isolation.memory : decision.message;
    };
    expect([memory("protected"), memory("branch")]).toEqual(["1GiB", "1024GiB"]);
  });

  it.each<[string, boolean]>([
    ["2027-01-31", true],
    ["9999-12-30", true],
    ["9999-12-31", false],
    ["10000-01-01", false],
    ["+275760-09-13", false],
    ["2027-02-29", false],
    ["2027-13-01", false],
    ["2027-01-31T00:00:00Z", false],
  ])("until %s: loads %s", (until, loads) => {
    const found = problemsOfTree({ "shop/a.yaml": observing.replace("2030-01-31", until) });
    if (loads) expect(found).toEqual([]);
    else
      expect(found).toEqual([expect.stringMatching(/^shop\/a\.yaml:5: observe\.until: (?:write a date|a day that is so far)/)]);
  });
});

describe("runtimes that bounds list", () => {
  const bounds = (runtimes: string) => `version: 1\nsandbox: { runtimes: [${runtimes}] }\n`;
  const plain = template(trusted, "shop/a");

  it.each<[string, Readonly<Record<string, string>>, readonly string[] | undefined]>([
    ["all of them", { "bounds.yaml": bounds("crun, runc") }, ["crun", "runc"]],
    ["what both allow", { "bounds.yaml": bounds("crun, runc"), "shop/bounds.yaml": bounds("runsc, runc") }, ["runc"]],
    ["whichever the host has, without any", { "shop/bounds.yaml": "version: 1\n" }, undefined],
  ])("are those of a template that names none: %s", (_, files, expected) => {
    const found = policyOfTree({ ...files, "shop/a.yaml": plain }).templates.get("shop/a");
    expect(found?.isolation.base.runtimes).toEqual(expected);
    const { runtimes: printed }: { readonly runtimes?: unknown } = Object(found?.expanded["sandbox"]);
    expect(printed).toEqual(expected);
  });

  it("are those of each trust too, and leave what a template names itself", () => {
    const text = template(`${trusted}\nsandbox: { by_trust: { protected: { runtimes: [crun] } } }`, "shop/a");
    const { isolation } =
      policyOfTree({ "bounds.yaml": bounds("crun, runc"), "shop/a.yaml": text }).templates.get("shop/a") ?? {};
    expect(isolation?.base.runtimes).toEqual(["crun", "runc"]);
    expect(isolation?.byTrust.get("protected")?.runtimes).toEqual(["crun"]);
  });

  it("refuse a template that names others, and one that none is left for", () => {
    const named = template(`${trusted}\nsandbox: { runtimes: [crun, other] }`, "shop/a");
    expect(problemsOfTree({ "bounds.yaml": bounds("crun"), "shop/a.yaml": named })).toEqual([
      "shop/a.yaml:4: sandbox.runtimes: not crun, by bounds.yaml",
    ]);
    const apart = { "bounds.yaml": bounds("crun"), "shop/bounds.yaml": bounds("runc") };
    expect(problemsOfTree({ ...apart, "shop/a.yaml": plain })).toEqual([
      "shop/a.yaml:1: sandbox.runtimes: none is left that shop/bounds.yaml and the bounds above it all allow",
    ]);
  });
});

describe("the bounds of a base's folders", () => {
  const base = template("credentials: { c: { provider: local, ttl: 5m } }", "shop/base");
  const child = template(`extends: shop/base\n${trusted}`, "site/deploy");
  const tree = (bounds: string) => ({
    "shop/bounds.yaml": `version: 1\n${bounds}\n`,
    "shop/base.yaml": base,
    "site/bounds.yaml": "version: 1\nowner: site\nmax_ttl: 1h\n",
    "site/deploy.yaml": child,
  });

  it.each<[string, string, string]>([
    ["a life", "max_ttl: 1m", "shop/base.yaml:3: credentials.c.ttl: longer than 1m, by shop/bounds.yaml"],
    [
      "providers",
      "credentials: []",
      "shop/base.yaml:3: credentials.c.provider: nothing of local can be used here, by shop/bounds.yaml; there is nothing",
    ],
    [
      "a sandbox",
      "sandbox: { env: { pass: [] } }",
      "site/deploy.yaml:1: sandbox.env.pass: CI is not among , by shop/bounds.yaml",
    ],
  ])("hold for a child elsewhere: %s", (_, bounds, problem) => {
    expect(problemsOfTree(tree(bounds))).toEqual([problem]);
  });

  it("add their who and when, before those of its own folder, and not their owner", () => {
    const files = tree('owner: shop\nwho: { issuer: github, repository_owner_id: "42" }\nwhen: { days: mon-fri, zone: UTC }');
    const found = policyOfTree(files).templates.get("site/deploy");
    expect(found?.who.map((line) => ("claim" in line ? line.claim : line.kind))).toContain("repository_owner_id");
    expect(found?.when).toHaveLength(1);
    expect(found?.owner).toBe("site");
    expect(policyOfTree({ "a.yaml": `${JSON.stringify(found?.expanded)}` }).templates.get("site/deploy")?.who).toEqual(
      found?.who,
    );
  });

  it("are named where the template is printed", () => {
    const policy = policyOfTree(tree('who: { issuer: github, repository_owner_id: "42" }\nsandbox: { runtimes: [crun] }'));
    const printed = [...policy.templates.values()].map((one) => expandedText(one, writtenFiles(policy))).join("");
    expect(printed).toContain("on shop/base of shop/base.yaml, within shop/bounds.yaml, site/bounds.yaml");
    expect(printed).toContain("# added by shop/bounds.yaml\n  - issuer: github\n    repository_owner_id");
    expect(printed).toMatch(/\n {2}# from the folder's bounds\n {2}runtimes:\n {4}- crun\n/);
  });

  it("are asked once where both stand beneath them", () => {
    const files = { ...tree("max_ttl: 1h"), "bounds.yaml": "version: 1\nmax_ttl: 1m\n" };
    expect(problemsOfTree(files)).toEqual(["shop/base.yaml:3: credentials.c.ttl: longer than 1m, by bounds.yaml"]);
  });
});
