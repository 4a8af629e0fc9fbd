import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { compile, policyOf, problemsOf, template, who } from "../rooms.ts";

const full = `version: 1
template: deploy
owner: team-shop
who:
  issuer: github
  repository_id: "519283746"
  trust: protected
  ref: [refs/heads/main, "refs/tags/**"]
  not: { event_name: [pull_request_target, workflow_run] }
credentials:
  cert: { provider: local, commonName: "ci-{repository_id}", ttl: 15m }
  db:
    provider: vault-main
    path: "database/creds/{repository_id}"
    wait: 30s
    optional: true
    deliver: { files: { user: username } }
steps:
  build: { credentials: [], network: [], workspace: read-only }
  ship: { run: ["npm", "run", "ship", "--{x}"], credentials: [db, cert], network: ["db.example.com:5432"] }
sandbox: { memory: 2GiB, by_trust: { protected: { memory: 1GiB } } }
when: { days: mon-fri, hours: "07:00-19:00", zone: Europe/Berlin }
observe: { parts: [limits], until: "2027-01-31" }
max_ttl: 20m
accept: { owner-wide: "the id is the shop's own repository" }
tolerate: { no-swap: "the build host has swap" }
`;

describe("a template that loads", () => {
  it("is read into every room's terms", () => {
    const loaded = policyOf(full).templates.get("deploy");
    expect(loaded).toMatchObject({
      name: "deploy",
      file: "t0.yaml",
      owner: "team-shop",
      isolation: {
        base: { memory: "2GiB", timeout: "30m", tolerate: { "no-swap": "the build host has swap" } },
        byTrust: new Map([["protected", expect.objectContaining({ memory: "1GiB", timeout: "30m" })]]),
      },
      when: [{ expected: "mon,tue,wed,thu,fri 07:00-19:00 Europe/Berlin" }],
      observe: { parts: ["limits"], until: Date.UTC(2027, 1, 1) },
      unlimited: { base: { memory: "1024GiB" } },
      accepts: { "owner-wide": "the id is the shop's own repository" },
    });
    expect(loaded?.credentials.get("db")).toMatchObject({
      provider: "vault-main",
      ttl: 600_000,
      deliver: { files: { user: "username" } },
      wait: 30_000,
      optional: true,
    });
    expect(loaded?.steps.get("build")).toEqual({
      name: "build",
      run: undefined,
      credentials: [],
      network: [],
      workspace: "read-only",
    });
    expect(loaded?.steps.get("ship")).toEqual({
      name: "ship",
      run: ["npm", "run", "ship", "--{x}"],
      credentials: ["db", "cert"],
      network: [{ host: "db.example.com", port: 5432, from: undefined }],
      workspace: "rw",
    });
  });

  it.each<[string, string]>([
    ["the least there can be", template(who)],
    ["a name with parts", template(who, "deploy/production")],
    ["Windows line ends", template(who).replaceAll("\n", "\r\n")],
    ["a comment and a document start", `# shop\n---\n${template(who)}`],
    ["an id in single quotes", template("who: { issuer: github, repository_id: '0123' }")],
    ["a long id", template('who: { issuer: github, repository_id: "12345678901234567890" }')],
    ["words that older YAML took for booleans", template("who: { issuer: github, repository: no }")],
    ["a claim whose name is a number", template("who: { issuer: github, repository_id: '1', 1: x }")],
    ["two issuers", template("who: { issuer: [github, gitlab], sub: x }")],
    [
      "paths below two whole segments of a trust domain",
      template('who: { issuer: mesh, sub: "spiffe://example.org/ns/ci/**" }'),
    ],
    ["paths beside each other there", template('who: { issuer: mesh, sub: "spiffe://example.org/ns/ci/deploy-*" }')],
    ["an issuer that says by itself whose its jobs are", template('who: { issuer: folder, sub: "https://ci.example/**" }')],
    [
      "an id in full in every alternative",
      template(
        'who: { issuer: github, any: [{ repository_id: "1", ref: refs/heads/main }, { repository_id: "2", absent: ref }] }',
      ),
    ],
    [
      "several who, of which each holds",
      template('who: [{ issuer: [github, gitlab] }, { issuer: github, repository_id: "1" }]'),
    ],
    [
      "a claim that the issuer can send, under not",
      template('who: { issuer: hub, repository_id: "1", not: { event_name: x, trust: fork } }'),
    ],
    ["an id in full beside a name with a glob", template('who: { issuer: github, repository_id: "1", repository: "octo/*" }')],
  ])("%s", (_, text) => {
    expect(problemsOf(text)).toEqual([]);
  });
});

