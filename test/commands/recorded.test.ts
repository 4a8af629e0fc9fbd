import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Event } from "../../src/ledger/entry.ts";
import { day } from "../../src/time.ts";
import { claims, identity, openSite, peer, type Site } from "./recorded-site.ts";

const deploy = `version: 1
template: deploy
owner: team-shop
who: { issuer: github, repository_id: "42", ref: refs/heads/main, trust: protected }
credentials:
  cert: { provider: own, kind: x509, ttl: 10m }
steps:
  ship: { run: [./ship.sh], credentials: [cert], network: [credentials, old.example.com], workspace: read-only }
  look: { workspace: read-only }
sandbox: { timeout: 30m, memory: 2GiB }
`;

const other = `version: 1
template: other
owner: team-shop
who: { issuer: github, repository_id: "99", trust: protected }
`;

const idle = deploy.replace("template: deploy", "template: idle").replace('"42"', '"7"');

/** It keeps a step of its base, which nobody ever ran. */
const child = `version: 1
template: child
extends: idle
owner: team-shop
who: { environment: production }
steps: { ship: { credentials: [cert] } }
`;

/** What a run says of itself where the host can tell. */
const told = {
  peakMemory: 100 * 2 ** 20,
  reaches: [{ host: "db.example.com", port: 5432, allowed: true }],
} as const;

let site: Site;
let old: string;
let now: string;

const denied = (denial: string, parts: Partial<Extract<Event, { kind: "denied" }>> = {}): Event => ({
  kind: "denied",
  denial,
  code: "claim-mismatch",
  message: 'ref of this job is "refs/heads/x", which template deploy does not accept',
  peer,
  ...identity,
  claims: { ...claims, ref: "refs/heads/x" },
  policy: now,
  trace: [],
  asked: "deploy",
  step: "ship",
  lastWord: null,
  ...parts,
});

const stranger = { issuer: null, subject: null, workload: null, job: null, trust: null, claims: null };

beforeAll(async () => {
  site = await openSite();
  const { door, clock } = site;
  old = await site.inForce("old", { "deploy.yaml": deploy.replace("provider: own", "provider: gone") });
  await site.run({ run: "run-early", policy: old, session: "ses-long" });
  clock.advance(20 * day);
  now = await site.inForce("now", { "deploy.yaml": deploy, "other.yaml": other, "idle.yaml": idle, "child.yaml": child });
  await site.run({ run: "run-late", policy: now, session: "ses-long", asked: "deploy", ...told });
  await site.run({ run: "run-look", policy: now, step: "look", claims: { run_id: "8" }, ...told });
  await door.ledger.append([
    denied("den-branch"),
    denied("den-stranger", {
      ...stranger,
      code: "token-expired",
      message: "the identity token has expired",
      policy: null,
      asked: null,
      step: null,
    }),
    denied("den-busy", { code: "busy", message: "the host runs as many jobs as it may", claims, policy: null }),
    denied("den-odd", { code: "no-match", message: "no template is meant for this identity", claims, trace: [] }),
    { kind: "denials-counted", peer: 7, count: 40, from: 0, to: 1 },
    {
      kind: "observed",
      ...identity,
      observation: "obs-1",
      peer,
      template: "deploy",
      step: "look",
      policy: now,
      reason: "template deploy matched",
      asked: null,
      lastWord: "decision-7",
    },
  ]);
});

afterAll(() => site[Symbol.asyncDispose]());

