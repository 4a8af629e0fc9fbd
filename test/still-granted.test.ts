import { describe, expect, test } from "vitest";
import { type Delivery, deliverable, deliverySchema } from "../src/delivery/delivery.ts";
import type { Identity } from "../src/identity/identity.ts";
import { indexOf } from "../src/policy/candidates.ts";
import { decide } from "../src/policy/decide.ts";
import { hoursSchema } from "../src/policy/hours.ts";
import { compileTemplates } from "../src/policy/language/compile.ts";
import type { Policy, Template } from "../src/policy/policy.ts";
import { sandboxConfigSchema } from "../src/sandbox/config.ts";
import { isolationRoom } from "../src/sandbox/isolation-room.ts";
import type { Isolation } from "../src/sandbox/sandbox.ts";
import { type JobGrant, noLongerGranted } from "../src/still-granted.ts";
import { identityWith } from "./policy/identities.ts";
import { rooms } from "./policy/rooms.ts";

/** The parts of a template that this is about, each as it stands while the run begins. */
const parts = {
  who: '{ issuer: github, repository_id: "1" }',
  path: "database/creds/shop",
  ttl: "10m",
  deliver: "{ files: { user: username } }",
  sandbox: "{ memory: 1GiB, cpus: 2, pids: 100, timeout: 30m, env: { pass: [CI, LANG] } }",
  step: "{ credentials: [db], workspace: rw }",
  more: "",
};
type Parts = typeof parts;

function policyOf(changes: Partial<Parts>): Policy<Delivery, Isolation> {
  const { who, path, ttl, deliver, sandbox, step, more } = { ...parts, ...changes };
  const text = `version: 1
template: deploy
who: ${who}
credentials:
  db: { provider: vault-main, path: "${path}", ttl: ${ttl}, deliver: ${deliver} }
  ${more}
steps: { ship: ${step} }
sandbox: ${sandbox}
accept: { trust-missing: "this is about ids alone", dangerous-events: "this is about ids alone" }
`;
  const isolation = isolationRoom(sandboxConfigSchema.parse(undefined));
  const compiled = compileTemplates([{ file: "deploy.yaml", text }], {
    ...rooms,
    delivery: deliverySchema,
    isolation,
    deliverable,
  });
  if (compiled.kind === "policy") return compiled.policy;
  throw new Error(JSON.stringify(compiled.problems));
}

type Deploy = Template<Delivery, Isolation>;

/** The same policy, with its template as this makes it. */
function withTemplate(
  policy: Policy<Delivery, Isolation>,
  change: (template: Deploy) => Partial<Deploy>,
): Policy<Delivery, Isolation> {
  const templates = [...policy.templates.values()].map((template) => ({ ...template, ...change(template) }));
  return {
    ...policy,
    templates: new Map(templates.map((template) => [template.name, template])),
    candidates: indexOf(templates),
  };
}

const identityOf = (claims: Readonly<Record<string, string>> = {}): Identity => identityWith({ repository_id: "1", ...claims });

function grantOf(policy: Policy<Delivery, Isolation>, identity: Identity): JobGrant {
  const decision = decide(policy, { identity, template: "deploy", step: "ship", command: ["true"], now: 0 });
  if (decision.kind === "granted") return decision;
  throw new Error(decision.message);
}

interface Change {
  readonly before?: Partial<Parts>;
  readonly after?: Partial<Parts>;
  /** The claims of the first token and of the fresh one, beside the repository's. */
  readonly first?: Readonly<Record<string, string>>;
  readonly fresh?: Readonly<Record<string, string>>;
}

function denialAfter({ before = {}, after = before, first = {}, fresh = first }: Change) {
  const held = grantOf(policyOf(before), identityOf(first));
  return noLongerGranted(policyOf(after), held, { identity: identityOf(fresh), now: 0 });
}

const pathOfToken = "database/creds/{jti}";