const credential = (lines: string) => template(`${who}\ncredentials:\n  c: { ${lines} }`);
const steps = (lines: string) => template(`${who}\ncredentials:\n  c: { provider: local }\nsteps:\n  ${lines}`);

describe("a template that does not load says where and what to write", () => {
  it.each<[string, string, string]>([
    [
      "a number as id",
      template("who:\n  issuer: github\n  repository_id: 0519283746"),
      't0.yaml:5: who.repository_id: a number: ids are quoted strings, so that no digit of them is lost; write it in quotes: "0519283746"',
    ],
    [
      "a number in a list",
      template("who:\n  issuer: github\n  repository_id: [1, 12345678901234567890]"),
      't0.yaml:5: who.repository_id.1: a number: ids are quoted strings, so that no digit of them is lost; write it in quotes: "12345678901234567890"',
    ],
    [
      "a number under not",
      template("who:\n  issuer: github\n  ref: x\n  not:\n    actor_id: 1e3"),
      "t0.yaml:7: who.not.actor_id: a number",
    ],
    [
      "a number where a provider wants text",
      credential("provider: vault-main, path: 7"),
      't0.yaml:5: credentials.c.path: is a number where text belongs; write it in quotes: "7"',
    ],
    ["null as claim", template("who: { issuer: github, ref: ~, sha: x }"), "who.ref: not a value"],
    ["an empty list", template("who: { issuer: github, ref: [], sha: x }"), "who.ref: an empty list accepts nothing"],
    ["a list in a list", template("who: { issuer: github, ref: [[x]] }"), "who.ref.0: not a value"],
    ["no who at all", template("owner: x"), "the templates: none of them says in 'who' for whom it is"],
    ["a who with nothing in it", template("who:"), "t0.yaml:3: who: write the claims that the job's token must have"],
    ["an empty who", template("who: {}"), "t0.yaml:3: who: it asks for nothing: name a claim"],
    ["an empty list of who", template("who: []"), "t0.yaml:3: who: write the claims that the job's token must have"],
    ["no issuer", template("who: { repository_id: 'x' }"), "who: name the issuer, as mayfly.yaml calls it"],
    [
      "an issuer that is not configured",
      template("who: { issuer: jenkins, ref: x }"),
      "who.issuer: mayfly.yaml has no issuer jenkins; it has github, gitlab, mesh, folder, hub",
    ],
    ["an issuer as a glob", template("who: { issuer: git*, ref: x }"), "who.issuer: an issuer is named as in mayfly.yaml"],
    ["an issuer under not only", template("who: { ref: x, not: { issuer: github } }"), "who: name the issuer"],
    [
      "a branch that everybody has",
      template("who: { issuer: github, ref: refs/heads/main, trust: protected }"),
      "who: nothing in it says whose job it is",
    ],
    [
      "an event that everybody has",
      template("who: { issuer: github, event_name: push }"),
      "who: nothing in it says whose job it is",
    ],
    ["a glob for an id", template('who: { issuer: github, repository_id: "5*" }'), "who: nothing in it says whose job it is"],
    [
      "a glob for an owner",
      template('who: { issuer: github, repository: "*/web" }'),
      "who: nothing in it says whose job it is",
    ],
    [
      "a subject that is everybody's",
      template('who: { issuer: github, sub: "repo:**" }'),
      "who: nothing in it says whose job it is",
    ],
    ...[
      'github, repository: "octo/*"',
      'github, repository: [octo/web, "octo/*"]',
      'github, sub: "repo:octo/web:**"',
      'gitlab, sub: "/eid1/**"',
      'gitlab, sub: "global:default:**"',
      'gitlab, sub: "system:serviceaccount:**"',
      'gitlab, sub: "spiffe://example.org/ns/ci/**"',
      'gitlab, project_id: "1*"',
      'mesh, sub: "spiffe://example.org/**"',
      'mesh, sub: "spiffe://example.org/ns/**"',
      'mesh, sub: "spiffe://example.org/ns/*/deploy"',
      'mesh, sub: "spiffe://example.org/n*/ci/deploy"',
      'mesh, sub: "spiffe://example.org//ci/**"',
      'mesh, sub: "spiffe://*/ns/ci/**"',
      'mesh, sub: "spiffe://example.org.evil/ns/ci/**"',
      'mesh, sub: "**"',
    ].map((line): [string, string, string] => [
      `a glob where an id stands, ${line}`,
      template(`who: { issuer: ${line} }`),
      line.includes('"**"') ? "who: name at least one claim" : "who: nothing in it says whose job it is",
    ]),
    ["only an issuer", template("who: { issuer: github }"), "who: name at least one claim that says whose job it is"],
    ["only an issuer and trust", template("who: { issuer: github, trust: protected }"), "who: name at least one claim"],
    [
      "only claims that may be anything",
      template('who: { issuer: github, repository_id: "*" }'),
      "who: name at least one claim",
    ],
    ["only claims that are forbidden", template("who: { issuer: github, not: { ref: x } }"), "who: name at least one claim"],
    [
      "trust that is unknown",
      template("who: { issuer: github, ref: x, trust: unknown }"),
      "who.trust: trust is one of protected, branch, pull_request, fork",
    ],
    ["trust as a glob", template('who: { issuer: github, ref: x, trust: "p*" }'), "who.trust: trust is one of"],
    ["a glob in the middle", template('who: { issuer: github, ref: "**/main" }'), "who.ref: '**' can only stand at the end"],
    ["not as a list", template("who: { issuer: github, ref: x, not: [a] }"), "who.not: write the claims"],
    ["a claim with a blank", template('who: { issuer: github, "a b": x }'), "who.a b: a claim's name is printable ASCII"],
    ["an unknown key", template(`${who}\nwhom: {}`), "t0.yaml:4: whom: no such key"],
    [
      "an unknown key that is nearly one",
      template(`${who}\nforeach: {}`),
      "t0.yaml:4: foreach: no such key; did you mean for_each?",
    ],
    [
      "a misspelled claim under not, which would hold for everybody",
      template('who:\n  issuer: hub\n  repository_id: "1"\n  not: { event_nam: push }'),
      "t0.yaml:6: who.not.event_nam: no token of this issuer has a claim event_nam, so this holds for everybody; did you mean event_name?",
    ],
    [
      "a misspelled claim under absent",
      template('who: { issuer: hub, repository_id: "1", absent: [event_name, reff] }'),
      "t0.yaml:3: who.absent: no token of this issuer has a claim reff, so this holds for everybody; did you mean ref?",
    ],
    [
      "a misspelled claim under not in an alternative",
      template('who: { issuer: hub, repository_id: "1", any: [{ ref: x }, { ref: y, not: { sup: z } }] }'),
      "who.any.1.not.sup: no token of this issuer has a claim sup, so this holds for everybody; did you mean sub?",
    ],
    [
      "an alternative that is anybody's",
      template('who: { issuer: github, any: [{ repository_id: "1" }, { ref: refs/heads/main }] }'),
      "t0.yaml:3: who: nothing in it says whose job it is",
    ],
    [
      "two parts of who that no issuer is in",
      template('who: [{ issuer: github, repository_id: "1" }, { issuer: gitlab }]'),
      "t0.yaml:3: who.issuer: no issuer is in all of them, so nobody could match",
    ],
    [
      "a flaw in the second part of who",
      template('who:\n  - { issuer: github, repository_id: "1" }\n  - { ref: 7 }'),
      't0.yaml:5: who.1.ref: a number: ids are quoted strings, so that no digit of them is lost; write it in quotes: "7"',
    ],
    ["hours without a zone", template(`${who}\nwhen: { days: mon-fri }`), "t0.yaml:4: when.zone: name a time zone"],
    ["hours as text", template(`${who}\nwhen: mon-fri`), "t0.yaml:4: when: write days, hours and a zone"],
    [
      "a part that is never observed",
      template(`${who}\nobserve: { parts: [who], until: "2027-01-31" }`),
      "observe.parts.0: is not network or limits",
    ],
    ["an observation without an end", template(`${who}\nobserve: { parts: [network] }`), "observe.until: write a date"],
    [
      "an observation until a day that is none",
      template(`${who}\nobserve: { parts: [network], until: "2027-02-30" }`),
      "observe.until: write a date",
    ],
    [
      "a life longer than the template's longest",
      template(`${who}\nmax_ttl: 5m\ncredentials:\n  c: { provider: local, ttl: 6m }`),
      "t0.yaml:6: credentials.c.ttl: longer than this template's max_ttl, which is 5m",
    ],
    [
      "a job of a trust that there is not",
      template(`${who}\nsandbox:\n  by_trust: { public: { memory: 1GiB } }`),
      "t0.yaml:5: sandbox.by_trust",
    ],
    [
      "a sandbox key under by_trust that the room does not know",
      template(`${who}\nsandbox:\n  by_trust:\n    fork: { memroy: 1GiB }`),
      "t0.yaml:6: sandbox.by_trust.fork.memroy: no such key; did you mean memory?",
    ],
    [
      "tolerate under by_trust",
      template(`${who}\nsandbox:\n  by_trust:\n    fork: { tolerate: { no-swap: "it has swap" } }`),
      "t0.yaml:6: sandbox.by_trust.fork.tolerate: not here; 'tolerate' stands at the template's top",
    ],
    ["a wait of an hour", credential("provider: local, wait: 1h"), "credentials.c.wait: a run waits ten minutes at most"],
    [
      "a reason that is none",
      template(`${who}\naccept: { owner-wide: ok }`),
      "accept.owner-wide: say why, in at least eight characters",
    ],
    ["another version", template(who).replace("version: 1", "version: 2"), "t0.yaml:1: version: is not 1; write 1"],
    ["no version", template(who).replace("version: 1\n", ""), "version: is missing; write 1"],
    ["a name with a blank", template(who, "de ploy"), "template: a template's name is"],
    ["a name that goes up", template(who, "../x"), "template: a template's name is"],
    [
      "a provider that is not configured",
      credential("provider: aws"),
      "t0.yaml:5: credentials.c.provider: mayfly.yaml has no provider aws; it has vault-main, local",
    ],
    ["no provider", credential("ttl: 5m"), "credentials.c.provider: is missing"],
    [
      "an option that its provider does not have",
      credential("provider: local, commonname: x"),
      "t0.yaml:5: credentials.c.commonname: no such key",
    ],
    [
      "an option that is missing",
      credential("provider: vault-main"),
      "t0.yaml:5: credentials.c.path: is missing; write 'path:' with text behind it",
    ],
    [
      "a life that is too long for its provider",
      credential("provider: vault-main, path: x, ttl: 2h"),
      "credentials.c.ttl: longer than vault-main gives, which is 1h",
    ],
    ["a life of two days", credential("provider: local, ttl: 2d"), "credentials.c.ttl: a credential lives 24h at most"],
    ["a life without a unit", credential("provider: local, ttl: 15"), "credentials.c.ttl: 15 has no unit: write a duration"],
    ["a negative life", credential("provider: local, ttl: -5m"), "credentials.c.ttl: write a duration"],
    [
      "a delivery that the room does not know",
      credential("provider: local, deliver: { env: X }"),
      "t0.yaml:5: credentials.c.deliver.env: no such key",
    ],
    [
      "a delivery that does not fit the material",
      credential("provider: local, kind: jwt, deliver: { files: { a: b } }"),
      "credentials.c.deliver: a bearer has no such part",
    ],
    [
      "a brace in a plain option",
      credential('provider: vault-main, path: x, note: "{repository_id}"'),
      "credentials.c.note: a brace where no slot can stand",
    ],
    [
      "a brace in a list of plain options",
      credential('provider: vault-main, path: x, fields: ["a{"]'),
      "credentials.c.fields: a brace where no slot can stand",
    ],
    ["half a slot", credential('provider: vault-main, path: "a/{b"'), "credentials.c.path: a slot is written {claim}"],
    [
      "a slot of for_each",
      credential('provider: vault-main, path: "a/{each.account}"'),
      "t0.yaml:5: credentials.c.path: {each.account} without a for_each that fills it; write the value out",
    ],
    [
      "two slots that could merge",
      credential('provider: local, commonName: "{a}-{b}"'),
      "credentials.c.commonName: two slots need a character between them",
    ],
    [
      "two slots side by side",
      credential('provider: vault-main, path: "{a}{b}"'),
      "credentials.c.path: two slots need a character between them",
    ],
    ["a credential's name that is a path", template(`${who}\ncredentials:\n  ../x: { provider: local }`), "credentials.../x: "],
    [
      "a step that names no credential",
      steps("s: { credentials: [d] }"),
      "t0.yaml:7: steps.s.credentials.0: the template has no credential d; did you mean c?",
    ],
    ["a step that names one twice", steps("s: { credentials: [c, c] }"), "steps.s.credentials.1: c is named twice"],
    ["a step with an empty command", steps("s: { run: [] }"), "steps.s.run: name the command, or leave 'run' out"],
    ["a step with a command line", steps("s: { run: npm test }"), "steps.s.run: a command is a list of its words"],
    ["a workspace that nobody has", steps("s: { workspace: none }"), "steps.s.workspace: is not read-only or overlay or rw"],
    ["no steps in steps", template(`${who}\nsteps: {}`), "steps: name at least one step, or leave 'steps' out"],
    ["an unknown key of a step", steps("s: { timeout: 5m }"), "t0.yaml:7: steps.s.timeout: no such key"],
    [
      "a sandbox key that the room does not know",
      template(`${who}\nsandbox:\n  memory: 1GiB\n  gpu: 1`),
      "t0.yaml:6: sandbox.gpu: no such key",
    ],
    [
      "a sandbox value of another type",
      template(`${who}\nsandbox: { memory: 1 }`),
      't0.yaml:4: sandbox.memory: is a number where text belongs; write it in quotes: "1"',
    ],
    [
      "tolerate in the wrong place",
      template(`${who}\nsandbox: { tolerate: {} }`),
      "sandbox.tolerate: not here; 'tolerate' stands at the template's top",
    ],
    ["something that cannot be tolerated", template(`${who}\ntolerate:\n  root: "why not"`), "t0.yaml:5: tolerate.root: "],
  ])("%s", (_, text, problem) => {
    expect(problemsOf(text).join("\n")).toContain(problem);
  });

  it("all of them at once, over all files", () => {
    const problems = problemsOf(template("who: { issuer: git }\nwhom: 1"), credential("provider: aws"), "a: [");
    expect(problems.map((problem) => problem.split(":")[0])).toEqual(expect.arrayContaining(["t0.yaml", "t1.yaml", "t2.yaml"]));
    expect(problems.length).toBeGreaterThanOrEqual(4);
  });

  it("two templates of one name", () => {
    expect(problemsOf(template(who), template(who))).toEqual([
      "t1.yaml: template: t0.yaml has a template of this name too; give each template its own name",
    ]);
  });

  it("no templates at all", () => {
    expect(problemsOf()).toEqual(["the templates: there are none: nobody could have anything"]);
  });
});

