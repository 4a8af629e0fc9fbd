import { describe, expect, test } from "vitest";
import type { Identity } from "../../../src/identity/identity.ts";
import type { Policy } from "../../../src/policy/policy.ts";
import { Replay, type ReplayReport } from "../../../src/policy/replay/replay.ts";
import { attentionOf, type RecordedOutcome, type RecordedRequest, refusalOf } from "../../../src/policy/replay/request.ts";
import { compile, type Delivery, type Isolation, identityWith, policyOf, rooms, template } from "../rooms.ts";

/** A Monday. */
const noon = Date.UTC(2026, 5, 1, 12);

const claims = { repository_id: "519283746", ref: "refs/heads/main", run_id: "77" };

const base = `owner: team-shop
who: { issuer: github, repository_id: "519283746", trust: protected, ref: refs/heads/main }
credentials:
  db: { provider: vault-main, path: database/creds/shop, ttl: 10m }
  cert: { provider: local, ttl: 5m }
steps:
  build: { workspace: read-only }
  ship: { credentials: [db], run: [./ship.sh], network: [db.example.com:5432], workspace: overlay }
sandbox: { memory: 2GiB }`;

function request(parts: Partial<RecordedRequest> = {}, identity: Partial<Identity> = {}): RecordedRequest {
  return {
    id: "run-1",
    time: noon,
    identity: identityWith(claims, identity),
    asked: "deploy",
    step: "ship",
    outcome: { kind: "granted", template: "deploy" },
    policy: "old",
    ...parts,
  };
}

type P = Policy<Delivery, Isolation>;

function replayed(own: P | undefined, next: P, requests: readonly RecordedRequest[]): ReplayReport {
  const replay = new Replay({ next, exceeds: rooms.isolation.exceeds });
  for (const one of requests) replay.add(one, own);
  return replay.report();
}

/** The risks in it are the point of a test, and are taken. */
function policy(lines: string, name = "deploy"): P {
  const compiled = compile(template(lines, name));
  const risks = compiled.kind === "policy" ? [] : compiled.problems.filter(({ level }) => level === "risk");
  const accepted = risks.map(({ rule }) => [rule, "the point of this test"]);
  return policyOf(template(`${lines}\naccept: ${JSON.stringify(Object.fromEntries(accepted))}`, name));
}

const found = (report: ReplayReport): readonly string[] => report.differences.map(({ kind, what }) => `${kind}: ${what}`);

