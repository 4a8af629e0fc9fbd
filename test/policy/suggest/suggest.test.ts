import { describe, expect, test } from "vitest";
import { type Edit, edited, valueAt } from "../../../src/policy/suggest/edit.ts";
import { suggest } from "../../../src/policy/suggest/suggest.ts";
import type { Point } from "../../../src/policy/suggest/suggestion.ts";
import { type Reached, type RunSeen, usageOf } from "../../../src/policy/suggest/usage.ts";
import { policyOf } from "../rooms.ts";

const minute = 60_000;
const noon = Date.UTC(2026, 5, 1, 12);
const GiB = 2 ** 30;

const text = `# yaml-language-server: $schema=../docs/schema/template.schema.json
version: 1
template: deploy # what ships
owner: team-shop
who: { issuer: github, repository_id: "519283746", trust: protected }
credentials:
  db:
    provider: vault-main
    path: database/creds/shop # the shop's own
    ttl: 25m # as long as a migration took in 2024
  cert: { provider: local }
steps:
  ship:
    run: [./ship.sh]
    credentials: [db]
    network: ["*.mirror.example.com", db.example.com:5432, old.example.com]
    workspace: read-only
  # Only for emergencies.
  rollback:
    run: [./rollback.sh]
    credentials: [cert] # nothing else
    workspace: read-only
sandbox:
  timeout: 30m
  memory: 2GiB # enough
`;

const reached = (host: string, port = 443, allowed = true): Reached => ({ host, port, allowed });

function runs(count: number, parts: Partial<RunSeen> = {}): readonly RunSeen[] {
  return Array.from({ length: count }, (_, index) => ({
    run: `run-${index}`,
    session: `ses-${index}`,
    template: "deploy",
    step: "ship",
    opened: noon,
    ended: { at: noon + 3 * minute, outcome: "exited", exitCode: 0, peakMemory: 200 * 2 ** 20 },
    asker: { issuer: "github", workload: "github:1", job: `github:1:${index}`, trust: "protected", event: "push" },
    credentials: [{ name: "db", provider: "vault-main", issuedAt: noon + minute }],
    egress: [reached("a.mirror.example.com"), reached("db.example.com", 5432)],
    ...parts,
  }));
}

function points(seen: readonly RunSeen[], source = text, beside: readonly string[] = []): readonly Point[] {
  const policy = policyOf(source, ...beside);
  const usage = usageOf(seen, { scopes: new Set(), sessions: new Set() });
  const limits = () => ({ timeout: 30 * minute, memory: 2 * GiB });
  return suggest({ text: source, templates: [...policy.templates.values()], usage, limits });
}

const about = (all: readonly Point[], key: string): Point | undefined => all.find((point) => point.key === key);

function narrowedBy(all: readonly Point[], source = text): string {
  return edited(
    source,
    all.flatMap(({ edits = [] }) => edits),
  );
}