const bomb = `a: &a [x,x]\n${"bcdefghi"
  .split("")
  .map((name, index) => `${name}: &${name} [${`*${"abcdefghi"[index]},`.repeat(9)}]`)
  .join("\n")}`;

describe("YAML that means something else than it shows", () => {
  it.each<[string, string, string]>([
    ["an alias", template(`${who}\nowner: &x a\nsandbox: { memory: *x }`), "t0.yaml:5: an alias; write the value out"],
    ["an anchor", template(`${who}\nowner: &x a`), "t0.yaml:4: an anchor"],
    ["an alias bomb", bomb, "an alias"],
    ["a tag", template(`${who}\nowner: !!str 5`), "t0.yaml:4: a tag; quote the value instead"],
    ["a tag of its own", template(`${who}\nowner: !secret x`), "t0.yaml:4: "],
    ["a merge key", template(`who:\n  <<: { ref: x }\n  issuer: github`), "t0.yaml:4: a merge key; write the keys out"],
    ["a duplicate key", template(`${who}\nowner: a\nowner: b`), "t0.yaml:5: Map keys must be unique"],
    ["a duplicate claim", template('who: { issuer: github, ref: a, "ref": b }'), "Map keys must be unique"],
    ["__proto__", template("who: { issuer: github, ref: x, __proto__: y }"), "t0.yaml:3: a key that no template can have"],
    ["a second document", `${template(who)}---\n${template(who)}`, "more than one document"],
    ["a directive", `%YAML 1.1\n---\n${template(who)}`, "directive"],
    ["a byte order mark", `\uFEFF${template(who)}`, "begins with a byte order mark"],
    ["tabs", template("who:\n\tissuer: github"), "t0.yaml:4: Tabs are not allowed as indentation"],
    ["nothing", "", "the file is empty"],
    ["only a comment", "# nothing\n", "the file is empty"],
    ["a list", "- a\n", "t0.yaml:1: is a list where a map belongs"],
    ["text", "deploy\n", 't0.yaml:1: is the text "deploy" where a map belongs'],
    ["a file that was cut", template(who).slice(0, -6), "t0.yaml:3: "],
    ["300 KiB", `${template(who)}#${"x".repeat(300_000)}`, "longer than 256 KiB"],
    ["a key that is a list", template(`${who}\n? [a, b]\n: c`), "t0.yaml:4: "],
  ])("%s", (_, text, problem) => {
    const begun = performance.now();
    expect(problemsOf(text).join("\n")).toContain(problem);
    expect(performance.now() - begun).toBeLessThan(250);
  });

  it("none of it leaves a trace on objects", () => {
    expect(({} as { ref?: unknown }).ref).toBeUndefined();
  });
});