describe("a request decided by the policy that decided it and by another", () => {
  const changes: readonly (readonly [string, (old: string) => string, readonly string[]])[] = [
    ["nothing", (old) => old, []],
    ["a comment", (old) => `# by hand\n${old}`, []],
    ["another step", (old) => old.replace("workspace: read-only", "workspace: rw"), []],
    ["a longer life", (old) => old.replace("ttl: 10m", "ttl: 20m"), ["lengthened: credential db, ttl"]],
    ["a shorter life", (old) => old.replace("ttl: 10m", "ttl: 5m"), ["narrowed: credential db, ttl"]],
    ["another scope", (old) => old.replace("creds/shop", "creds/all"), ["widened: credential db, scope"]],
    ["one more credential", (old) => old.replace("[db]", "[db, cert]"), ["widened: credential cert"]],
    ["one credential less", (old) => old.replace("[db]", "[]"), ["narrowed: credential db"]],
    [
      "another delivery",
      (old) => old.replace("ttl: 10m", "ttl: 10m, deliver: { files: { u: username } }"),
      ["widened: credential db, delivery"],
    ],
    [
      "one more host",
      (old) => old.replace("[db.example.com:5432]", "[db.example.com:5432, git.example.com]"),
      ["widened: network git.example.com:443"],
    ],
    [
      "another port",
      (old) => old.replace(":5432", ":5433"),
      ["widened: network db.example.com:5433", "narrowed: network db.example.com:5432"],
    ],
    [
      "a wilder host",
      (old) => old.replace("db.example.com", '"*.example.com').replace("5432]", '5432"]'),
      ["widened: network *.example.com:5432"],
    ],
    ["a wider workspace", (old) => old.replace("workspace: overlay", "workspace: rw"), ["widened: workspace"]],
    ["a narrower workspace", (old) => old.replace("workspace: overlay", "workspace: read-only"), ["narrowed: workspace"]],
    ["more memory", (old) => old.replace("2GiB", "4GiB"), ["widened: sandbox.memory: more than 2GiB"]],
    ["less memory", (old) => old.replace("2GiB", "1GiB"), ["narrowed: sandbox.memory, as it was: more than 1GiB"]],
    ["something tolerated", (old) => `${old}\ntolerate: { no-swap: "an old host" }`, ["widened: tolerate.no-swap"]],
    ["a command that is pinned no more", (old) => old.replace("run: [./ship.sh], ", ""), ["widened: command"]],
    ["another pinned command", (old) => old.replace("ship.sh", "send.sh"), ["other-command: pinned command"]],
    [
      "two more variables, each of them",
      (old) => old.replace("2GiB", "2GiB, env: { pass: [CI, MORE_A, MORE_B] }"),
      ["widened: sandbox.env.pass: MORE_A is not among CI", "widened: sandbox.env.pass: MORE_B is not among CI"],
    ],
    [
      "one variable for another",
      (old) => old.replace("2GiB", "2GiB, env: { pass: [MORE_A] }"),
      ["widened: sandbox.env.pass: MORE_A is not among CI", "narrowed: sandbox.env.pass, as it was: CI is not among MORE_A"],
    ],
    [
      "limits that are only watched",
      (old) => `${old}\nobserve: { parts: [limits], until: "2026-12-31" }`,
      ["widened: sandbox.memory: more than 2GiB", "widened: observe limits"],
    ],
    ["limits that were watched until yesterday", (old) => `${old}\nobserve: { parts: [limits], until: "2026-05-31" }`, []],
    ["another branch", (old) => old.replace("heads/main", "heads/release"), ["newly-denied: claim-mismatch: ref"]],
    [
      "hours that it came outside of",
      (old) => `${old}\nwhen: { days: [sun], hours: "00:00-24:00", zone: UTC }`,
      ["newly-denied: outside-hours: when"],
    ],
    ["hours that it came within", (old) => `${old}\nwhen: { days: [mon], hours: "00:00-24:00", zone: UTC }`, []],
    ["no such step", (old) => old.replace("ship:", "send:"), ["newly-denied: step-unknown"]],
  ];
  test.each(changes)("%s", (_, change, expected) => {
    const next = change(base);
    const report = replayed(policy(base), policy(next), [request()]);
    expect(found(report)).toEqual(expected);
    expect(report).toMatchObject({ requests: 1, unchanged: expected.length === 0 ? 1 : 0, onlyRecorded: 0, unknown: 0 });
  });

  test("says what was and what would be, of one request", () => {
    const next = base.replace("ttl: 10m", "ttl: 20m").replace("heads/main", "heads/main*");
    const [difference] = replayed(policy(base), policy(next), [request({ id: "run-9" })]).differences;
    expect(difference).toEqual({
      kind: "lengthened",
      workload: "github:519283746",
      template: "deploy",
      step: "ship",
      what: "credential db, ttl",
      count: 1,
      example: { kind: "lengthened", what: "credential db, ttl", before: "10m", after: "20m", id: "run-9", time: noon },
    });
  });

  test("names the first line that fails, with what it wants and what it found", () => {
    const next = base.replace("refs/heads/main", "refs/heads/release");
    const [difference] = replayed(policy(base), policy(next), [request()]).differences;
    expect(difference?.example).toMatchObject({ before: 'found "refs/heads/main"', after: 'wants "refs/heads/release"' });
  });

  test("a template that is gone, and one that has taken its place", () => {
    const next = policy(base, "release");
    expect(found(replayed(policy(base), next, [request()]))).toEqual(["newly-denied: template-unknown"]);
    const report = replayed(policy(base), next, [request({ asked: undefined })]);
    expect(found(report)).toEqual(["other-template: now template release"]);
    expect(report.differences[0]).toMatchObject({ template: "deploy" });
  });
});