describe("explain ID", () => {
  test("of a run says who asked, and decides it again by its own policy, template by template", async () => {
    const { stdout, stderr, exit } = await site.here("explain", "run-late");
    expect([stderr, exit]).toEqual(["", 0]);
    for (const line of [
      "granted: template deploy matched",
      `  policy  ${now}`,
      "  workload  github:42",
      '  claim     ref "refs/heads/main"',
      "  asked for template deploy, step ship",
      "decided again by the same policy:",
      "granted: template deploy matched on issuer, repository_id, ref, trust",
      '  command    "./ship.sh"',
      "  credential cert from own, for 10m",
      "  network    db.example.com:5432 (from credentials)",
      "             old.example.com:443",
      "template deploy: matches",
      "template other: does not match",
      '  NO   repository_id  wants "99"  found "42"',
    ])
      expect(stdout).toContain(`${line}\n`.trimEnd());
    expect(stdout).not.toContain("commands are not recorded");
  });

  test("of a run without a pinned command says that commands are not recorded", async () => {
    expect((await site.here("explain", "run-look")).stdout).toMatch(
      /\n {2}command {4}any \(the step pins none\)\n[^]*\ncommands are not recorded: which one it was cannot be told\n/,
    );
  });

  test("of a denial tells of every template, whatever was recorded of them", async () => {
    const { stdout, exit } = await site.here("explain", "den-branch");
    expect(exit).toBe(0);
    expect(stdout).toContain("denied: ref of this job is");
    expect(stdout).toMatch(/NO {3}ref +wants "refs\/heads\/main" {2}found "refs\/heads\/x"/);
    expect(stdout).toContain("template other: does not match");
  });

  test("of an observation shows the last word's decision", async () => {
    const { stdout } = await site.here("explain", "obs-1");
    expect(stdout).toContain("observed, nothing was given: template deploy matched\n");
    expect(stdout).toContain("  last word  allowed  (decision-7)\n");
    expect(stdout).toContain("\nthe templates alone would give:\ngranted: ");
  });

  test("of a denial without an identity shows what there is", async () => {
    const { stdout, exit } = await site.here("explain", "den-stranger");
    expect(exit).toBe(0);
    expect(stdout).toMatch(/^denied: the identity token has expired\n {2}code {4}token-expired\n {2}when {4}/);
    expect(stdout).not.toContain("decided again");
  });

  test("of what was refused for another reason goes by the policy that was in force", async () => {
    const { stdout } = await site.here("explain", "den-busy", "--json");
    expect(JSON.parse(stdout)).toMatchObject({
      decidedAgain: true,
      asRecorded: true,
      decision: { kind: "granted", policy: now },
    });
    expect((await site.here("explain", "den-busy")).stdout).toContain("\nthe templates alone would give:\ngranted: ");
  });

  test("of what comes out otherwise today says so", async () => {
    const { stdout } = await site.here("explain", "den-odd");
    expect(stdout).toContain("NOT AS RECORDED");
    expect(JSON.parse((await site.here("explain", "den-odd", "--json")).stdout)).toMatchObject({ asRecorded: false });
  });

  test("where the old text does not compile any more, shows what was recorded and why there is no more", async () => {
    const { stdout, exit } = await site.here("explain", "run-early");
    expect(exit).toBe(0);
    expect(stdout).toMatch(/not decided again: deploy\.yaml:6: credentials\.cert\.provider: .*gone/);
    expect(JSON.parse((await site.here("explain", "run-early", "--json")).stdout)).toMatchObject({
      decidedAgain: false,
      why: expect.stringContaining("gone"),
      decision: null,
      identity: { workload: "github:42", claims: { ref: "refs/heads/main" } },
    });
  });

  test("where there is no mayfly.yaml, shows what was recorded", async () => {
    const { stdout, exit } = await site.here("explain", "den-branch", "--config", "nowhere.yaml");
    expect(exit).toBe(0);
    expect(stdout).toMatch(/not decided again: .*nowhere\.yaml cannot be read/);
  });

  test("of no recorded id is entry-unknown, and what is no id never reaches the ledger", async () => {
    const unknown = "mayfly: the ledger has no request of this id\n";
    expect(await site.here("explain", "den-none")).toMatchObject({
      stdout: "",
      exit: 124,
      stderr: expect.stringContaining(unknown),
    });
    expect((await site.here("explain", "some-session-handle")).stderr).toContain(unknown);
    const reads = await site.door.ledger.entries({ kinds: ["audit-read"], limit: 1_000 });
    const read = reads.map(({ event }) => (event.kind === "audit-read" ? event.what : ""));
    expect(read).toContain("entries den-none");
    expect(read.join()).not.toContain("some-session-handle");
  });
});