describe("a policy's digest", () => {
  it("is of its text, which holds every file", () => {
    const policy = policyOf(template(who), template(who, "other"));
    expect(policy.digest).toBe(createHash("sha256").update(policy.text).digest("hex"));
    expect(policy.text).toBe(
      [
        `--- "t0.yaml" ${template(who).length}\n${template(who)}`,
        `--- "t1.yaml" ${template(who, "other").length}\n${template(who, "other")}`,
      ].join("\n"),
    );
  });

  it("changes with a comment, and not with the order of reading", () => {
    const one = policyOf(template(who), template(who, "other"));
    expect(policyOf(template(who), `${template(who, "other")}# x`).digest).not.toBe(one.digest);
    expect([...one.templates.keys()]).toEqual(["deploy", "other"]);
    expect(compile(template(who, "z"), template(who, "a"))).toMatchObject({ kind: "policy" });
    expect([...policyOf(template(who, "z"), template(who, "a")).templates.keys()]).toEqual(["a", "z"]);
  });

  it("a file's text cannot pass for another file", () => {
    const smuggled = `${template(who)}\n--- "t1.yaml" ${template(who, "other").length}\n${template(who, "other")}`;
    const twoFiles = policyOf(template(who), template(who, "other")).text;
    expect(`--- "t0.yaml" ${smuggled.length}\n${smuggled}`).not.toBe(twoFiles);
  });
});