describe("from enough good runs", () => {
  test("each figure is the most that was used with its margin, and its evidence says so", () => {
    const all = points([
      ...runs(41),
      ...runs(1, {
        run: "run-long",
        ended: { at: noon + 7 * minute, outcome: "exited", exitCode: 0, peakMemory: 300 * 2 ** 20 },
      }),
    ]);
    expect(about(all, "credentials.db.ttl")).toMatchObject({
      before: "25m",
      after: "10m",
      evidence: "42 runs, longest 6m00s (run-long)",
    });
    expect(about(all, "sandbox.timeout")).toMatchObject({
      before: "30m",
      after: "15m",
      evidence: "42 runs, longest 7m00s (run-long)",
    });
    expect(about(all, "sandbox.memory")).toMatchObject({
      before: "2GiB",
      after: "512MiB",
      evidence: "42 runs, at most 300MiB (run-long)",
    });
  });

  test("hosts that nobody reached go, globs of which few were reached are written out, the others stay", () => {
    expect(about(points(runs(10)), "steps.ship.network")).toMatchObject({
      after: "a.mirror.example.com, db.example.com:5432",
      evidence: "10 runs, reached a.mirror.example.com:443 (10), db.example.com:5432 (10)",
    });
    const many = Array.from({ length: 6 }, (_, index) => reached(`h${index}.mirror.example.com`));
    expect(about(points(runs(10, { egress: many })), "steps.ship.network")).toMatchObject({ after: "*.mirror.example.com" });
  });

  test("what was reached beyond the list is said, and never added", () => {
    const all = points(runs(10, { egress: [reached("db.example.com", 5432), reached("evil.mirror.example.com", 443, false)] }));
    expect(about(all, "steps.ship.network")).toMatchObject({
      after: "db.example.com:5432",
      evidence: "10 runs, reached db.example.com:5432 (10); beyond its list evil.mirror.example.com:443 (10)",
    });
    expect(narrowedBy(all)).not.toContain("evil");
  });

  test("a step that nobody ran goes with the credentials that only it would get", () => {
    const all = points(runs(10));
    expect(about(all, "steps.rollback")).toMatchObject({
      after: "nothing",
      evidence: expect.stringContaining("keep it if it is for emergencies"),
    });
    expect(about(all, "credentials.cert")).toMatchObject({ after: "nothing" });
  });

  test("a step that only ran without counting stays, and that is said", () => {
    const failed = runs(1, {
      run: "run-f",
      step: "rollback",
      credentials: [{ name: "cert", provider: "local", issuedAt: noon }],
      ended: { at: noon + minute, outcome: "exited", exitCode: 1, peakMemory: undefined },
    });
    const all = points([...runs(10), ...failed]);
    expect(about(all, "steps.rollback")).toEqual({ key: "steps.rollback", evidence: "no run that counts used it" });
    expect(narrowedBy(all)).toContain("rollback.sh");
  });

  test("who asked is only said", () => {
    const all = points(runs(10));
    expect(about(all, "who.trust")).toEqual({ key: "who.trust", evidence: "of 10 runs: protected (10)" });
    expect(about(all, "who.event")).toEqual({ key: "who.event", evidence: "of 10 runs: push (10)" });
  });

  test("the narrower text keeps every other line and every comment, and compiles", () => {
    const narrower = narrowedBy(points(runs(10)));
    expect(narrower).toBe(
      text
        .replace("ttl: 25m", "ttl: 3m")
        .replace("  cert: { provider: local }\n", "")
        .replace(
          '["*.mirror.example.com", db.example.com:5432, old.example.com]',
          "[a.mirror.example.com, db.example.com:5432]",
        )
        .replace(/ {2}rollback:\n(?: {4}.*\n)+/, "")
        .replace("timeout: 30m", "timeout: 5m")
        .replace("memory: 2GiB", "memory: 384MiB"),
    );
  });
});

