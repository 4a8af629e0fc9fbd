import { describe, expect, it } from "vitest";
import { policyOfTree, problemsOfTree, template, trusted } from "../rooms.ts";

const bounds = (lines: string) => `version: 1\n${lines}\n`;

const good = template(
  `${trusted}
credentials:
  db: { provider: vault-main, path: "database/creds/{repository_id}", ttl: 10m }
  cert: { provider: local, ttl: 5m }
steps:
  build: { network: [a.mirror.example.com] }
  migrate: { run: [npm, run, migrate], credentials: [db], network: [credentials], workspace: read-only }
  sign: { run: [sign], credentials: [cert], workspace: read-only }
sandbox: { memory: 2GiB, by_trust: { protected: { memory: 1GiB } } }`,
  "shop/deploy",
);

const within = (root: string, more: Readonly<Record<string, string>> = {}) => ({
  "bounds.yaml": bounds(root),
  "shop/deploy.yaml": good,
  ...more,
});

describe("bounds of a folder", () => {
  it("that a template keeps change nothing of it but what they add", () => {
    const free = policyOfTree({ "shop/deploy.yaml": good }).templates.get("shop/deploy");
    const kept = policyOfTree(
      within(`max_ttl: 10m
unrevocable: { max_ttl: 5m }
credentials:
  - { provider: vault-main, options: { path: ["database/creds/*", "kv/**"] }, max_ttl: 10m, commands: [[npm, run, migrate], [x]] }
  - { provider: local, commands: pinned }
network: ["*.mirror.example.com", credentials]
sandbox: { memory: 2GiB, env: { pass: [CI] }, images: [host] }
tolerate: []`),
    ).templates.get("shop/deploy");
    expect(kept).toEqual(free);
  });

  it("add their who, their hours and their owner, the root's first", () => {
    const files = within("owner: site\nwho: { issuer: github }\nwhen: { days: mon-fri, zone: UTC }", {
      "shop/bounds.yaml": bounds(
        'owner: team-shop\nwho: { repository_owner_id: "42" }\nwhen: { hours: "07:00-19:00", zone: UTC }',
      ),
      "other.yaml": template(trusted, "other"),
    });
    const { templates } = policyOfTree(files);
    const found = templates.get("shop/deploy");
    expect(found?.owner).toBe("team-shop");
    expect(templates.get("other")?.owner).toBe("site");
    expect(found?.who.map((line) => ("claim" in line ? line.claim : line.kind))).toEqual([
      "issuer",
      "repository_owner_id",
      "issuer",
      "repository_id",
      "trust",
    ]);
    expect(found?.when.map(({ expected }) => expected)).toEqual([
      "mon,tue,wed,thu,fri 00:00-24:00 UTC",
      "mon,tue,wed,thu,fri,sat,sun 07:00-19:00 UTC",
    ]);
    expect(templates.get("other")?.when).toHaveLength(1);
    expect(found?.expanded).toMatchObject({
      owner: "team-shop",
      who: [{ issuer: "github" }, { repository_owner_id: "42" }, { issuer: "github" }],
    });
  });

  it("say whose the templates beneath are, so that these need not", () => {
    const files = {
      "shop/bounds.yaml": bounds('who: { issuer: github, repository_id: "1" }'),
      "shop/a.yaml": template("who: { trust: protected }", "shop/a"),
    };
    expect([...policyOfTree(files).templates.keys()]).toEqual(["shop/a"]);
  });

  it("give a template without who to nobody", () => {
    const files = {
      "bounds.yaml": bounds('who: { issuer: github, repository_id: "1" }'),
      "a.yaml": template("owner: x", "a"),
      "b.yaml": template("who: { trust: protected }", "b"),
    };
    expect([...policyOfTree(files).templates.keys()]).toEqual(["b"]);
  });

  it("let a slot stand for a star, and one whose values can hold a slash for two", () => {
    const lines = 'credentials: [{ provider: vault-main, options: { path: "kv/*", tag: ["shop/**", "as/{repository_id}"] } }]';
    const of = (tag: string) =>
      template(`${trusted}\ncredentials: { c: { provider: vault-main, path: "kv/{repository_id}", tag: "${tag}" } }`, "a");
    for (const tag of ["shop/{repository_id}", "as/{repository_id}"])
      expect(policyOfTree({ "bounds.yaml": bounds(lines), "a.yaml": of(tag) }).templates.size).toBe(1);
  });

  it("shorten the usual life, and never one that is written", () => {
    const short = template(`${trusted}\ncredentials: { cert: { provider: local } }`, "a");
    const ttl = policyOfTree({ "bounds.yaml": bounds("max_ttl: 3m"), "a.yaml": short })
      .templates.get("a")
      ?.credentials.get("cert")?.ttl;
    expect(ttl).toBe(180_000);
  });

  it("of a folder beside bound nothing here", () => {
    expect(
      problemsOfTree(
        within("max_ttl: 1h", {
          "sho/bounds.yaml": bounds("max_ttl: 1m"),
          "shop/eu/bounds.yaml": bounds("max_ttl: 1m"),
          "shopping/bounds.yaml": bounds("max_ttl: 1m"),
        }),
      ),
    ).toEqual([]);
  });
});

