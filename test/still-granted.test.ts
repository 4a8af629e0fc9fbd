import { describe, expect, test } from "vitest";
import { type Delivery, deliverable, deliverySchema } from "../src/delivery/delivery.ts";
import type { Identity } from "../src/identity/identity.ts";
import { compileTemplates, type Policy } from "../src/policy/compile.ts";
import { decide } from "../src/policy/decide.ts";
import { isolationSchema } from "../src/sandbox/isolation.ts";
import type { Isolation } from "../src/sandbox/sandbox.ts";
import { type JobGrant, noLongerGranted } from "../src/still-granted.ts";
import { identityWith, rooms } from "./policy/rooms.ts";

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
`;
  const given = { ...rooms, delivery: deliverySchema, isolation: isolationSchema, deliverable };
  const compiled = compileTemplates([{ file: "deploy.yaml", text }], given);
  if (compiled.kind === "policy") return compiled.policy;
  throw new Error(JSON.stringify(compiled.problems));
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
        before: { who: '{ issuer: github, repository_id: "1", ref: main }' },
        first: { ref: "main" },
        fresh: { ref: "other" },
      },
      { code: "claim-mismatch", message: 'ref of this job is "other", which template deploy does not accept' },
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