describe("a job that proves itself afresh may go on", () => {
  test.each<[string, Change]>([
    ["where nothing has changed", {}],
    ["where its template lets more of them in", { after: { who: '{ issuer: github, repository_id: ["1", "2"] }' } }],
    ["where it would be given it for longer", { after: { ttl: "20m" } }],
    [
      "where it would be given more room",
      { after: { sandbox: "{ memory: 2GiB, cpus: 4, pids: 200, timeout: 60m, env: { pass: [CI, LANG] } }" } },
    ],
    [
      "where its template has another credential besides",
      {
        after: {
          more: "api: { provider: local, kind: jwt, deliver: { files: { token: token } } }",
          step: "{ credentials: [api, db], workspace: rw }",
        },
      },
    ],
    [
      "where a slot is filled from what differs between two tokens of it",
      { before: { path: pathOfToken }, first: { jti: "t1" }, fresh: { jti: "t2" } },
    ],
  ])("%s", (_, change) => {
    expect(denialAfter(change)).toBeUndefined();
  });
});

describe("a job that proves itself afresh may not go on", () => {
  const holds = { code: "no-match", message: "template deploy no longer gives what this job holds" };
  test.each<[string, Change, object]>([
    ["where the options of its credential differ", { after: { path: "database/creds/staging" } }, holds],
    ["where its credential is delivered elsewhere", { after: { deliver: "{ files: { name: username } }" } }, holds],
    ["where it would be given it for a shorter time", { after: { ttl: "1m" } }, holds],
    ["where its step no longer has the credential", { after: { step: "{ credentials: [], workspace: rw }" } }, holds],
    ["where its workspace differs", { after: { step: "{ credentials: [db], workspace: read-only }" } }, holds],
    ...["memory: 16MiB", "cpus: 1", "pids: 50", "timeout: 1m", "env: { pass: [CI] }"].map(
      (narrower): [string, Change, object] => {
        const kept = parts.sandbox
          .slice(1, -1)
          .split(/, (?=[a-z]+:)/)
          .filter((limit) => !limit.trim().startsWith(narrower.split(":")[0] ?? ""));
        return [`where its sandbox has ${narrower}`, { after: { sandbox: `{ ${[...kept, narrower].join(", ")} }` } }, holds];
      },
    ),
    [
      "where a slot is filled from what differs between two tokens of it, and the template has changed",
      { before: { path: pathOfToken }, after: { path: `${pathOfToken}/x` }, first: { jti: "t1" }, fresh: { jti: "t2" } },
      holds,
    ],
    [
      "where its template is for another repository",
      { after: { who: '{ issuer: github, repository_id: "2" }' } },
      { code: "claim-mismatch" },
    ],
    [
      "where its fresh token is of another branch than its template is for",
      {
        before: { who: '{ issuer: github, repository_id: "1", ref: refs/heads/main }' },
        first: { ref: "refs/heads/main" },
        fresh: { ref: "refs/heads/other" },
      },
      { code: "claim-mismatch", message: 'ref of this job is "refs/heads/other", which template deploy does not accept' },
    ],
    [
      "where its step pins another command",
      { after: { step: "{ run: [make], credentials: [db] }" } },
      { code: "step-command" },
    ],
  ])("%s", (_, change, expected) => {
    const denial = denialAfter(change);
    expect(denial).toMatchObject({ kind: "denied", ...expected });
    expect(denial?.policy).toBe(policyOf(change.after ?? change.before ?? {}).digest);
  });
});

/** When the job began, and when it proves itself again; both in the template's hours unless a row says otherwise. */
const began = Date.parse("2026-01-05T18:59:00Z");
const now = began + 120_000;

const to = (host: string, port = 443) => ({ host, port, from: undefined });
const reaches =
  (...network: readonly Deploy["network"][number][]) =>
  ({ steps }: Deploy): Partial<Deploy> => ({
    steps: new Map([...steps].map(([name, step]) => [name, { ...step, network }])),
  });