describe("check --replay", () => {
  const replay = (...args: readonly string[]) => site.here("check", "--replay", ...args);

  test("of the same templates finds nothing, and exits with 0", async () => {
    const { stdout, exit } = await replay("30d", "now");
    expect(exit).toBe(0);
    expect(stdout).toMatch(/^6 recorded requests of the last 30d, decided again by policy [0-9a-f]{64}: 6 unchanged\n/);
    expect(stdout).toContain("41 denials without a verified identity, or of a flood");
    expect(stdout).toContain("refused for other reasons than templates, which alone were compared: 1 busy");
    expect(stdout).toContain("den-odd: recorded as denied, no-match; today granted by deploy");
  });

  test("lists what is newly allowed, widened, lengthened and denied, and exits with 1", async () => {
    await site.write("next", {
      "deploy.yaml": deploy
        .replace("refs/heads/main", '"refs/heads/*"')
        .replace("10m", "15m")
        .replace("old.example.com", "new.example.com")
        .replace("  look: { workspace: read-only }\n", ""),
    });
    const { stdout, exit } = await replay("30d", "next", "--json");
    expect(exit).toBe(1);
    const report: {
      readonly differences: readonly { readonly kind: string; readonly what: string; readonly count: number }[];
    } = JSON.parse(stdout);
    expect(report).toMatchObject({ ok: false, requests: 6, strangers: 1, counted: 40, withoutClaims: 0 });
    expect(report.differences.map(({ kind, what, count }) => `${kind}: ${what} (${count})`)).toEqual([
      "newly-allowed: template deploy (1)",
      "widened: network new.example.com:443 (3)",
      "lengthened: credential cert, ttl (3)",
      "newly-denied: step-unknown (2)",
      "narrowed: network old.example.com:443 (3)",
    ]);
    expect((await replay("30d", "next")).stdout).toMatch(
      /^NEWLY ALLOWED:\n {2}1 request of github:42, template deploy, step ship: /,
    );
  });

  test("finds the session of a run that began before the span, and holds the merge up for what only the record tells", async () => {
    const { stdout, stderr, exit } = await replay("60d", "now", "--json");
    expect([stderr, exit]).toEqual([
      "mayfly: 1 request of the last 60d cannot be compared, so this does not show that nothing would change\n",
      1,
    ]);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      requests: 7,
      unchanged: 6,
      cannotTell: 1,
      onlyRecorded: 1,
      withoutClaims: 0,
      notCompiled: { [old]: expect.stringContaining("gone") },
      differences: expect.arrayContaining([expect.objectContaining({ kind: "cannot-tell", count: 1 })]),
    });
  });

  test("does not call a widening unchanged that comes with a provider's new name", async () => {
    await site.write("renamed", { "deploy.yaml": deploy.replace("provider: own", "provider: ours").replace("10m", "15m") });
    await writeFile(
      join(site.folder, "renamed.yaml"),
      (await readFile(join(site.folder, "mayfly.yaml"), "utf8")).replace("  own:", "  ours:"),
    );
    const { stdout, stderr, exit } = await replay("30d", "renamed", "--config", "renamed.yaml");
    expect([exit, stderr]).toEqual([1, expect.stringContaining("cannot be compared, so this does not show")]);
    expect(stdout).toContain("CANNOT TELL:\n");
    expect(stdout).toContain(": what it was given, since its own policy does not compile any more\n");
    expect(stdout).toMatch(/policy [0-9a-f]{12}: [a-z]+\.yaml:6: credentials\.cert\.provider: /);
    expect(stdout).toMatch(/: 1 unchanged\n/);
  });

  test.each([
    ["a span that is none", ["soon", "now"], "is no span of time"],
    ["a folder that is none", ["30d", "nowhere"], "nowhere is no folder"],
    ["tests as well", ["30d", "now", "--test"], "cannot be used with"],
  ])("of %s says so, with 124", async (_, args, message) => {
    expect(await replay(...args)).toMatchObject({ stdout: "", exit: 124, stderr: expect.stringContaining(message) });
  });

  test("of templates that do not load lists what is wrong with them, and exits with 1", async () => {
    expect(await replay("30d", "old")).toMatchObject({ exit: 1, stdout: expect.stringMatching(/^deploy\.yaml:6: .*gone/m) });
    expect(JSON.parse((await replay("30d", "old", "--json")).stdout)).toMatchObject({
      ok: false,
      problems: expect.arrayContaining([expect.objectContaining({ file: "deploy.yaml", line: 6 })]),
    });
  });
});