describe("a template beyond its bounds", () => {
  it.each<[string, string, string]>([
    ["a longer life", "max_ttl: 9m", "shop/deploy.yaml:5: credentials.db.ttl: longer than 9m, by bounds.yaml"],
    [
      "a credential that nobody can end",
      "unrevocable: { max_ttl: 4m }",
      "shop/deploy.yaml:6: credentials.cert.ttl: nobody can end it early, and such a credential lives 4m at most, by bounds.yaml",
    ],
    [
      "another provider",
      "credentials: [{ provider: local }]",
      "shop/deploy.yaml:5: credentials.db.provider: nothing of vault-main can be used here, by bounds.yaml; there is local",
    ],
    [
      "any credential",
      "credentials: []",
      "credentials.db.provider: nothing of vault-main can be used here, by bounds.yaml; there is nothing",
    ],
    [
      "another path",
      'credentials: [{ provider: local }, { provider: vault-main, options: { path: "kv/*" } }]',
      'shop/deploy.yaml:5: credentials.db.path: not "kv/*", by bounds.yaml',
    ],
    [
      "a path of one more segment",
      'credentials: [{ provider: local }, { provider: vault-main, options: { path: "database/*" } }]',
      'credentials.db.path: not "database/*"',
    ],
    [
      "a path that only begins alike",
      'credentials: [{ provider: local }, { provider: vault-main, options: { path: [database/creds, "database/creds/{ref}"] } }]',
      'credentials.db.path: not "database/creds" or "database/creds/{ref}"',
    ],
    [
      "an option that it does not have",
      "credentials: [{ provider: local }, { provider: vault-main, options: { note: shop } }]",
      'shop/deploy.yaml:5: credentials.db.note: not "shop", by bounds.yaml',
    ],
    [
      "an option called as objects inherit",
      'credentials: [{ provider: local }, { provider: vault-main, options: { constructor: "*" } }]',
      'credentials.db.constructor: not "*"',
    ],
    [
      "a longer life for one provider",
      "credentials: [{ provider: local, max_ttl: 1m }, { provider: vault-main }]",
      "shop/deploy.yaml:6: credentials.cert.ttl: longer than 1m, by bounds.yaml",
    ],
    [
      "another command",
      "credentials: [{ provider: local }, { provider: vault-main, commands: [[npm, run]] }]",
      "shop/deploy.yaml:9: steps.migrate.run: not a command that can get db, by bounds.yaml",
    ],
    [
      "another host",
      'network: [credentials, "*.example.com"]',
      "shop/deploy.yaml:8: steps.build.network: a.mirror.example.com:443 cannot be reached here, by bounds.yaml",
    ],
    [
      "the endpoints of its credentials",
      'network: ["*.mirror.example.com"]',
      "shop/deploy.yaml:9: steps.migrate.network: vault.example.com:8200 (from credentials) cannot be reached here, by bounds.yaml",
    ],
    ["any host", "network: []", "steps.build.network: a.mirror.example.com:443 cannot be reached here"],
    ["more memory", "sandbox: { memory: 1GiB }", "shop/deploy.yaml:11: sandbox.memory: more than 1GiB, by bounds.yaml"],
    [
      "a variable",
      "sandbox: { env: { pass: [SHOP] } }",
      "shop/deploy.yaml:11: sandbox.env.pass: CI is not among SHOP, by bounds.yaml",
    ],
    ["no image", "sandbox: { images: [x] }", "shop/deploy.yaml:11: sandbox.image: another image, by bounds.yaml"],
  ])("%s does not load", (_, lines, problem) => {
    expect(problemsOfTree(within(lines)).join("\n")).toContain(problem);
  });

  it.each<[string, string, string, string]>([
    [
      "a winding path",
      'path: "database/creds/../root"',
      'credentials: [{ provider: vault-main, options: { path: "database/creds/**" } }]',
      "a.yaml:4: credentials.c.path: ",
    ],
    [
      "a dot as a segment",
      'path: "kv/x", note: "a/./b"',
      'credentials: [{ provider: vault-main, options: { note: "a/**" } }]',
      'a.yaml:4: credentials.c.note: not "a/**"',
    ],
    [
      "a slot whose values can hold a slash, under a star,",
      'path: kv/x, tag: "shop/{repository_id}"',
      'credentials: [{ provider: vault-main, options: { tag: "shop/*" } }]',
      'a.yaml:4: credentials.c.tag: not "shop/*"',
    ],
    [
      "a list of which one is beyond",
      "path: kv/x, fields: [user, root]",
      "credentials: [{ provider: vault-main, options: { fields: [user, password] } }]",
      'a.yaml:4: credentials.c.fields: not "user" or "password"',
    ],
  ])("%s does not load", (_, options, lines, problem) => {
    const text = template(`${trusted}\ncredentials: { c: { provider: vault-main, ${options} } }`, "a");
    expect(problemsOfTree({ "bounds.yaml": bounds(lines), "a.yaml": text }).join("\n")).toContain(problem);
  });

  it("an unpinned command, or no steps at all, where commands are pinned", () => {
    const lines = bounds("credentials: [{ provider: local, commands: pinned }]");
    const open = template(
      `${trusted}\ncredentials:\n  c: { provider: local }\nsteps:\n  s: { credentials: [c], workspace: read-only }`,
      "a",
    );
    const none = template(`${trusted}\ncredentials:\n  c: { provider: local }`, "b");
    expect(problemsOfTree({ "bounds.yaml": lines, "a.yaml": open, "b.yaml": none })).toEqual([
      "a.yaml:7: steps.s.run: a step that gets c pins its command, by bounds.yaml",
      "b.yaml:5: credentials.c: only steps that pin their command can get it, by bounds.yaml",
    ]);
  });

  it("more for one trust is said where that trust is", () => {
    const text = template(`${trusted}\nsandbox:\n  memory: 1GiB\n  by_trust:\n    protected: { memory: 4GiB }`, "a");
    expect(problemsOfTree({ "bounds.yaml": bounds("sandbox: { memory: 2GiB }"), "a.yaml": text })).toEqual([
      "a.yaml:7: sandbox.by_trust.protected.memory: more than 2GiB, by bounds.yaml",
    ]);
  });

  it("what cannot be tolerated there, with the bounds' sandbox or without", () => {
    const text = template(`${trusted}\ntolerate:\n  no-swap: "the build host has swap"`, "a");
    for (const lines of ["tolerate: []", "tolerate: [pids-limit]\nsandbox: { memory: 9GiB }"])
      expect(problemsOfTree({ "bounds.yaml": bounds(lines), "a.yaml": text })).toEqual([
        "a.yaml:5: tolerate.no-swap: no-swap cannot be tolerated here, by bounds.yaml",
      ]);
  });

  it("nothing beneath lifts what the root says", () => {
    const files = within("max_ttl: 1m", {
      "shop/bounds.yaml": bounds("max_ttl: 1h\ncredentials: [{ provider: vault-main }, { provider: local }]"),
    });
    expect(problemsOfTree(files).join("\n")).toContain("credentials.db.ttl: longer than 1m, by bounds.yaml");
  });

  it("is held against every folder above, each by its name", () => {
    const files = {
      "shop/bounds.yaml": bounds("max_ttl: 5m"),
      "shop/eu/bounds.yaml": bounds("max_ttl: 4m"),
      "shop/eu/a.yaml": good.replace("shop/deploy", "shop/eu/a"),
    };
    expect(problemsOfTree(files).map((problem) => problem.split(": ").at(-1))).toEqual([
      "longer than 5m, by shop/bounds.yaml",
      "longer than 4m, by shop/eu/bounds.yaml",
      "longer than 4m, by shop/eu/bounds.yaml",
    ]);
  });

  it("names the child where its base has what is too much, and where that is", () => {
    const files = {
      "base.yaml": template("credentials:\n  cert: { provider: local, ttl: 20m }", "base"),
      "shop/bounds.yaml": bounds("max_ttl: 10m"),
      "shop/a.yaml": template(`extends: base\n${trusted}`, "shop/a"),
    };
    expect(problemsOfTree(files)).toEqual([
      "shop/a.yaml:3: extends: credentials.cert.ttl: longer than 10m, by shop/bounds.yaml (base.yaml:4)",
    ]);
  });

  it.each<[string, string, string]>([
    [
      "a name of another folder",
      "deploy",
      "shop/a.yaml:2: template: a template in shop/ is called shop/…; call it shop/deploy",
    ],
    [
      "a name that only begins alike",
      "shopping/deploy",
      "shop/a.yaml:2: template: a template in shop/ is called shop/…; call it shop/deploy",
    ],
    ["the folder's own name", "shop", "shop/a.yaml:2: template: a template in shop/ is called shop/…"],
  ])("%s does not load", (_, name, problem) => {
    expect(problemsOfTree({ "shop/a.yaml": template(trusted, name) }).join("\n")).toContain(problem);
  });
});