describe("of a template that extends another", () => {
  const base = text.replace("template: deploy # what ships", "template: base").replace(/^who: .*\n/m, "");
  const child = `version: 1
template: deploy
extends: base
who: { issuer: github, repository_id: "519283746", trust: protected }
`;
  const ofChild = (source: string) => points(runs(10), source, [base]);

  test("narrower figures become lines of its own, and it keeps what it would drop by naming some", () => {
    const narrower = narrowedBy(ofChild(child), child);
    expect(narrower).toBe(`${child}credentials:
  cert: {}
  db: { ttl: 3m }
sandbox:
  timeout: 5m
  memory: 384MiB
`);
    // The rooms of these tests know whole gibibytes only.
    const loads = narrower.replace("384MiB", "1GiB");
    const [before, after] = [policyOf(base, child), policyOf(base, loads)].map(({ templates }) => templates.get("deploy"));
    expect([...(after?.credentials.values() ?? [])].map(({ name, ttl }) => [name, ttl])).toEqual([
      ["cert", before?.credentials.get("cert")?.ttl],
      ["db", 3 * minute],
    ]);
    expect([...(after?.steps.keys() ?? [])]).toEqual(["ship", "rollback"]);
  });

  test("lines that it has are narrowed where they stand", () => {
    const own = `${child}credentials: { db: { ttl: 20m } }\nsteps: { ship: {} }\nsandbox: { timeout: 20m, memory: 1GiB }\n`;
    expect(narrowedBy(ofChild(own), own)).toBe(
      own.replace("ttl: 20m", "ttl: 3m").replace("timeout: 20m, memory: 1GiB", "timeout: 5m, memory: 384MiB"),
    );
  });

  test("a list of hosts is said to be its base's", () => {
    expect(about(ofChild(child), "steps.ship.network")).toEqual({
      key: "steps.ship.network",
      evidence: expect.stringMatching(/; the list is that of base, so narrow it there$/),
    });
  });

  test("a figure that a slot fills is named by its slot", () => {
    const each = text.replace("ttl: 25m", 'ttl: "{each.life}"').concat("for_each: { one: { life: 25m } }\n");
    expect(about(points(runs(10, { template: "deploy/one" }), each), "credentials.db.ttl")?.evidence).toMatch(
      /; 3m would do: it is \{each\.life\}, so write it where that is filled$/,
    );
  });
});

describe("there is no suggestion", () => {
  test.each([
    ["from nothing", []],
    ["from nine runs", runs(9)],
    ["from fifty that failed", runs(50, { ended: { at: noon, outcome: "exited", exitCode: 2, peakMemory: 1 } })],
    [
      "from fifty of a fork",
      runs(50, { asker: { issuer: "github", workload: "github:1", job: "j", trust: "fork", event: undefined } }),
    ],
  ])("%s", (_, seen) => {
    expect(points(seen)).toEqual([]);
  });

  test("for a figure that few of the runs tell of", () => {
    const all = points([...runs(9, { credentials: [] }), ...runs(9)]);
    expect(about(all, "credentials.db.ttl")).toEqual({
      key: "credentials.db.ttl",
      evidence: "9 runs, longest 2m00s (run-0); fewer than 10 runs say nothing",
    });
    expect(about(all, "sandbox.timeout")).toMatchObject({ after: "5m" });
  });

  test("for memory where only some of the runs say how much they had: the others may have had more", () => {
    const ended = { at: noon + 3 * minute, outcome: "exited", exitCode: 0, peakMemory: undefined } as const;
    const all = points([...runs(10), ...runs(500, { ended })]);
    expect(about(all, "sandbox.memory")).toEqual({
      key: "sandbox.memory",
      evidence: "10 runs, at most 200MiB (run-0); 500 runs that counted did not say",
    });
    expect(about(all, "sandbox.timeout")).toMatchObject({ after: "5m" });
  });

  test("for hosts where of some of the runs nothing is on record", () => {
    expect(about(points([...runs(10), ...runs(2, { egress: [] })]), "steps.ship.network")).toEqual({
      key: "steps.ship.network",
      evidence:
        "12 runs, reached a.mirror.example.com:443 (10), db.example.com:5432 (10); of 2 runs nothing is on record, so every host stays",
    });
  });

  test("for hosts where no run says what it reached", () => {
    const all = points(runs(10, { egress: [] }));
    expect(all.filter(({ key }) => key.includes("network"))).toEqual([
      { key: "network", evidence: "what the runs reached is not on record, so every host stays" },
    ]);
  });

  test("for a figure that is narrow enough", () => {
    const all = points(runs(10), text.replace("25m", "3m"));
    expect(about(all, "credentials.db.ttl")).toEqual({
      key: "credentials.db.ttl",
      evidence: "10 runs, longest 2m00s (run-0); 3m is narrow enough",
    });
  });

  test("for a limit that by_trust sets too", () => {
    const all = points(runs(10), `${text}  by_trust: { protected: { timeout: 20m } }\n`);
    expect(about(all, "sandbox.timeout")).toMatchObject({ evidence: expect.stringContaining("narrow it by hand") });
    expect(about(all, "sandbox.timeout")?.edits).toBeUndefined();
  });
});

