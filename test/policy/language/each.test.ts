import { describe, expect, it } from "vitest";
import { policyOfTree, problemsOfTree, template } from "../rooms.ts";

const owner = 'issuer: github, repository_id: "519283746", trust: protected';
const both = `for_each:
  staging: { env: staging, path: shop-staging }
  production: { env: production, path: shop }
who: { ${owner}, environment: "{each.env}" }
credentials:
  db: { provider: vault-main, path: "database/creds/{each.path}" }
`;

const problemsOf = (lines: string) => problemsOfTree({ "t.yaml": template(lines) }).join("\n");

describe("for_each", () => {
  it("makes a template of each entry, and none of its own name", () => {
    const { templates } = policyOfTree({ "t.yaml": template(both) });
    expect([...templates.keys()]).toEqual(["deploy/production", "deploy/staging"]);
    expect(templates.get("deploy/production")).toMatchObject({ name: "deploy/production", file: "t.yaml" });
    expect(templates.get("deploy/staging")?.who).toContainEqual(
      expect.objectContaining({ claim: "environment", expected: '"staging"' }),
    );
    expect(templates.get("deploy/staging")?.expanded).toMatchObject({
      template: "deploy/staging",
      credentials: { db: { path: "database/creds/shop-staging" } },
    });
  });

  it("fills any text: commands, hosts, zones, sandbox, reasons, lists", () => {
    const lines = `for_each: { eu: { host: db, zone: Europe/Berlin, size: 2GiB } }
who: { ${owner}, environment: "{each.host}-{each.host}" }
when: { days: mon-fri, zone: "{each.zone}" }
steps: { s: { run: [deploy, "--to={each.host}"], network: ["{each.host}.example.com:5432"] } }
sandbox: { memory: "{each.size}" }`;
    const found = policyOfTree({ "t.yaml": template(lines) }).templates.get("deploy/eu");
    expect(found).toMatchObject({
      when: [{ zone: "Europe/Berlin" }],
      isolation: { base: { memory: "2GiB" } },
    });
    expect(found?.steps.get("s")).toMatchObject({
      run: ["deploy", "--to=db"],
      network: [{ host: "db.example.com", port: 5432 }],
    });
    expect(found?.who).toContainEqual(expect.objectContaining({ expected: '"db-db"' }));
  });

  it("fills what its base leaves open, and the base alone is for nobody", () => {
    const files = {
      "base.yaml": template(
        'credentials:\n  db: { provider: vault-main, path: "database/creds/{each.path}" }\nwhen: { days: mon-fri, zone: "{each.zone}" }',
        "base",
      ),
      "t.yaml": template(`extends: base\nfor_each: { eu: { path: shop, zone: UTC } }\nwho: { ${owner} }`),
    };
    const { templates } = policyOfTree(files);
    expect([...templates.keys()]).toEqual(["deploy/eu"]);
    expect(templates.get("deploy/eu")?.expanded).toMatchObject({
      credentials: { db: { path: "database/creds/shop" } },
      when: { zone: "UTC" },
    });
  });

  it("needs no variable for what its base leaves open and it leaves out", () => {
    const files = {
      "base.yaml": template(
        'credentials:\n  a: { provider: local }\n  b: { provider: vault-main, path: "{each.path}" }',
        "base",
      ),
      "t.yaml": template(`extends: base\nwho: { ${owner} }\ncredentials: { a: }`),
    };
    expect([...policyOfTree(files).templates.keys()]).toEqual(["deploy"]);
  });

  it("needs none for a step of its base that it leaves out", () => {
    const files = {
      "base.yaml": template('steps: { a: { network: ["{each.host}.example.com"] }, b: { run: [x] } }', "base"),
      "t.yaml": template(`extends: base\nwho: { ${owner} }\nsteps: { b: }`),
    };
    expect([...policyOfTree(files).templates.keys()]).toEqual(["deploy"]);
  });

  it.each<[string, string, string]>([
    [
      "an entry that has nothing for a variable",
      both.replace("staging, path: shop-staging", "staging"),
      "t.yaml:8: credentials.db.path: entry staging has nothing for {each.path}; there is env",
    ],
    [
      "a misspelled variable",
      both.replace("{each.path}", "{each.pat}"),
      "t.yaml:8: credentials.db.path: entry staging has nothing for {each.pat}; did you mean path?",
    ],
    [
      "a variable called as objects inherit",
      both.replace("{each.path}", "{each.constructor}"),
      "entry staging has nothing for {each.constructor}",
    ],
    [
      "a variable that is used nowhere",
      both.replace("{ env: staging,", "{ account: x, env: staging,"),
      "t.yaml:4: for_each.staging.account: is used nowhere, so it looks like a condition and is none; write {each.account} where it belongs, or leave it out",
    ],
    [
      "a condition among the entries",
      both.replace("{ env: production,", "{ ref: refs/heads/main, env: production,"),
      "t.yaml:5: for_each.production.ref: is used nowhere",
    ],
    [
      "blanks inside the braces",
      both.replace("{each.env}", "{ each.env }"),
      "t.yaml:6: who.environment: entry staging has nothing for { each.env }",
    ],
    ["capitals", both.replace("{each.env}", "{each.Env}"), "who.environment: entry staging has nothing for {each.Env}"],
    ["half of one", both.replace('"{each.env}"', '"{each.env"'), "who.environment: entry staging has nothing for {each.env"],
    [
      "one in a key",
      `${both}tolerate: { "{each.env}": "because of that" }`,
      "t.yaml:9: tolerate.{each.env}: entry staging has nothing for {each.env}",
    ],
    [
      "one in a name",
      template(both, "x/{each.env}")
        .split("\n")
        .slice(2)
        .join("\n")
        .replace("for_each", "owner: x\nfor_each")
        .replace("owner: x", 'extends: "{each.env}"'),
      "t.yaml:3: extends: a template's name is",
    ],
    [
      "no for_each at all",
      `who: { ${owner}, environment: "{each.env}" }`,
      "t.yaml:3: who.environment: {each.env} without a for_each that fills it; write the value out",
    ],
    [
      "one without for_each in a command",
      `who: { ${owner} }\nsteps:\n  s: { run: [x, "{each.env}"] }`,
      "t.yaml:5: steps.s.run.1: {each.env} without a for_each that fills it",
    ],
    ["no entries", `for_each: {}\nwho: { ${owner} }`, "t.yaml:3: for_each: name at least one entry, or leave 'for_each' out"],
    [
      "a hundred and one",
      `for_each: {${Array.from({ length: 101 }, (_, i) => `e${i}: { x: y }`).join(", ")}}\nwho: { ${owner}, ref: "{each.x}" }`,
      "for_each: a template has 100 entries of for_each at most",
    ],
    [
      "a glob as a value",
      both.replace("env: staging", 'env: "*"'),
      "t.yaml:4: for_each.staging.env: a value of for_each is plain text, without '*', '{' and '}'",
    ],
    [
      "a slot as a value",
      both.replace("path: shop-staging", 'path: "{repository_id}"'),
      "t.yaml:4: for_each.staging.path: a value of for_each is plain text",
    ],
    [
      "another variable as a value",
      both.replace("path: shop-staging", 'path: "{each.env}"'),
      "for_each.staging.path: a value of for_each is plain text",
    ],
    [
      "a number as a value",
      both.replace("env: staging", "env: 0400"),
      't.yaml:4: for_each.staging.env: is a number where text belongs; write it in quotes: "0400"',
    ],
    ["a list as a value", both.replace("env: staging", "env: [staging]"), "for_each.staging.env: is a list where text belongs"],
    ["an entry that is a path", both.replace("staging: {", "../staging: {"), "for_each.../staging: "],
    [
      "a value that is not of its kind where it is put in",
      both.replace("env: staging, path: shop-staging", "env: staging, path: ../ops"),
      't.yaml:4: for_each.staging.path: credentials.db.path is then "database/creds/../ops": whatever fills its slots',
    ],
    ["__proto__", both.replace("env: staging", "__proto__: staging"), "t.yaml:4: a key that no template can have"],
  ])("%s does not load", (_, lines, problem) => {
    expect(problemsOf(lines)).toContain(problem);
  });

  it("a value cannot end the text that it is put into", () => {
    const evil = both.replace("env: staging", `env: 'x", trust: unknown'`);
    const { templates } = policyOfTree({ "t.yaml": template(evil) });
    expect(templates.get("deploy/staging")?.who).toContainEqual(
      expect.objectContaining({ claim: "environment", expected: '"x\\", trust: unknown"' }),
    );
    expect(templates.get("deploy/staging")?.who).toHaveLength(4);
  });

  it("the name of an entry is nobody else's", () => {
    const files = { "a.yaml": template(both), "b.yaml": template(`who: { ${owner} }`, "deploy/staging") };
    expect(problemsOfTree(files)).toEqual([
      "b.yaml: template: a.yaml has a template of this name too; give each template its own name",
    ]);
  });
});
