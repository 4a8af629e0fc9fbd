import { describe, expect, it } from "vitest";
import { problemsOfTree, type Tree, template, trusted } from "../rooms.ts";

const spans = "write a duration as a whole number and a unit: 250ms, 90s, 15m, 12h or 7d";
const map = "write keys with their values: { key: value }";
const name = "a name is lower case letters, digits, '-' and '_', at most 63 characters";

describe("a mistake is one problem, with the file, the line, the key, what is wrong and what to write", () => {
  it.each<[string, string]>([
    ["max_ttl: 600", `max_ttl: 600 has no unit: ${spans}`],
    ["max_ttl: ten minutes", `max_ttl: ${spans}`],
    ["owner: 7", 'owner: is a number where text belongs; write it in quotes: "7"'],
    ["owner: 0400", 'owner: is a number where text belongs; write it in quotes: "0400"'],
    ["owner: true", 'owner: is true where text belongs; write it in quotes: "true"'],
    ["owner: [a]", "owner: is a list where text belongs; write text"],
    ["owner:", "owner: has nothing behind it; write text"],
    [`owner: ${"x".repeat(129)}`, "owner: 128 characters at most"],
    ["network: a.example.com", 'network: is the text "a.example.com" where a list belongs; write a list: [a.example.com]'],
    ["network: [443]", 'network.0: is a number where text belongs; write it in quotes: "443"'],
    ["credentials:", "credentials: has nothing behind it; write its keys, or {}"],
    ["credentials: [{ provider: local }]", `credentials: is a list where a map belongs; ${map}`],
    ["credentials: { c: local }", `credentials.c: is the text "local" where a map belongs; ${map}`],
    ["credentials: { c: { ttl: 5m } }", "credentials.c.provider: is missing; write 'provider:' with text behind it"],
    ["credentials: { c: { provider: local, ttl: 600 } }", `credentials.c.ttl: 600 has no unit: ${spans}`],
    ["credentials: { c: { provider: local, wait: true } }", `credentials.c.wait: ${spans}`],
    [
      "credentials: { c: { provider: local, optional: yes } }",
      'credentials.c.optional: is the text "yes" where true or false belongs; write true or false',
    ],
    ["credentials: { c: { provider: local, kind: x50 } }", "credentials.c.kind: is not x509 or jwt; did you mean x509?"],
    ["credentials: { c: { provider: vault-main, pth: kv/x } }", "credentials.c.pth: no such key; did you mean path?"],
    ["credentials: { c: { provider: vault-main } }", "credentials.c.path: is missing; write 'path:' with text behind it"],
    [
      "credentials: { c: { provider: local, deliver: { env: { TOKEN: token } } } }",
      "credentials.c.deliver.env: no such key; there is files",
    ],
    [
      "credentials: { c: { provider: lokal } }\nsteps: { s: { credentials: [c], network: [credentials] } }",
      "credentials.c.provider: mayfly.yaml has no provider lokal; it has vault-main, local",
    ],
    ["steps: { s: { run: npm run x } }", "steps.s.run: a command is a list of its words: [npm, run, migrate]"],
    ["steps: { s: { run: [sleep, 5] } }", 'steps.s.run.1: is a number where text belongs; write it in quotes: "5"'],
    ["steps: { s: }", "steps.s: has nothing behind it; write its keys, or {}"],
    ["steps: { Build: {} }", `steps.Build: ${name}`],
    ["steps: { s: { workspace: readonly } }", "steps.s.workspace: is not read-only or overlay or rw; did you mean read-only?"],
    ["for_each: { Staging: { a: b } }", `for_each.Staging: ${name}`],
    ["for_each: { staging: { Env: b } }", `for_each.staging.Env: ${name}`],
    ["for_each: { staging: { a: 1 } }", 'for_each.staging.a: is a number where text belongs; write it in quotes: "1"'],
    ["for_each: [staging]", `for_each: is a list where a map belongs; ${map}`],
    ["observe: limits", `observe: is the text "limits" where a map belongs; ${map}`],
    [
      'observe: { parts: limits, until: "2027-01-31" }',
      'observe.parts: is the text "limits" where a list belongs; write a list: [limits]',
    ],
    ['observe: { parts: [], until: "2027-01-31" }', "observe.parts: is empty; name at least one"],
    [
      'observe: { parts: [who], until: "2027-01-31" }',
      "observe.parts.0: is not network or limits; write one of network, limits",
    ],
    ["observe: { parts: [limits], until: 2027 }", 'observe.until: write a date, such as "2027-01-31"'],
    ["tolerate: [no-swap]", `tolerate: is a list where a map belongs; ${map}`],
    ['tolerate: { no-swp: "because of this" }', "tolerate.no-swp: no such key; did you mean no-swap?"],
    ["accept: { x: 5 }", 'accept.x: is a number where text belongs; write it in quotes: "5"'],
    [
      "sandbox: { by_trust: { public: { memory: 1GiB } } }",
      "sandbox.by_trust.public: no such key; there is protected, branch, pull_request, fork, unknown",
    ],
    ["sandbox: { by_trust: { fork: 1GiB } }", `sandbox.by_trust.fork: is the text "1GiB" where a map belongs; ${map}`],
    ["sandbox: { env: { pass: CI } }", 'sandbox.env.pass: is the text "CI" where a list belongs; write a list: [CI]'],
  ])("%s", (lines, problem) => {
    expect(problemsOfTree({ "a.yaml": template(`${trusted}\n${lines}`, "a") })).toEqual([
      expect.stringMatching(/^a\.yaml:[45]: /),
    ]);
    expect(problemsOfTree({ "a.yaml": template(`${trusted}\n${lines}`, "a") })[0]?.replace(/^a\.yaml:\d+: /, "")).toBe(problem);
  });

  it.each<[string, string, string]>([
    ["version: 1", "version: 2", "a.yaml:1: version: is not 1; write 1"],
    ["version: 1", 'version: "1"', "a.yaml:1: version: is not 1; write 1"],
    ["version: 1\n", "", "a.yaml:1: version: is missing; write 1"],
    ["template: a\n", "", "a.yaml:1: template: is missing; write 'template:' with text behind it"],
    ["template: a", "template: 7", 'a.yaml:2: template: is a number where text belongs; write it in quotes: "7"'],
  ])("%j as %j", (right, wrong, problem) => {
    expect(problemsOfTree({ "a.yaml": template(trusted, "a").replace(right, wrong) })).toEqual([problem]);
  });

  it.each<[string, string]>([
    ["max_ttl: 600", `max_ttl: 600 has no unit: ${spans}`],
    ["unrevocable: 5m", `unrevocable: is the text "5m" where a map belongs; ${map}`],
    ["credentials: { provider: local }", "credentials: is a map where a list belongs; write a list: [one, two]"],
    [
      "credentials: [{ provider: local, options: { kind: 0x10 } }]",
      'credentials.0.options.kind: a number: ids are quoted strings, so that no digit of them is lost; write it in quotes: "0x10"',
    ],
    [
      "credentials: [{ provider: local, options: { kind: [x509, 7] } }]",
      'credentials.0.options.kind.1: a number: ids are quoted strings, so that no digit of them is lost; write it in quotes: "7"',
    ],
    ["credentials: [{ provider: local, options: { kind: [] } }]", "credentials.0.options.kind: an empty list accepts nothing"],
    [
      "credentials: [{ provider: local, commands: [npm, run] }]",
      "credentials.0.commands: write pinned, or a list of commands, each a list itself: [[npm, run, migrate]]",
    ],
    ["tolerate: [no-swp]", "tolerate.0: is not no-swap or pids-limit; did you mean no-swap?"],
  ])("in bounds: %s", (lines, problem) => {
    const tree = { "bounds.yaml": `version: 1\n${lines}\n`, "a.yaml": template(trusted, "a") };
    expect(problemsOfTree(tree)).toEqual([`bounds.yaml:2: ${problem}`]);
  });
});

