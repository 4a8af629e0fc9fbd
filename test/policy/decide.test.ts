import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Claim, Identity } from "../../src/identity/identity.ts";
import { type Ask, decide } from "../../src/policy/decide.ts";
import { explained, explainText } from "../../src/policy/explain.ts";
import type { Decision } from "../../src/policy/grant.ts";
import { match } from "../../src/policy/match.ts";
import { type Delivery, type Isolation, identityWith, policyOf, template } from "./rooms.ts";

const policy = policyOf(
  template(
    `who: { issuer: github, repository_id: "1", trust: protected, not: { event_name: [workflow_run] } }
credentials:
  db: { provider: vault-main, path: "database/creds/{environment}", ttl: 5m, deliver: { files: { user: username } } }
  cert: { provider: local, commonName: "ci-{run_id}" }
steps:
  build: { workspace: read-only }
  migrate: { run: [npm, run, migrate], credentials: [db] }
  ship: { credentials: [cert, db] }
sandbox: { memory: 2GiB }`,
    "deploy",
  ),
  template('who: { issuer: github, repository_id: ["2", "3"] }\ncredentials:\n  cert: { provider: local }', "plain"),
  template('who: { issuer: github, repository_id: "3" }', "other"),
);

const claims = { repository_id: "1", environment: "prod", run_id: "77", event_name: "push" };

function ask(
  changes: Partial<Ask> = {},
  held: Readonly<Record<string, Claim>> = claims,
  identity: Partial<Identity> = {},
): Ask {
  return {
    identity: identityWith(held, identity),
    template: undefined,
    step: undefined,
    command: ["true"],
    now: 0,
    ...changes,
  };
}

function decided(...args: Parameters<typeof ask>): Decision<Delivery, Isolation> {
  return decide(policy, ask(...args));
}

describe("a grant", () => {
  it("has the step's credentials in the step's order, their slots filled", () => {
    expect(decided({ step: "ship" })).toEqual({
      kind: "granted",
      template: "deploy",
      policy: policy.digest,
      step: "ship",
      reason: "template deploy matched on issuer, repository_id, trust, not event_name",
      identity: identityWith(claims),
      credentials: [
        { name: "cert", provider: "local", options: { kind: "x509", commonName: "ci-77" }, ttl: 600_000, deliver: undefined },
        {
          name: "db",
          provider: "vault-main",
          options: { path: "database/creds/prod" },
          ttl: 300_000,
          deliver: { files: { user: "username" } },
        },
      ],
      command: ["true"],
      workspace: "rw",
      isolation: { memory: "2GiB", timeout: "30m", tolerate: {} },
    });
  });

  it.each<[string, Partial<Ask>, Readonly<Record<string, Claim>>, object]>([
    [
      "a step without credentials gets none, and fills no slot",
      { step: "build" },
      { repository_id: "1" },
      { credentials: [], workspace: "read-only" },
    ],
    ["a template that is named", { step: "build", template: "deploy" }, claims, { template: "deploy" }],
    ["a pinned command that is left out", { step: "migrate", command: [] }, claims, { command: ["npm", "run", "migrate"] }],
    [
      "a pinned command that is repeated",
      { step: "migrate", command: ["npm", "run", "migrate"] },
      claims,
      { command: ["npm", "run", "migrate"] },
    ],
    [
      "a template without steps gives everything",
      {},
      { repository_id: "2" },
      { template: "plain", step: undefined, workspace: "rw" },
    ],
    [
      "of two that match, the one that is named",
      { template: "other" },
      { repository_id: "3" },
      { template: "other", credentials: [] },
    ],
    ["a number fills a slot", { step: "ship" }, { ...claims, run_id: 77 }, { kind: "granted" }],
  ])("%s", (_, changes, held, grant) => {
    expect(decided(changes, held)).toMatchObject({ kind: "granted", ...grant });
  });
});