describe("a request that was denied", () => {
  const denied = (code: "claim-mismatch" | "step-command" | "usage"): RecordedOutcome => ({ kind: "denied", code });
  const branch = identityWith({ ...claims, ref: "refs/heads/x" });
  const wider = base.replace("refs/heads/main", "refs/heads/*");

  test("is newly allowed by a wider template, and stays denied by the same", () => {
    const one = request({ identity: branch, outcome: denied("claim-mismatch") });
    expect(found(replayed(policy(base), policy(wider), [one]))).toEqual(["newly-allowed: template deploy"]);
    expect(replayed(policy(base), policy(base), [one])).toMatchObject({ differences: [], unchanged: 1 });
  });

  const pins: readonly (readonly [string, string, readonly string[]])[] = [
    ["the same command pinned", base, []],
    [
      "another command pinned",
      base.replace("ship.sh", "send.sh"),
      ["cannot-tell: the step pins a command, and commands are not recorded"],
    ],
    ["no command pinned", base.replace("run: [./ship.sh], ", ""), ["newly-allowed: template deploy"]],
  ];
  test.each(pins)("for its command, with %s", (_, next, expected) => {
    expect(found(replayed(policy(base), policy(next), [request({ outcome: denied("step-command") })]))).toEqual(expected);
  });

  test("for its command, by one template, is told by that one's pin where another grants now", () => {
    const both = (old: string, fresh: string): P =>
      policyOf(
        template(base.replace("refs/heads/main", old), "deploy"),
        template(base.replace("refs/heads/main", fresh).replace("ship.sh", "send.sh"), "release"),
      );
    const one = request({ asked: undefined, outcome: denied("step-command") });
    const [before, after] = [both("refs/heads/main", "refs/heads/x"), both("refs/heads/x", "refs/heads/main")];
    // The pin of `release` is the same in both policies; the one that kept the job out was the pin of `deploy`.
    expect(found(replayed(before, after, [one]))).toEqual([
      "cannot-tell: the step pins a command, and commands are not recorded",
    ]);
    expect(found(replayed(before, before, [one]))).toEqual([]);
  });

  test("for want of a command is allowed only where one is pinned now", () => {
    const open = base.replace("run: [./ship.sh], ", "");
    const one = request({ outcome: denied("usage") });
    expect(found(replayed(policy(open), policy(base), [one]))).toEqual(["newly-allowed: template deploy"]);
    expect(found(replayed(policy(open), policy(open), [one]))).toEqual([]);
  });
});

describe("where the old policy cannot be had", () => {
  const lost = "cannot-tell: what it was given, since its own policy does not compile any more";

  test("nothing that is still given is called unchanged: only denials are known from what was recorded", () => {
    const next = policy(base.replace("ttl: 10m", "ttl: 20m"));
    const report = replayed(undefined, next, [
      request({ step: "build" }),
      request({ outcome: { kind: "granted", template: "old" }, step: "build" }),
      request({ outcome: { kind: "denied", code: "no-match" } }),
      request({ identity: identityWith({}) }),
      request({ identity: identityWith({}), outcome: { kind: "denied", code: "no-match" } }),
    ]);
    expect(report).toMatchObject({ requests: 5, onlyRecorded: 5, unchanged: 1, cannotTell: 2, unknown: 0 });
    expect(found(report)).toEqual([
      "newly-allowed: template deploy",
      "newly-denied: claim-mismatch: repository_id",
      "other-template: now template deploy",
      lost,
      lost,
    ]);
  });

  test("a denial for its command cannot be told where one is pinned, and is newly allowed where none is", () => {
    const one = request({ outcome: { kind: "denied", code: "step-command" } });
    expect(found(replayed(undefined, policy(base), [one]))).toEqual([
      "cannot-tell: the step pins a command, and commands are not recorded",
    ]);
    expect(found(replayed(undefined, policy(base.replace("run: [./ship.sh], ", "")), [one]))).toEqual([
      "newly-allowed: template deploy",
    ]);
  });

  test("of what something else refused nothing is known, and nothing is promised", () => {
    const report = replayed(undefined, policy(base), [request({ outcome: { kind: "refused", code: "busy" } })]);
    expect(report).toMatchObject({ requests: 1, unknown: 1, cannotTell: 1, unchanged: 0, refused: { busy: 1 } });
    expect(found(report)).toEqual(["cannot-tell: neither its policy nor what it said of it can be had"]);
  });

  test("of what something else refused the templates are compared, where both are there", () => {
    const refused = request({ outcome: { kind: "refused", code: "fenced" } });
    const report = replayed(policy(base), policy(base.replace("10m", "20m")), [refused]);
    expect(report).toMatchObject({ refused: { fenced: 1 }, unknown: 0 });
    expect(found(report)).toEqual(["lengthened: credential db, ttl"]);
  });
});