describe("bounds that do not load", () => {
  it.each<[string, string, string]>([
    ["an unknown key", "max_ttl: 1h\ntolerated: []", "bounds.yaml:3: tolerated: no such key; did you mean tolerate?"],
    [
      "a provider that there is not",
      "credentials:\n  - { provider: vault }\n",
      "bounds.yaml:3: credentials.0.provider: mayfly.yaml has no provider vault; there is vault-main, local",
    ],
    [
      "a number as option",
      "credentials: [{ provider: local, options: { path: 7 } }]",
      "bounds.yaml:2: credentials.0.options.path",
    ],
    [
      "a pattern that is none",
      'credentials: [{ provider: local, options: { path: "**/x" } }]',
      "bounds.yaml:2: credentials.0.options.path",
    ],
    [
      "commands as text",
      "credentials: [{ provider: local, commands: npm }]",
      "bounds.yaml:2: credentials.0.commands: write pinned, or a list of commands",
    ],
    ["a flawed host", 'network: ["*.com"]', "bounds.yaml:2: network.0: '*' cannot stand in the last two labels"],
    ["a set that there is not", "network: [set:node]", "bounds.yaml:2: network.0: there is no network set node; there is none"],
    [
      "a sandbox key that the room does not know",
      "sandbox:\n  memry: 1GiB",
      "bounds.yaml:3: sandbox.memry: no such key; did you mean memory?",
    ],
    [
      "tolerate in the wrong place",
      "sandbox: { tolerate: [] }",
      "bounds.yaml:2: sandbox.tolerate: not here; 'tolerate' stands at the top of the bounds",
    ],
    ["something that is never tolerated", "tolerate: [root]", "bounds.yaml:2: tolerate.0: "],
    [
      "a number as id",
      "who: { repository_owner_id: 42 }",
      'bounds.yaml:2: who.repository_owner_id: a number: ids are quoted strings, so that no digit of them is lost; write it in quotes: "42"',
    ],
    ["hours without a zone", 'when: { hours: "07:00-19:00" }', "bounds.yaml:2: when.zone: name a time zone"],
    ["a bound of nothing", "unrevocable: {}", "bounds.yaml:2: unrevocable.max_ttl: "],
    ["another version", "version: 2", "bounds.yaml:2: Map keys must be unique"],
  ])("%s", (_, lines, problem) => {
    expect(problemsOfTree({ "bounds.yaml": bounds(lines), "a.yaml": template(trusted, "a") }).join("\n")).toContain(problem);
  });

  it("are part of the policy's text", () => {
    expect(policyOfTree(within("max_ttl: 1h")).text).toMatch(/^--- "bounds.yaml" \d+\nversion: 1\nmax_ttl: 1h/);
  });
});