describe("a denial", () => {
  it.each<[string, Partial<Ask>, Readonly<Record<string, Claim>>, string, string]>([
    ["an unknown template", { template: "nope" }, claims, "template-unknown", 'no template is called "nope"'],
    [
      "a template that every object has",
      { template: "constructor" },
      claims,
      "template-unknown",
      'no template is called "constructor"',
    ],
    ["nobody's identity", {}, { repository_id: "9" }, "no-match", "no template is meant for this identity"],
    ["an identity without claims", {}, {}, "no-match", "no template is meant for this identity"],
    [
      "two that match",
      {},
      { repository_id: "3" },
      "ambiguous",
      "more than one template is meant for this identity: other, plain",
    ],
    [
      "another value",
      { template: "deploy" },
      { repository_id: "2" },
      "claim-mismatch",
      'repository_id of this job is "2", which template deploy does not accept',
    ],
    [
      "an absent claim",
      { template: "deploy" },
      {},
      "claim-mismatch",
      "repository_id is absent from this job's token, which template deploy does not accept",
    ],
    [
      "a value that is ruled out",
      { template: "deploy" },
      { ...claims, event_name: "workflow_run" },
      "claim-mismatch",
      'event_name of this job is "workflow_run", which template deploy does not accept',
    ],
    ["no step where there are steps", {}, claims, "step-required", "template deploy has steps, name one: build, migrate, ship"],
    ["an unknown step", { step: "nope" }, claims, "step-unknown", 'template deploy has no step "nope"'],
    ["a step that every object has", { step: "toString" }, claims, "step-unknown", 'template deploy has no step "toString"'],
    [
      "a step where there are none",
      { step: "build" },
      { repository_id: "2" },
      "step-unknown",
      'template plain has no step "build"',
    ],
    [
      "another command than the pinned",
      { step: "migrate", command: ["npm", "run", "migrate", "--", "x"] },
      claims,
      "step-command",
      "template deploy pins another command for step migrate",
    ],
    [
      "a shorter command than the pinned",
      { step: "migrate", command: ["npm"] },
      claims,
      "step-command",
      "template deploy pins another command for step migrate",
    ],
    ["no command at all", { step: "ship", command: [] }, claims, "usage", "no command was given, and the template pins none"],
    [
      "a slot whose claim is absent",
      { step: "ship" },
      { repository_id: "1", run_id: "77" },
      "slot-unfillable",
      "the claim environment cannot fill its slot, which takes a path-segment",
    ],
    ...["../x", "..", "a/b", "", "a b", "a%2fb", "*", "a\n", "a}", "${x}", "x".repeat(129)].map(
      (environment): [string, Partial<Ask>, Readonly<Record<string, Claim>>, string, string] => [
        `a slot filled with ${JSON.stringify(environment).slice(0, 20)}`,
        { step: "migrate", command: [] },
        { ...claims, environment },
        "slot-unfillable",
        "the claim environment cannot fill its slot, which takes a path-segment",
      ],
    ),
  ])("%s", (_, changes, held, ...[code, message]) => {
    expect(decided(changes, held)).toMatchObject({ kind: "denied", code, message, policy: policy.digest });
  });

  it("trust that is unknown is told as the job's own", () => {
    expect(decided({ template: "deploy" }, claims, { trust: "unknown" })).toMatchObject({
      code: "claim-mismatch",
      message: 'trust of this job is "unknown", which template deploy does not accept',
    });
  });

  it("never says what would have matched, but its trace does", () => {
    const denial = decided({ template: "plain" }, { repository_id: "8" });
    expect(denial).toMatchObject({
      message: expect.not.stringMatching(/"2"|"3"/) as string,
      trace: [{ template: "plain", matched: false, lines: [{}, { expected: '["2","3"]', found: '"8"', held: false }] }],
    });
  });

  it("an error of our own denies too, and its text stays inside", () => {
    const broken = identityWith(claims);
    const identity = new Proxy(broken, {
      get: (target, key) => {
        if (key === "claims") throw new Error("secret detail");
        return Reflect.get(target, key) as unknown;
      },
    });
    expect(decide(policy, { ...ask(), identity })).toMatchObject({
      kind: "denied",
      code: "internal",
      message: "an internal error; the broker's log has the detail under this id",
    });
  });
});

describe("the order of templates", () => {
  it("never decides", () => {
    const texts = ["1", "2", "3"].map((id) => template(`who: { issuer: github, repository_id: ["${id}", "9"] }`, `t${id}`));
    fc.assert(
      fc.property(fc.shuffledSubarray(texts, { minLength: 3 }), fc.constantFrom("1", "2", "3", "9", "4"), (shuffled, id) => {
        const one = decide(policyOf(...texts), ask({}, { repository_id: id }));
        const other = decide(policyOf(...shuffled), ask({}, { repository_id: id }));
        expect({ ...other, policy: "" }).toEqual({ ...one, policy: "" });
      }),
    );
  });

  it("one template more never turns a denial for one that is named into a grant", () => {
    const added = policyOf(
      template('who: { issuer: github, repository_id: "2" }', "named"),
      template('who: { issuer: github, repository_id: "1" }', "wide"),
    );
    expect(decide(added, ask({ template: "named" }))).toMatchObject({ code: "claim-mismatch" });
  });
});

describe("explaining", () => {
  it("a denial shows each line, what it wants and what it found", () => {
    const denial = decided({ template: "deploy" }, { ...claims, repository_id: "2" });
    expect(explainText(denial)).toBe(
      [
        'denied: repository_id of this job is "2", which template deploy does not accept',
        "  code    claim-mismatch",
        `  policy  ${policy.digest}`,
        "template deploy: does not match",
        '  yes  issuer         wants "github"  found "github"',
        '  NO   repository_id  wants "1"  found "2"',
      ].join("\n"),
    );
    expect(explained(denial)).toEqual(denial);
  });

  it("a grant shows what the job gets", () => {
    const identity = identityWith(claims);
    const traces = [...policy.templates.values()].map((one) => match(one, identity));
    const text = explainText(decided({ step: "ship" }), traces);
    expect(text).toContain('  credential db from vault-main, for 300s\n    scope    {"path":"database/creds/prod"}');
    expect(text).toContain("    deliver  every part under its own name");
    expect(text).toContain('  sandbox    {"memory":"2GiB"');
    expect(text).toContain("template other: does not match");
    expect(text).toContain("template deploy: matches");
  });

  it("a grant as JSON has no claims and survives JSON", () => {
    const json = explained(decided({}, { repository_id: "2" }));
    expect(json).toMatchObject({ kind: "granted", step: null, identity: { workload: "github:519283746" }, trace: [] });
    expect(JSON.stringify(json)).not.toContain('"claims"');
  });

  it("a step without credentials says so", () => {
    expect(explainText(decided({ step: "build" }))).toContain("\n  no credentials\n");
  });
});
