import { describe, expect, it } from "vitest";
import { policyOfTree, problemsOfTree, template, trusted, who } from "../rooms.ts";

const base = template(
  `owner: team-base
who: { issuer: github, repository_id: "519283746", trust: protected }
when: { days: mon-fri, zone: UTC }
max_ttl: 30m
credentials:
  db: { provider: vault-main, path: database/creds/shop, ttl: 10m, wait: 30s }
  cert: { provider: local }
steps:
  build: { network: ["*.mirror.example.com", "git.example.com:22"], workspace: overlay }
  ship: { run: [npm, run, ship], credentials: [db, cert], network: [db.example.com], workspace: read-only }
sandbox: { memory: 4GiB, env: { pass: [CI, SHOP] }, by_trust: { protected: { memory: 8GiB } } }
observe: { parts: [limits], until: "2027-01-31" }
tolerate: { no-swap: "the build host has swap" }
accept: { schema-line: "it is a test's own" }`,
  "base",
);

const child = (lines = "") => ({ "base.yaml": base, "child.yaml": template(`extends: base\n${lines}`, "child") });
const compiled = (lines = "") => policyOfTree(child(lines)).templates.get("child");

describe("a template that extends another", () => {
  it("has all of its base where it says nothing itself", () => {
    const { templates } = policyOfTree(child());
    const { name: _name, file: _file, expanded: _expanded, ...inherited } = templates.get("base") ?? {};
    expect(templates.get("child")).toMatchObject(inherited);
    expect(templates.get("child")).toMatchObject({ name: "child", file: "child.yaml" });
  });

  it("has the lines of both, the base's first", () => {
    const found = compiled(
      'who: { ref: refs/heads/main, repository_id: "519283746" }\nwhen: { hours: "07:00-19:00", zone: UTC }',
    );
    expect(found?.who.map((line) => ("claim" in line ? line.claim : line.kind))).toEqual([
      "issuer",
      "repository_id",
      "trust",
      "ref",
      "repository_id",
    ]);
    expect(found?.when.map(({ expected }) => expected)).toEqual([
      "mon,tue,wed,thu,fri 00:00-24:00 UTC",
      "mon,tue,wed,thu,fri,sat,sun 07:00-19:00 UTC",
    ]);
    expect(found?.expanded["who"]).toHaveLength(2);
  });

  it.each<[string, string, unknown]>([
    [
      "keeps the credentials that it names",
      "credentials: { db: }\nsteps: { ship: { credentials: [db] } }",
      { credentials: new Map([["db", expect.anything()]]) },
    ],
    [
      "gives a shorter life",
      "credentials: { db: { ttl: 5m }, cert: }",
      {
        credentials: new Map([
          ["db", expect.objectContaining({ ttl: 300_000, wait: 30_000 })],
          ["cert", expect.anything()],
        ]),
      },
    ],
    [
      "writes the same life in another unit",
      "credentials: { db: { ttl: 600s }, cert: }",
      {
        credentials: new Map([
          ["db", expect.objectContaining({ ttl: 600_000 })],
          ["cert", expect.anything()],
        ]),
      },
    ],
    [
      "waits and goes on without",
      "credentials: { db: { wait: 1m, optional: true }, cert: }",
      {
        credentials: new Map([
          ["db", expect.objectContaining({ wait: 60_000, optional: true })],
          ["cert", expect.anything()],
        ]),
      },
    ],
    [
      "keeps the steps that it names",
      "steps: { build: }",
      { steps: new Map([["build", expect.objectContaining({ workspace: "overlay" })]]) },
    ],
    [
      "pins a command where its base pins none",
      "steps: { build: { run: [make] } }",
      { steps: new Map([["build", expect.objectContaining({ run: ["make"] })]]) },
    ],
    [
      "pins the same command",
      "steps: { ship: { run: [npm, run, ship] } }",
      { steps: new Map([["ship", expect.objectContaining({ run: ["npm", "run", "ship"] })]]) },
    ],
    [
      "gives a step fewer credentials",
      "steps: { ship: { credentials: [cert] } }",
      { steps: new Map([["ship", expect.objectContaining({ credentials: ["cert"] })]]) },
    ],
    [
      "narrows a workspace",
      "steps: { build: { workspace: read-only } }",
      { steps: new Map([["build", expect.objectContaining({ workspace: "read-only" })]]) },
    ],
    [
      "reaches one host of a pattern",
      "steps: { build: { network: [a.mirror.example.com] } }",
      {
        steps: new Map([
          ["build", expect.objectContaining({ network: [{ host: "a.mirror.example.com", port: 443, from: undefined }] })],
        ]),
      },
    ],
    [
      "needs less memory",
      "sandbox: { memory: 2GiB }",
      {
        isolation: { base: { memory: "2GiB" }, byTrust: new Map([["protected", expect.objectContaining({ memory: "8GiB" })]]) },
      },
    ],
    ["lets fewer variables pass", "sandbox: { env: { pass: [CI] } }", { isolation: { base: { env: { pass: ["CI"] } } } }],
    [
      "needs less for one trust",
      "sandbox: { by_trust: { protected: { memory: 1GiB } } }",
      {
        isolation: { base: { memory: "4GiB" }, byTrust: new Map([["protected", expect.objectContaining({ memory: "1GiB" })]]) },
      },
    ],
    ["tolerates nothing", "tolerate: {}", { isolation: { base: { tolerate: {} } } }],
    [
      "is observed for a shorter while",
      'observe: { parts: [limits], until: "2027-01-01" }',
      { observe: { until: Date.UTC(2027, 0, 2) } },
    ],
    ["has an owner of its own", "owner: team-shop", { owner: "team-shop" }],
    [
      "accepts what it accepts itself",
      'accept: { "tolerates": "as its base does too" }',
      { accepts: { tolerates: "as its base does too" } },
    ],
  ])("%s", (_, lines, expected) => {
    expect(compiled(lines)).toMatchObject(expected as object);
  });

  it("has the lower of both longest lives", () => {
    const open = template(`${trusted}\nmax_ttl: 5m\ncredentials: { cert: { provider: local } }`, "base");
    const files = (lines: string) => ({ "a.yaml": open, "b.yaml": template(`extends: base\n${lines}`, "child") });
    const ttl = (lines: string) => policyOfTree(files(lines)).templates.get("child")?.credentials.get("cert")?.ttl;
    expect([ttl(""), ttl("max_ttl: 1h"), ttl("max_ttl: 2m")]).toEqual([300_000, 300_000, 120_000]);
  });

  it("may stand where its base is for nobody, and the base gives nothing", () => {
    const files = {
      "base.yaml": template("credentials: { cert: { provider: local } }", "base"),
      "child.yaml": template(`extends: base\n${trusted}`, "child"),
    };
    expect([...policyOfTree(files).templates.keys()]).toEqual(["child"]);
  });

  it("divides into steps what its base gives to every run", () => {
    const files = {
      "base.yaml": template(
        `${trusted}\ncredentials: { cert: { provider: local } }\nnetwork: [a.example.com, b.example.com]`,
        "base",
      ),
      "child.yaml": template(
        "extends: base\nsteps: { build: { network: [a.example.com] }, sign: { credentials: [cert], run: [sign] } }",
        "child",
      ),
    };
    const found = policyOfTree(files).templates.get("child");
    expect(found?.network).toEqual([]);
    expect(found?.steps.get("build")).toMatchObject({ credentials: [], network: [{ host: "a.example.com" }] });
  });
});