describe("the self-check", () => {
  test("lists what its own policy would decide otherwise today, which is no doing of the new one", () => {
    const report = replayed(policy(base), policy(base), [
      request({ id: "run-1", outcome: { kind: "granted", template: "gone" } }),
      request({ id: "den-2", outcome: { kind: "denied", code: "ambiguous" } }),
      request({ id: "run-3" }),
    ]);
    expect(report.otherwise).toEqual({
      count: 2,
      examples: [
        { id: "run-1", recorded: "granted by gone", today: "granted by deploy" },
        { id: "den-2", recorded: "denied, ambiguous", today: "granted by deploy" },
      ],
    });
    expect(report).toMatchObject({ differences: [], unchanged: 3, onlyRecorded: 0 });
  });

  test("says nothing of what hung on a command", () => {
    const one = request({ outcome: { kind: "denied", code: "step-command" } });
    expect(replayed(policy(base), policy(base), [one]).otherwise.count).toBe(0);
  });
});

describe("many requests", () => {
  test("are grouped by workload, template and change, the newest as the example", () => {
    const next = policy(base.replace("ttl: 10m", "ttl: 20m"));
    const other = { workload: "github:2" };
    const report = replayed(policy(base), next, [
      request({ id: "run-3", identity: identityWith({ ...claims, run_id: "3" }) }),
      request({ id: "run-2", identity: identityWith({ ...claims, run_id: "2" }) }),
      request({ id: "run-1", identity: identityWith(claims, other) }),
      request({ id: "run-0", step: "build" }),
    ]);
    expect(report.differences.map(({ workload, count, example }) => [workload, count, example.id])).toEqual([
      ["github:519283746", 2, "run-3"],
      ["github:2", 1, "run-1"],
    ]);
    expect(report).toMatchObject({ requests: 4, unchanged: 1 });
  });

  test("in two steps are two differences, so that the wider one is not hidden by the other", () => {
    const next = base.replace("build: { workspace: read-only }", "build: { workspace: rw }").replace("overlay }", "rw }");
    const report = replayed(policy(base), policy(next), [request(), request({ step: "build" })]);
    expect(report.differences.map(({ step, what, count, example }) => [step, what, count, example.before])).toEqual([
      ["ship", "workspace", 1, "overlay"],
      ["build", "workspace", 1, "read-only"],
    ]);
  });

  test("each come at their own time, though they differ in nothing else", () => {
    const next = policy(`${base}\nwhen: { days: [mon], hours: "00:00-24:00", zone: UTC }`);
    const report = replayed(policy(base), next, [request({ time: noon }), request({ time: noon + 86_400_000 })]);
    expect(report).toMatchObject({ unchanged: 1 });
    expect(found(report)).toEqual(["newly-denied: outside-hours: when"]);
  });

  test("are told apart by every claim that a template looks at, in lines, alternatives and slots", () => {
    const lines = base
      .replace("ref: refs/heads/main", "any: [{ event: [push] }, { actor: [ann] }], absent: [base_ref], not: { head: [x] }")
      .replace("database/creds/shop", '"database/creds/{run_id}"');
    const { claims: looked, timed } = attentionOf(policy(lines));
    expect([...looked].sort()).toEqual(["actor", "base_ref", "event", "head", "issuer", "repository_id", "run_id", "trust"]);
    expect(timed).toBe(false);
    expect(attentionOf(policy(`${base}\nwhen: { days: [mon], hours: "00:00-24:00", zone: UTC }`)).timed).toBe(true);
  });

  test("100,000 take no more memory than a few", { timeout: 60_000 }, () => {
    const next = policy(base.replace("ttl: 10m", "ttl: 20m"));
    const own = policy(base);
    const replay = new Replay({ next, exceeds: rooms.isolation.exceeds });
    for (let index = 0; index < 100_000; index++)
      replay.add(request({ id: `run-${index}`, identity: identityWith({ ...claims, run_id: String(index) }) }), own);
    const before = process.memoryUsage().heapUsed;
    expect(replay.report()).toMatchObject({ requests: 100_000, unchanged: 0 });
    expect(before).toBeLessThan(400e6);
  });
});

describe("a recorded code", () => {
  test.each([
    ["no-match", undefined, "denied"],
    ["outside-hours", "ab", "denied"],
    ["usage", "ab", "denied"],
    ["usage", undefined, "refused"],
    ["token-spent", undefined, "refused"],
    ["overruled", "ab", "refused"],
  ] as const)("%s, with policy %s on record, was %s", (code, digest, kind) => {
    expect(refusalOf(code, digest).kind).toBe(kind);
  });
});
