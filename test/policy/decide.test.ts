import { describe, expect, it } from "vitest";
import type { Claim, Identity } from "../../src/identity/identity.ts";
import { type Ask, decide, decideBegun } from "../../src/policy/decide.ts";
import type { Decision } from "../../src/policy/grant.ts";
import { hoursSchema } from "../../src/policy/hours.ts";
import { slot } from "../../src/policy/slots.ts";
import { type ByHand, credential, made, named, policyOf, step } from "./by-hand.ts";
import { identityWith } from "./identities.ts";

const database = {
  provider: "vault-main",
  options: { path: slot("path-segment").parse("database/creds/{environment}") },
  ttl: 300_000,
  deliver: { files: { user: "username" } },
};

const deploy = made(
  "deploy",
  { issuer: "github", repository_id: "1", trust: "protected", not: { event_name: ["workflow_run"] } },
  {
    credentials: named(
      credential("db", { ...database, wait: 30_000, optional: true }),
      credential("cert", { options: { kind: "x509", commonName: slot("name").parse("ci-{run_id}") } }),
    ),
    steps: named(
      step("build", { workspace: "read-only" }),
      step("migrate", { run: ["npm", "run", "migrate"], credentials: ["db"] }),
      step("ship", { credentials: ["cert", "db"], network: [{ host: "db.example.com", port: 5432, from: undefined }] }),
    ),
  },
);

const policy = policyOf([
  deploy,
  made("plain", { issuer: "github", repository_id: ["2", "3"] }, { credentials: named(credential("cert")) }),
  made("other", { issuer: "github", repository_id: "3" }),
]);

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

function decided(...args: Parameters<typeof ask>): Decision<unknown, string> {
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
        credential("cert", { options: { kind: "x509", commonName: "ci-77" } }),
        credential("db", { ...database, options: { path: "database/creds/prod" }, wait: 30_000, optional: true }),
      ],
      command: ["true"],
      workspace: "rw",
      network: [{ host: "db.example.com", port: 5432, from: undefined }],
      isolation: "enforced",
      observe: undefined,
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
    for (const template of [undefined, "deploy"])
      expect(decide(policy, { ...ask({ template }), identity })).toMatchObject({
        kind: "denied",
        code: "internal",
        message: "an internal error; the broker's log has the detail under this id",
        trace: [],
      });
  });
});

describe("a policy of many", () => {
  const id = (name: string, repository: string): ByHand => made(name, { issuer: "github", repository_id: repository });

  it("one template more never turns a denial for one that is named into a grant", () => {
    const both = policyOf([id("named", "2"), id("wide", "1")]);
    expect(decide(both, ask({ template: "named" }))).toMatchObject({ code: "claim-mismatch" });
  });

  it("a denial tells of those that name this identity's ids, and of none of the thousand others", () => {
    const others = Array.from({ length: 1_000 }, (_, index) => id(`o${index}`, `9${index}`));
    const mine = made("mine", { issuer: "github", repository_id: "1", ref: "main" });
    expect(decide(policyOf([...others, mine]), ask())).toMatchObject({ code: "no-match", trace: [{ template: "mine" }] });
  });

  it("a denial tells of twenty at most, and names ten", () => {
    const same = Array.from({ length: 1_000 }, (_, index) => id(`t${1_000 + index}`, "1"));
    const denial = decide(policyOf(same), ask());
    expect(denial).toMatchObject({
      code: "ambiguous",
      message: `more than one template is meant for this identity: ${same
        .slice(0, 10)
        .map(({ name }) => name)
        .join(", ")} and 990 more`,
    });
    expect(denial.kind === "denied" ? denial.trace.length : 0).toBe(20);
    const unmatched = same.map(({ name }) => made(name, { issuer: "github", repository_id: "1", ref: "main" }));
    expect(decide(policyOf(unmatched), ask())).toMatchObject({ code: "no-match", trace: { length: 20 } });
  });

  it("where the one that is meant cannot be used, the denial tells of that one alone", () => {
    const other = made("also", { issuer: "github", repository_id: "1", ref: "x" });
    expect(decide(policyOf([other, deploy]), ask({ step: "nope" }))).toMatchObject({
      code: "step-unknown",
      trace: [{ template: "deploy", matched: true }],
    });
  });
});