describe("a template that does not narrow what it extends", () => {
  it.each<[string, string, string]>([
    [
      "a credential more",
      "credentials: { db: , cert: , key: { provider: local } }",
      "child.yaml:4: credentials.key: base has no such credential, and a template only narrows its base; there is db, cert",
    ],
    [
      "a misspelled one",
      "credentials: { db: , cret: }",
      "child.yaml:4: credentials.cret: base has no such credential, and a template only narrows its base; did you mean cert?",
    ],
    [
      "one called as objects inherit",
      "credentials: { db: , cert: , constructor: }",
      "child.yaml:4: credentials.constructor: base has no such credential",
    ],
    [
      "a longer life",
      "credentials: { db: { ttl: 11m }, cert: }",
      "child.yaml:4: credentials.db.ttl: longer than 10m, as in base, which it extends",
    ],
    [
      "a longer life than the usual one of its base",
      "credentials:\n  db:\n  cert: { ttl: 11m }",
      "child.yaml:6: credentials.cert.ttl: longer than 10m, as in base, which it extends",
    ],
    [
      "another scope",
      "credentials:\n  db: { path: database/creds/all }\n  cert:",
      "child.yaml:5: credentials.db.path: comes from base; here only ttl, wait, optional can be set; leave it out",
    ],
    [
      "another provider",
      "credentials: { db: { provider: local }, cert: }",
      "child.yaml:4: credentials.db.provider: comes from base; here only ttl, wait, optional can be set",
    ],
    [
      "another delivery",
      "credentials: { db: { deliver: { files: { a: b } } }, cert: }",
      "child.yaml:4: credentials.db.deliver: comes from base",
    ],
    [
      "a credential that is no map",
      "credentials: { db: yes, cert: }",
      'child.yaml:4: credentials.db: is the text "yes" where a map belongs',
    ],
    [
      "a credential left out that a step gets",
      "credentials: { db: }",
      "child.yaml:4: credentials: leaves out cert, which step ship of base gets; keep it with 'cert: {}', or write in 'steps' which credentials each step keeps",
    ],
    [
      "a step more",
      "steps: { build: , shp: }",
      "child.yaml:4: steps.shp: base has no such step, and a template only narrows its base; did you mean ship?",
    ],
    [
      "a credential more for a step",
      "steps:\n  build: { credentials: [db] }",
      "child.yaml:5: steps.build.credentials.0: this step does not get db in base, which it extends",
    ],
    [
      "another command",
      "steps:\n  ship: { run: [npm, run, all] }",
      "child.yaml:5: steps.ship.run: another command is pinned in base, which it extends",
    ],
    [
      "an argument more",
      "steps: { ship: { run: [npm, run, ship, --all] } }",
      "steps.ship.run: another command is pinned in base",
    ],
    [
      "arguments that only look the same when joined",
      'steps: { ship: { run: [npm, "run ship"] } }',
      "steps.ship.run: another command is pinned in base",
    ],
    [
      "a wider workspace",
      "steps: { ship: { workspace: overlay } }",
      "child.yaml:4: steps.ship.workspace: wider than read-only, as in base, which it extends",
    ],
    [
      "another host",
      "steps: { build: { network: [mirror.example.com] } }",
      "child.yaml:4: steps.build.network: mirror.example.com:443 is not reached in base, which it extends",
    ],
    [
      "two labels under one star",
      "steps: { build: { network: [a.b.mirror.example.com] } }",
      "a.b.mirror.example.com:443 is not reached in base",
    ],
    [
      "a star under a star of another domain",
      'steps: { build: { network: ["*.example.com"] } }',
      "*.example.com:443 is not reached in base",
    ],
    ["another port", "steps: { build: { network: [git.example.com:443] } }", "git.example.com:443 is not reached in base"],
    ["more memory", "sandbox:\n  memory: 5GiB", "child.yaml:5: sandbox.memory: more than 4GiB, as in base, which it extends"],
    [
      "a variable more",
      "sandbox: { env: { pass: [CI, HOME] } }",
      "child.yaml:4: sandbox.env.pass: HOME is not among CI, SHOP, as in base, which it extends",
    ],
    ["another image", "sandbox: { image: other }", "child.yaml:4: sandbox.image: another image, as in base, which it extends"],
    [
      "more for one trust",
      "sandbox:\n  by_trust:\n    fork: { memory: 5GiB }",
      "child.yaml:6: sandbox.by_trust.fork.memory: more than 4GiB, as in base, which it extends",
    ],
    [
      "more for the trust that its base favours",
      "sandbox: { by_trust: { protected: { memory: 9GiB } } }",
      "child.yaml:4: sandbox.by_trust.protected.memory: more than 8GiB, as in base",
    ],
    [
      "a lowering more",
      'tolerate:\n  no-swap: "the build host has swap"\n  pids-limit: "the build host has none"',
      "child.yaml:6: tolerate.pids-limit: pids-limit cannot be tolerated here, as in base, which it extends",
    ],
    [
      "another part observed",
      'observe: { parts: [network], until: "2027-01-31" }',
      "child.yaml:4: observe.parts.0: network is not only observed in base, which it extends",
    ],
    [
      "a later date",
      'observe: { parts: [limits], until: "2027-02-01" }',
      "child.yaml:4: observe.until: later than the date in base, which it extends",
    ],
    [
      "network where its base has steps",
      "network: [a.example.com]",
      "child.yaml:4: network: with steps, each says for itself what it may reach; write it into the steps",
    ],
    ["an unknown key", "image: x", "child.yaml:4: image: no such key"],
  ])("%s", (_, lines, problem) => {
    expect(problemsOfTree(child(lines)).join("\n")).toContain(problem);
  });

  it.each<[string, Readonly<Record<string, string>>, string]>([
    [
      "a base that there is not",
      { "b.yaml": template(`extends: bas\n${who}`, "child"), "base.yaml": base },
      "b.yaml:3: extends: there is no template bas; did you mean base?",
    ],
    [
      "itself",
      { "b.yaml": template(`extends: child\n${who}`, "child") },
      "b.yaml:3: extends: child extends child itself, and one level is all there is",
    ],
    [
      "a base that extends another one",
      { "a.yaml": base, "b.yaml": template("extends: base", "middle"), "c.yaml": template("extends: middle", "child") },
      "c.yaml:3: extends: middle extends base itself, and one level is all there is; extend base",
    ],
    [
      "a base with for_each, as a whole",
      {
        "a.yaml": template(`${who}\nfor_each: { eu: { ref: x }, us: { ref: y } }\nowner: "{each.ref}"`, "base"),
        "b.yaml": template("extends: base", "child"),
      },
      "b.yaml:3: extends: base has for_each; extend one of base/eu, base/us",
    ],
    [
      "a name that is none",
      { "b.yaml": template(`extends: ../x\n${who}`, "child") },
      "b.yaml:3: extends: a template's name is",
    ],
  ])("extends %s", (_, files, problem) => {
    expect(problemsOfTree(files).join("\n")).toContain(problem);
  });

  it("a flaw of the base is said once, and where it stands", () => {
    const broken = {
      "base.yaml": base.replace("provider: local", "provider: lokal"),
      "a.yaml": template("extends: base", "a"),
      "b.yaml": template("extends: base", "b"),
    };
    expect(problemsOfTree(broken).filter((problem) => problem.includes("lokal"))).toEqual([
      "base.yaml:9: credentials.cert.provider: mayfly.yaml has no provider lokal; it has vault-main, local",
    ]);
  });

  it("a base that does not load at all is all that is said", () => {
    const broken = { "base.yaml": template(`extends: 7\n${who}`, "base"), "a.yaml": template("extends: base", "a") };
    expect(problemsOfTree(broken).filter((problem) => problem.startsWith("a.yaml"))).toEqual([]);
  });

  it("extends one entry of a for_each by its name", () => {
    const files = {
      "a.yaml": template(
        'who: { issuer: github, repository_id: "1", environment: "{each.env}" }\nfor_each: { eu: { env: eu }, us: { env: us } }',
        "base",
      ),
      "b.yaml": template("extends: base/eu\nwho: { ref: refs/heads/main }", "child"),
    };
    expect(policyOfTree(files).templates.get("child")?.who).toContainEqual(
      expect.objectContaining({ claim: "environment", expected: '"eu"' }),
    );
  });
});