describe("suggest", () => {
  test("from too few runs suggests nothing, and says so", async () => {
    const { stdout, exit } = await site.here("suggest", "deploy", "--since", "30d");
    expect(exit).toBe(0);
    expect(stdout).toContain("too few to suggest anything: at least 10 runs must count");
    expect(stdout).not.toContain("+++");
  });

  test("from enough of them prints a diff that narrows, with its evidence, checked against every run", async () => {
    for (let index = 0; index < 12; index++)
      await site.run({
        run: `run-s${index}`,
        policy: now,
        takes: 120_000,
        ...told,
      });
    await site.run({ run: "run-fork", policy: now, trust: "fork", takes: 1_000_000 });
    await site.run({ run: "run-failed", policy: now, exitCode: 1, takes: 1_000_000 });
    const { stdout, exit } = await site.here("suggest", "deploy", "--since", "30d");
    expect(exit).toBe(0);
    for (const line of [
      "left out: 1 failed, 1 untrusted",
      "  credentials.cert.ttl: 10m -> 3m  (13 runs, longest 2m00s (run-s11))",
      "  sandbox.timeout: 30m -> 3m  (14 runs, longest 2m00s (run-s11))",
      "  sandbox.memory: 2GiB -> 256MiB  (14 runs, at most 100MiB (run-s11))",
      "  steps.ship.network: credentials, old.example.com -> credentials  (13 runs, reached db.example.com:5432 (13))",
      "  who.event: (of 14 runs: push (14))",
      "the actions of a cloud's policy are not looked at",
      "the narrower template compiles, and was decided again for all 14 runs: each is granted as before",
      "--- a/deploy.yaml",
      "+  cert: { provider: own, kind: x509, ttl: 3m }",
      "+sandbox: { timeout: 3m, memory: 256MiB }",
    ])
      expect(stdout).toContain(line);
  });

  test("leaves out what would not load with the rest, and says why", async () => {
    const looks = { template: "idle", step: "look", policy: now, claims: { repository_id: "7" } };
    for (let index = 0; index < 10; index++) await site.run({ run: `run-i${index}`, ...looks, peakMemory: 2 ** 20 });
    const { stdout } = await site.here("suggest", "idle", "--since", "30d");
    expect(stdout).toMatch(
      / {2}steps\.ship: \(nobody ran it in all that time.*; a narrower one would not load: child\.yaml:6: /,
    );
    expect(stdout).not.toContain("-  ship:");
    expect(stdout).toContain("+sandbox: { timeout: 2m, memory: 128MiB }");
  });

  test("takes nothing from a workload that was contained", async () => {
    await site.door.ledger.raiseFence({ scope: "workload:github:42", closed: true, who: "ada", why: "drill" });
    const { stdout } = await site.here("suggest", "deploy", "--since", "30d", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ counted: 0, leftOut: { contained: 16 }, enough: false, points: [], diff: "" });
  });

  test("of a name that is none says which was meant", async () => {
    expect(await site.here("suggest", "deplot")).toMatchObject({
      stdout: "",
      exit: 124,
      stderr: 'mayfly: no template is called "deplot"\nhint: did you mean deploy?\n',
    });
  });
});

describe("what a job chose", () => {
  test("reaches a terminal as one line that does nothing there, in a table as in an account", async () => {
    const hostile = "x\u001B[2J\n::error::\u202Egone";
    await site.door.ledger.append([
      denied("den-hostile", {
        code: "template-unknown",
        message: `no template is called ${JSON.stringify(hostile)}`,
        workload: `github:${hostile}`,
        asked: hostile,
        step: hostile,
      }),
    ]);
    const tamed = "x\\u{1b}[2J\\u{a}::error::\\u{202e}gone";
    for (const args of [
      ["explain", "den-hostile"],
      ["audit", "list", "--newest", "--limit", "3"],
      ["check", "--replay", "30d", "now"],
    ]) {
      const { stdout, stderr } = await site.here(...args);
      expect(`${stdout}${stderr}`.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      expect(stdout).not.toMatch(/^::/m);
    }
    expect((await site.here("explain", "den-hostile")).stdout).toContain(`  asked for template ${tamed}, step ${tamed}\n`);
    expect((await site.here("explain", "den-hostile", "--json")).stdout).toContain(JSON.stringify(hostile));
  });
});