const base = template(
  `${trusted}\ncredentials: { db: { provider: vault-main, path: kv/x }, client: { provider: local } }\nsteps: { ship: { credentials: [db, client], run: [x], workspace: read-only } }`,
  "base",
);
const each = (lines: string) =>
  template(`extends: base\n${trusted}\nfor_each:\n  staging: { p: shop-1 }\n  prod: { p: root }\n${lines}`, "a");
const open = template('credentials:\n  c: { provider: vault-main, path: "kv/{each.p}" }', "base");

describe("what follows from a mistake is not a second one", () => {
  it.each<[string, Tree, readonly string[]]>([
    [
      "a misspelled key of bounds that also say whose the templates are",
      {
        "bounds.yaml": 'version: 1\nmax_tl: 5m\nwho: { issuer: github, repository_id: "1" }\n',
        "a.yaml": template("who: { trust: protected }", "a"),
      },
      ["bounds.yaml:2: max_tl: no such key; did you mean max_ttl?"],
    ],
    [
      "bounds that are no YAML",
      { "bounds.yaml": "version: 1\nwho: &a {}\n", "x/a.yaml": template("who: { trust: protected }", "x/a") },
      ["bounds.yaml:2: an anchor; write the value out where it is used"],
    ],
    [
      "a flawed host in bounds",
      {
        "bounds.yaml": 'version: 1\nnetwork: ["*.com"]\n',
        "a.yaml": template(`${trusted}\nnetwork: [a.example.com]`, "a"),
      },
      [
        "bounds.yaml:2: network.0: '*' cannot stand in the last two labels: everybody can have a name there; name the domain, such as *.example.com",
      ],
    ],
    [
      "a set without a revision",
      {
        "s.set.yaml": "version: 1\nset: s\nhosts: [a.example.com]\n",
        "a.yaml": template(`${trusted}\nnetwork: [set:s]`, "a"),
      },
      ["s.set.yaml:1: revision: is missing; write 'revision:' with text behind it"],
    ],
    [
      "a set with a flawed host, which bounds name",
      {
        "s.set.yaml": 'version: 1\nset: s\nrevision: "1"\nhosts: [b.example.com, "*.com"]\n',
        "bounds.yaml": "version: 1\nnetwork: [set:s]\n",
        "a.yaml": template(`${trusted}\nnetwork: [a.example.com]`, "a"),
      },
      [
        "s.set.yaml:4: hosts.1: '*' cannot stand in the last two labels: everybody can have a name there; name the domain, such as *.example.com",
      ],
    ],
    [
      "a set that is no YAML",
      { "s.set.yaml": "version: 1\nset: *a\n", "a.yaml": template(`${trusted}\nnetwork: [set:s]`, "a") },
      ["s.set.yaml:2: an alias; write the value out"],
    ],
    [
      "a base that is no YAML",
      { "base.yaml": "version: 1\ntemplate: &a base\n", "a.yaml": template(`extends: base\n${trusted}`, "a") },
      ["base.yaml:2: an anchor; write the value out where it is used"],
    ],
    [
      "a flaw in one of several who",
      {
        "a.yaml": template("who: [{ issuer: github, repository_id: 7 }, { trust: protected }]", "a"),
      },
      [
        'a.yaml:3: who.0.repository_id: a number: ids are quoted strings, so that no digit of them is lost; write it in quotes: "7"',
      ],
    ],
    [
      "a credential that a child misspells",
      { "base.yaml": base, "a.yaml": template("extends: base\ncredentials: { db: { ttl: 5m }, clint: {} }", "a") },
      ["a.yaml:4: credentials.clint: base has no such credential, and a template only narrows its base; did you mean client?"],
    ],
    [
      "a credential that a child leaves out",
      { "base.yaml": base, "a.yaml": template("extends: base\ncredentials: { db: { ttl: 5m } }", "a") },
      [
        "a.yaml:4: credentials: leaves out client, which step ship of base gets; keep it with 'client: {}', or write in 'steps' which credentials each step keeps",
      ],
    ],
    [
      "a name in a folder, of each entry",
      {
        "x/a.yaml": template(
          `${trusted.replace(" }", ', environment: "{each.e}" }')}\nfor_each: { staging: { e: s }, prod: { e: p } }`,
          "other",
        ),
      },
      ["x/a.yaml:2: template: a template in x/ is called x/…; call it x/other"],
    ],
  ])("%s", (_, tree, problems) => {
    expect(problemsOfTree(tree)).toEqual(problems);
  });
});