const spacious = (isolation: Isolation): Isolation => ({ ...isolation, memory: isolation.memory * 8 });
const loosened =
  (part: "limits" | "network", until = now - 1) =>
  ({ isolation }: Deploy): Partial<Deploy> => ({
    observe: { parts: [part], until },
    unlimited: { base: spacious(isolation.base), byTrust: new Map() },
  });
const narrowForForks = ({ isolation }: Deploy): Partial<Deploy> => ({
  isolation: { base: spacious(isolation.base), byTrust: new Map([["fork", isolation.base]]) },
});
const whenDown =
  (wait: number, optional: boolean) =>
  ({ credentials }: Deploy): Partial<Deploy> => ({
    credentials: new Map([...credentials].map(([name, one]) => [name, { ...one, wait, optional }])),
  });
const hours = (): Partial<Deploy> => ({ when: [hoursSchema.parse({ hours: "07:00-19:00", zone: "UTC" })] });
const nothing = (): Partial<Deploy> => ({});

interface Turn {
  readonly before: (template: Deploy) => Partial<Deploy>;
  readonly after: (template: Deploy) => Partial<Deploy>;
  readonly fresh?: Partial<Identity>;
}

function turned({ before, after, fresh = {} }: Turn): ReturnType<typeof noLongerGranted> {
  const [then, since] = [before, after].map((change) => withTemplate(policyOf({}), change));
  if (then === undefined || since === undefined) throw new Error("there are two");
  const held = decide(then, { identity: identityOf(), template: "deploy", step: "ship", command: ["true"], now: began });
  if (held.kind === "denied") throw new Error(held.message);
  return noLongerGranted(since, held, { identity: { ...identityOf(), ...fresh }, now });
}

const two = reaches(to("a.example.com"), to("*.b.example.com", 5432));
const limits = loosened("limits");
const network = loosened("network");

describe("what is asked when a job begins, and what only confines it", () => {
  test.each<[string, Turn]>([
    ["hours that have ended since", { before: hours, after: hours }],
    ["hours that came since", { before: nothing, after: hours }],
    ["the same network in another order", { before: two, after: reaches(to("*.b.example.com", 5432), to("a.example.com")) }],
    ["a wider network", { before: two, after: reaches(to("*.example.com"), to("*.b.example.com", 5432), to("c.example.com")) }],
    [
      "a network that is only observed now",
      { before: two, after: (one) => ({ ...reaches()(one), ...loosened("network", now + 1)(one) }) },
    ],
    ["limits that are no longer only observed", { before: limits, after: limits }],
    ["a network that is no longer only observed", { before: network, after: network }],
    ["limits that are only observed now", { before: nothing, after: loosened("limits", now + 1) }],
    ["another wait for a provider that is down", { before: whenDown(1_000, true), after: whenDown(0, false) }],
    ["a sandbox that differs for a trust that is not its own", { before: narrowForForks, after: narrowForForks }],
  ])("%s: it goes on", (_, turn) => {
    expect(turned(turn)).toBeUndefined();
  });

  const holds = { kind: "denied", code: "no-match", message: "template deploy no longer gives what this job holds" };
  test.each<[string, Turn]>([
    ["a network with a host less", { before: two, after: reaches(to("a.example.com")) }],
    ["a network with another port", { before: two, after: reaches(to("a.example.com"), to("*.b.example.com")) }],
    ["a star that became one of its hosts", { before: two, after: reaches(to("a.example.com"), to("x.b.example.com", 5432)) }],
    [
      "a star whose hosts only begin like its own",
      { before: reaches(to("x.b.example.com")), after: reaches(to("*.b.example")) },
    ],
    ["a star for fewer labels", { before: reaches(to("x.y.example.com")), after: reaches(to("*.example.com")) }],
    ["a network that the template no longer lets it be watched in", { before: network, after: nothing }],
    ["limits that the template no longer leaves to be watched", { before: limits, after: nothing }],
    [
      "a trust that has less, since its fresh token",
      { before: narrowForForks, after: narrowForForks, fresh: { trust: "fork" } },
    ],
  ])("%s: it ends", (_, turn) => {
    expect(turned(turn)).toMatchObject(holds);
  });
});