describe("a template with alternatives", () => {
  const either = made("either", {
    issuer: "github",
    any: [{ ref: "main", actor: "bob" }, { ref_type: "tag" }, { absent: ["run_id"] }],
  });

  it("the caller hears its own value of each claim at which an alternative failed", () => {
    expect(decide(policyOf([either]), ask({ template: "either" }, { ref: "main", run_id: "7" }))).toMatchObject({
      code: "claim-mismatch",
      message:
        "actor is absent from this job's token and ref_type is absent from this job's token and run_id of this job is \"7\", which template either does not accept",
      trace: [
        {
          lines: [{ held: true }, { line: "any", found: '1 at actor, absent; 2 at ref_type, absent; 3 at absent run_id, "7"' }],
        },
      ],
    });
  });

  it("each of them will do", () => {
    for (const held of [{ ref: "main", actor: "bob", run_id: "7" }, { ref_type: "tag", run_id: "7" }, {}])
      expect(decide(policyOf([either]), ask({}, held))).toMatchObject({
        kind: "granted",
        reason: "template either matched on issuer, any",
      });
  });
});

describe("hours", () => {
  const noon = Date.parse("2026-01-05T12:00:00Z");
  const when = [
    { days: "mon-fri", zone: "UTC" },
    { hours: "07:00-19:00", zone: "UTC" },
  ].map((one) => hoursSchema.parse(one));
  const office = policyOf([made("office", { issuer: "github", repository_id: "1" }, { when })]);

  it("in them the template can be used", () => {
    expect(decide(office, ask({ now: noon }))).toMatchObject({ kind: "granted" });
  });

  it.each<[string, string, number, object]>([
    [
      "at night",
      "2026-01-05T19:00:00Z",
      4,
      { expected: "mon,tue,wed,thu,fri,sat,sun 07:00-19:00 UTC", found: "mon 19:00 UTC" },
    ],
    ["at the weekend", "2026-01-10T12:00:00Z", 3, { expected: "mon,tue,wed,thu,fri 00:00-24:00 UTC", found: "sat 12:00 UTC" }],
  ])("%s it cannot; the trace says when, and the caller does not hear it", (_, now, length, last) => {
    const denial = decide(office, ask({ now: Date.parse(now) }));
    expect(denial).toMatchObject({
      kind: "denied",
      code: "outside-hours",
      message: "template office cannot be used at this time",
      trace: [{ template: "office", matched: false, lines: { length } }],
    });
    const line = denial.kind === "denied" ? denial.trace[0]?.lines.at(-1) : undefined;
    expect(line).toEqual({ line: "when", held: false, ...last });
  });

  it("are not told to whom it is not for", () => {
    const denial = decide(office, ask({ template: "office", now: 0 }, { repository_id: "2" }));
    expect(denial).toMatchObject({ code: "claim-mismatch", trace: [{ lines: { length: 2 } }] });
  });

  it("never choose between two: a clock would decide who has what", () => {
    const both = policyOf([...office.templates.values(), made("always", { issuer: "github", repository_id: "1" })]);
    expect(decide(both, ask({ now: 0 }))).toMatchObject({ code: "ambiguous" });
  });

  it("are not asked again of what has begun", () => {
    expect(decideBegun(office, ask({ now: noon + 86_400_000 * 5 }))).toMatchObject({ kind: "granted" });
  });
});

describe("what a run is confined by", () => {
  const endpoint = (host: string) => ({ host, port: 443, from: "set:node" });
  const until = 1_000;
  const loose = made(
    "loose",
    { issuer: "github", repository_id: "1" },
    {
      network: [endpoint("a.example.com")],
      isolation: { base: "small", byTrust: new Map([["fork", "smallest"]]) },
      unlimited: { base: "small, unlimited", byTrust: new Map([["fork", "smallest, unlimited"]]) },
      observe: { parts: ["limits", "network"], until },
    },
  );
  it.each<[string, Partial<ByHand>, Partial<Ask> & { readonly trust?: Identity["trust"] }, object]>([
    [
      "the template's own, with its network",
      { observe: undefined },
      {},
      { isolation: "small", network: [endpoint("a.example.com")] },
    ],
    ["what the job's trust makes of it", { observe: undefined }, { trust: "fork" }, { isolation: "smallest" }],
    ["a step's network and not the template's", { steps: named(step("s")) }, { step: "s" }, { network: [] }],
    ["limits that are only observed", {}, { now: until - 1 }, { isolation: "small, unlimited", observe: { until } }],
    ["the same by trust", {}, { now: until - 1, trust: "fork" }, { isolation: "smallest, unlimited" }],
    ["all of it again, once that is over", {}, { now: until }, { isolation: "small", observe: undefined }],
    [
      "limits that are enforced, where only the network is observed",
      { observe: { parts: ["network"], until } },
      {},
      { isolation: "small", observe: { parts: ["network"] } },
    ],
  ])("%s", (_, template, { trust = "protected", ...changes }, grant) => {
    expect(decide(policyOf([{ ...loose, ...template }]), ask(changes, claims, { trust }))).toMatchObject({
      kind: "granted",
      ...grant,
    });
  });
});