describe("a value of for_each that is wrong where it is put in is named itself", () => {
  const bounds = 'version: 1\ncredentials: [{ provider: vault-main, options: { path: "kv/shop-*" } }]\n';

  it.each<[string, Tree, readonly string[]]>([
    [
      "beyond bounds, in its base",
      { "bounds.yaml": bounds, "base.yaml": open, "a.yaml": each("") },
      ['a.yaml:7: for_each.prod.p: credentials.c.path is then "kv/root": not "kv/shop-*", by bounds.yaml'],
    ],
    [
      "not of its kind, in its base",
      { "base.yaml": open, "a.yaml": each("").replace("p: root", "p: ../root") },
      ['a.yaml:7: for_each.prod.p: credentials.c.path is then "kv/../root": whatever fills its slots, this is no path-segment'],
    ],
    [
      "an entry of its base",
      {
        "bounds.yaml": bounds,
        "base.yaml": each("")
          .replace("extends: base\n", "")
          .replace("template: a", "template: base")
          .concat('credentials:\n  c: { provider: vault-main, path: "kv/{each.p}" }\n'),
        "a.yaml": template("extends: base/prod", "a"),
      },
      ['base.yaml:6: for_each.prod.p: credentials.c.path is then "kv/root": not "kv/shop-*", by bounds.yaml'],
    ],
    [
      "a variable that its base's own entry has too",
      {
        "bounds.yaml": bounds,
        "base.yaml": each("")
          .replace("extends: base\n", "")
          .replace("template: a", "template: base")
          .concat('credentials:\n  c: { provider: vault-main, path: "kv/{each.p}" }\n'),
        "a.yaml": template('extends: base/prod\nfor_each: { eu: { p: shop-2 } }\nwho: { environment: "{each.p}" }', "a"),
      },
      ['base.yaml:6: for_each.prod.p: credentials.c.path is then "kv/root": not "kv/shop-*", by bounds.yaml'],
    ],
    [
      "two variables in one text: their entry",
      {
        "a.yaml": each('owner: "{each.p}{each.q}"')
          .replace("extends: base\n", "")
          .replace("{ p: shop-1 }", '{ p: "x", q: "y" }')
          .replace("{ p: root }", `{ p: "${"x".repeat(100)}", q: "${"y".repeat(100)}" }`),
      },
      [`a.yaml:6: for_each.prod: owner is then "${"x".repeat(100)}${"y".repeat(27)}…: 128 characters at most`],
    ],
    [
      "one of a list: the list, and the entry",
      {
        "bounds.yaml": "version: 1\nnetwork: [shop-1.example.com]\n",
        "a.yaml": each('network: ["{each.p}.example.com"]').replace("extends: base\n", ""),
      },
      ["a.yaml:7: network: root.example.com:443 cannot be reached here, by bounds.yaml, in entry prod of for_each"],
    ],
    [
      "a line of who",
      {
        "a.yaml": `${each("").replace("extends: base\n", "").replace("trust: protected", 'trust: "{each.p}"').replace("shop-1", "branch")}`,
      },
      [
        "a.yaml:6: for_each.prod.p: who.trust is then \"root\": trust is one of protected, branch, pull_request, fork; 'unknown' can never be asked for",
      ],
    ],
  ])("%s", (_, tree, problems) => {
    expect(problemsOfTree(tree)).toEqual(problems);
  });
});

describe("a network that is only observed", () => {
  const observing = template(`${trusted}\nobserve: { parts: [network], until: "2027-01-31" }`, "x/a");

  it("has none of the bounds' hosts for a bound, and does not load beneath bounds that name some", () => {
    expect(problemsOfTree({ "bounds.yaml": "version: 1\nnetwork: [a.example.com]\n", "x/a.yaml": observing })).toEqual([
      "x/a.yaml:4: observe.parts: a network that is only observed lets anything through, by bounds.yaml; take network out of it",
    ]);
  });

  it("loads where bounds say nothing of networks", () => {
    expect(problemsOfTree({ "bounds.yaml": "version: 1\nmax_ttl: 1h\n", "x/a.yaml": observing })).toEqual([]);
  });
});