describe("an edit", () => {
  const set = (path: readonly string[], key: string, value: string): Edit => ({ kind: "set", path, key, text: value });
  const rows: readonly (readonly [string, string, Edit, string])[] = [
    ["of a value keeps its comment", "a:\n  ttl: 10m # why\n", set(["a"], "ttl", "5m"), "a:\n  ttl: 5m # why\n"],
    ["of a value in quotes replaces them", 'a: { ttl: "10m" }\n', set(["a"], "ttl", "5m"), "a: { ttl: 5m }\n"],
    [
      "of a value that is not there adds it to a block",
      "a:\n  b: 1 # one\nc: 2\n",
      set(["a"], "ttl", "5m"),
      "a:\n  b: 1 # one\n  ttl: 5m\nc: 2\n",
    ],
    ["of a value that is not there adds it to a line", "a: { b: 1 }\n", set(["a"], "ttl", "5m"), "a: { b: 1, ttl: 5m }\n"],
    ["of a value that is not there fills an empty map", "a: {}\n", set(["a"], "ttl", "5m"), "a: { ttl: 5m }\n"],
    [
      "adds before what has no end of its own",
      "a:\n  b:\n    c: 1\n",
      set(["a"], "ttl", "5m"),
      "a:\n  ttl: 5m\n  b:\n    c: 1\n",
    ],
    [
      "makes the map at the end where there is none",
      "a: 1",
      set(["sandbox"], "timeout", "5m"),
      "a: 1\nsandbox:\n  timeout: 5m\n",
    ],
    [
      "of a list's items keeps the others",
      "n:\n  - a.example.com # one\n  - b.example.com\n",
      { kind: "items", path: ["n"], by: new Map([["b.example.com", []]]) },
      "n:\n  - a.example.com # one\n",
    ],
    [
      "writes a glob out, line by line",
      'n:\n  - "*.b.example.com" # two\n',
      { kind: "items", path: ["n"], by: new Map([["*.b.example.com", ["x.b.example.com", "y.b.example.com"]]]) },
      "n:\n  - x.b.example.com\n  - y.b.example.com # two\n",
    ],
    [
      "of all items leaves an empty list",
      "s:\n  n:\n    - a.example.com\n    - b.example.com\n  w: 1\n",
      {
        kind: "items",
        path: ["s", "n"],
        by: new Map([
          ["a.example.com", []],
          ["b.example.com", []],
        ]),
      },
      "s:\n  n: []\n  w: 1\n",
    ],
    [
      "takes a member out of a block, with its lines",
      "s:\n  a: 1\n  b:\n    c: 1 # x\n  # about d\n  d: 1\n",
      { kind: "remove", path: ["s"], key: "b" },
      "s:\n  a: 1\n  # about d\n  d: 1\n",
    ],
    [
      "takes the last member out of a line",
      "s: { a: 1, b: { c: 1 } }\n",
      { kind: "remove", path: ["s"], key: "b" },
      "s: { a: 1 }\n",
    ],
    ["takes the first member out of a line", "s: { a: 1, b: 2 }\n", { kind: "remove", path: ["s"], key: "a" }, "s: { b: 2 }\n"],
    ["of what is not there changes nothing", "s: { a: 1 }\n", { kind: "remove", path: ["s"], key: "z" }, "s: { a: 1 }\n"],
  ];
  test.each(rows)("%s", (_, before, edit, after) => {
    expect(edited(before, [edit])).toBe(after);
  });

  test("reads own members only", () => {
    expect(valueAt("a: { b: 1 }", ["a", "b"])).toBe(1);
    expect(valueAt("a: { b: 1 }", ["a", "constructor"])).toBeUndefined();
  });
});
