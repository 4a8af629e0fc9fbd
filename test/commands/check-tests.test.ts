import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { mayfly, type Ran } from "./shell.ts";

const root = mkdtempSync(join(tmpdir(), "mayfly-tests-"));
let folder: string;
let count = 0;

const deploy = `version: 1
template: deploy
owner: team-shop
who: { issuer: github, repository_id: "519283746", trust: protected, environment: production, not: { actor_id: "666" } }
credentials:
  db: { provider: vault-main, path: database/creds/shop, ttl: 5m }
  client: { provider: broker, kind: x509 }
steps:
  migrate: { run: [npm, run, migrate], credentials: [db], workspace: read-only }
  ship: { run: [./ship.sh], credentials: [client], workspace: read-only }
`;

const head = `version: 1
issuer: github
template: deploy
claims: { repository_id: "519283746", event_name: push, ref_protected: "true", environment: production }
tests:
`;

beforeEach(() => {
  count += 1;
  folder = join(root, String(count));
  put("deploy.yaml", deploy);
});

afterAll(() => rmSync(root, { recursive: true }));

function put(name: string, text: string): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), text);
}

function check(...flags: readonly string[]): Promise<Ran> {
  return mayfly(["check", "--test", folder, "--config", "deploy/mayfly.yaml", ...flags]);
}

/** The tests' own lines: what is before the summary of the templates is check's. */
async function tested(tests: string): Promise<{ readonly lines: readonly string[]; readonly exit: number }> {
  put("deploy.test.yaml", head + tests);
  const { stdout, exit } = await check();
  const lines = stdout.trimEnd().split("\n");
  return { lines: lines.slice(lines.findIndex((line) => line.startsWith("1 template in ")) + 1), exit };
}

describe("a policy test that holds", () => {
  const good: readonly (readonly [string, string])[] = [
    [
      "a grant, to the last word of it",
      "step: migrate, expect: { granted: deploy, credentials: [db], ttl: { db: 5m }, network: [], workspace: read-only }",
    ],
    ["what all steps give together, where none is named", "expect: { granted: deploy, credentials: [client, db] }"],
    ["a pinned command, repeated", "step: migrate, command: [npm, run, migrate], expect: { granted: deploy }"],
    ["another command", "step: migrate, command: [sh], expect: { denied: step-command }"],
    ["a step that is none", "step: build, expect: { denied: step-unknown }"],
    ["a run that names no step", "expect: { denied: step-required }"],
    [
      "a pull request, by the line that failed first",
      "claims: { event_name: pull_request }, expect: { denied: claim-mismatch, claim: trust }",
    ],
    ["a claim that is taken away", "claims: { environment: null }, expect: { denied: claim-mismatch, claim: environment }"],
    [
      "a line under `not`, by the claim or as it is called",
      'claims: { actor_id: "666" }, expect: { denied: claim-mismatch, claim: not actor_id }',
    ],
    ["the same by its claim", 'claims: { actor_id: "666" }, expect: { denied: claim-mismatch, claim: actor_id }'],
    ["a template that is none", "template: nope, expect: { denied: template-unknown }"],
    ["a token that the verifier refuses", "claims: { repository_id: null }, expect: { denied: token-claim }"],
  ];
  test.each(good)("%s", async (_, rest) => {
    expect(await tested(`  - { it: holds, ${rest} }\n`)).toMatchObject({
      exit: 0,
      lines: expect.arrayContaining(["1 test, 1 passed, 0 failed"]),
    });
  });

  test("without a template, as a runner without --template: the line is that of the template beside it", async () => {
    put(
      "deploy.test.yaml",
      head.replace("template: deploy\n", "") +
        '  - { it: x, claims: { repository_id: "1" }, expect: { denied: no-match, claim: repository_id } }\n',
    );
    expect((await check()).exit).toBe(0);
  });
});

describe("a policy test that does not hold", () => {
  const bad: readonly (readonly [string, string, string])[] = [
    [
      "a grant that is denied",
      "claims: { ref_protected: null }, expect: { granted: deploy }",
      'granted: expected deploy, found denied claim-mismatch: trust of this job is "branch"',
    ],
    [
      "a denial that is granted",
      "step: ship, expect: { denied: claim-mismatch }",
      "denied: expected claim-mismatch, found granted deploy, step ship",
    ],
    [
      "one step of several that is granted",
      "expect: { denied: no-match }",
      "denied: expected no-match, found granted deploy, step migrate",
    ],
    [
      "another denial",
      "template: nope, expect: { denied: claim-mismatch }",
      "denied: expected claim-mismatch, found denied template-unknown",
    ],
    [
      "another line",
      "claims: { event_name: pull_request }, expect: { denied: claim-mismatch, claim: environment }",
      "claim: expected environment, found failed first at trust",
    ],
    ["another template", "expect: { granted: deploy/staging }", "granted: expected deploy/staging, found granted deploy"],
    [
      "a credential too many",
      "step: migrate, expect: { granted: deploy, credentials: [] }",
      "credentials: expected none, found db",
    ],
    [
      "a credential too few",
      "step: migrate, expect: { granted: deploy, credentials: [db, client] }",
      "credentials: expected client, db, found db",
    ],
    ["a longer life", "step: migrate, expect: { granted: deploy, ttl: { db: 4m } }", "ttl.db: expected 4m, found 5m"],
    [
      "the life of what is not given",
      "step: ship, expect: { granted: deploy, ttl: { db: 5m } }",
      "ttl.db: expected 5m, found none",
    ],
    [
      "a host that is not reached",
      "step: ship, expect: { granted: deploy, network: [db.example.com] }",
      "network: expected db.example.com:443, found none",
    ],
    ["another workspace", "step: ship, expect: { granted: deploy, workspace: rw }", "workspace: expected rw, found read-only"],
    [
      "a token that is refused",
      "claims: { repository_id: null }, expect: { granted: deploy }",
      "granted: expected deploy, found denied token-claim: ",
    ],
  ];
  test.each(bad)("%s says what was expected and what was found, and fails", async (_, rest, found) => {
    const { lines, exit } = await tested(`  - { it: does not hold, ${rest} }\n`);
    expect(lines[0]).toContain(`deploy.test.yaml:6: does not hold: ${found}`);
    expect([exit, lines]).toEqual([1, expect.arrayContaining(["1 test, 0 passed, 1 failed"])]);
  });

  test("shows the lines of the template, up to the one that failed", async () => {
    const { lines } = await tested(
      "  - { it: lets it in, claims: { event_name: pull_request }, expect: { granted: deploy } }\n",
    );
    expect(lines.slice(1, -1)).toEqual([
      "  template deploy: does not match",
      expect.stringMatching(/^ {4}yes {2}issuer +wants "github" +found "github"$/),
      expect.stringMatching(/^ {4}yes {2}repository_id +wants "519283746" +found "519283746"$/),
      expect.stringMatching(/^ {4}NO {3}trust +wants "protected" +found "pull_request"$/),
    ]);
  });
});

describe("a policy test and what it could be mistaken in", () => {
  const named = (name: string) => deploy.replaceAll("db:", `${name}:`).replaceAll("[db]", `[${name}]`);

  test("a credential that is called none is one", async () => {
    put("deploy.yaml", named("none"));
    const { lines } = await tested("  - { it: x, step: migrate, expect: { granted: deploy, credentials: [] } }\n");
    expect(lines[0]).toContain('credentials: expected none, found "none"');
    expect(lines).toContain("1 test, 0 passed, 1 failed");
    const there = "  - { it: x, step: migrate, expect: { granted: deploy, credentials: [none] } }\n";
    expect((await tested(there)).lines).toEqual(["1 test, 1 passed, 0 failed"]);
  });

  test("an address stands as the template has it", async () => {
    put(
      "deploy.yaml",
      deploy.replace("credentials: [db],", 'credentials: [db], network: ["[2001:db8::7]:22", db.example.com],'),
    );
    const network = (list: string) => `  - { it: x, step: migrate, expect: { granted: deploy, network: ${list} } }\n`;
    const good = await tested(network('["db.example.com:443", "[2001:db8::7]:22"]'));
    expect(good.lines).toEqual(["1 test, 1 passed, 0 failed"]);
    const { lines } = await tested(network('["[2001:db8::8]:22"]'));
    expect(lines[0]).toContain("network: expected [2001:db8::8]:22, found [2001:db8::7]:22, db.example.com:443");
  });

  test("a claim that no token has is a problem of the test, with what was meant", async () => {
    const { lines, exit } = await tested("  - { it: x, claims: { enviroment: x }, expect: { denied: claim-mismatch } }\n");
    expect([exit > 0, lines[0]]).toEqual([
      true,
      "deploy.test.yaml:6: tests.0.claims.enviroment: no token of this issuer has such a claim; did you mean environment?",
    ]);
  });

  test("hours are among the lines that show why", async () => {
    put("deploy.yaml", deploy.replace("who:", 'when: { days: mon-fri, hours: "07:00-19:00", zone: UTC }\nwho:'));
    const { lines } = await tested('  - { it: x, at: "2026-11-22T10:00:00Z", step: ship, expect: { granted: deploy } }\n');
    expect(lines.slice(1, 2)).toEqual(["  template deploy: matches, but not at this time"]);
    expect(lines.join("\n")).toMatch(/NO {3}when +wants mon,tue,wed,thu,fri 07:00-19:00 UTC {2}found sun 10:00 UTC/);
  });
});

describe("the run of all tests", () => {
  test("of a template with hours fails where a test does not say when it asks", async () => {
    put("deploy.yaml", deploy.replace("who:", 'when: { days: mon-fri, hours: "07:00-19:00", zone: UTC }\nwho:'));
    const at = (time: string, expected: string) => `  - { it: is asked, at: "${time}", step: ship, expect: { ${expected} } }\n`;
    const good = at("2026-11-23T10:00:00Z", "granted: deploy") + at("2026-11-22T10:00:00Z", "denied: outside-hours");
    expect((await tested(good)).lines).toEqual(["2 tests, 2 passed, 0 failed"]);
    const { lines, exit } = await tested(
      "  - { it: is asked, claims: { environment: production }, step: ship, expect: { granted: deploy } }\n",
    );
    expect([exit, lines.join("\n")]).toEqual([
      1,
      expect.stringContaining("is asked: at: expected a time, since the template has hours (`when`), found none"),
    ]);
  });

  test("names the templates that no test lets anybody use", async () => {
    const { lines } = await tested("  - { it: denies, claims: { environment: x }, expect: { denied: claim-mismatch } }\n");
    expect(lines).toEqual(["1 test, 1 passed, 0 failed", "no test expects a grant of deploy"]);
  });

  test("is a failure where there is none: nothing was shown", async () => {
    const { stdout, stderr, exit } = await check();
    expect([exit, stdout]).toEqual([1, expect.stringContaining("\n0 tests, 0 passed, 0 failed\n")]);
    expect(stderr).toContain("hint: write NAME.test.yaml beside NAME.yaml");
  });

  test("reads the folders beneath, and finds a test whose template is gone", async () => {
    cpSync(join(folder, "deploy.yaml"), join(folder, "shop/deploy.yaml"), { recursive: true });
    put("shop/deploy.yaml", deploy.replace("template: deploy", "template: shop/deploy").replace("production", "staging"));
    put(
      "shop/deploy.test.yaml",
      head.replace("deploy", "shop/deploy") +
        "  - { it: x, claims: { environment: staging }, expect: { granted: shop/deploy } }\n",
    );
    put("shop/gone.test.yaml", head);
    put(".schema/x.test.yaml", "not read");
    const { stdout, exit } = await check();
    expect(exit).toBe(1);
    expect(stdout).toContain("shop/gone.test.yaml: stands beside no template; call it as its template is");
    expect(stdout).toContain("1 test, 1 passed, 0 failed\n");
  });

  test("as JSON is data: counts, each result, and what is wrong with the files", async () => {
    put(
      "deploy.test.yaml",
      `${head}  - { it: holds, expect: { granted: deploy } }\n  - { it: fails, expect: { denied: no-match } }\n`,
    );
    put("other.test.yaml", "tests: []");
    const { stdout, exit } = await check("--json");
    expect(exit).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      tests: 2,
      passed: 1,
      failed: 1,
      untested: [],
      problems: [{ file: "other.test.yaml", message: "stands beside no template" }],
      results: [
        { file: "deploy.test.yaml", line: 6, it: "holds", passed: true, differences: [] },
        { it: "fails", passed: false, differences: [{ key: "denied", expected: "no-match" }] },
      ],
    });
  });

  test("says what is wrong with a file of tests, and with an issuer that mayfly.yaml has not", async () => {
    put("deploy.test.yaml", head.replace("issuer: github", "issuer: nobody") + "  - { it: x, expect: { granted: deploy } }\n");
    expect((await check()).stdout).toContain(
      "deploy.test.yaml:6: issuer: mayfly.yaml has no issuer nobody; it has github, gitlab",
    );
    put("deploy.test.yaml", `${head}  - { it: x }\n`);
    expect((await check()).stdout).toContain("deploy.test.yaml:6: tests.0.expect: ");
  });

  test("does not begin where the templates do not load, and says why", async () => {
    put("deploy.yaml", deploy.replace("issuer: github", "issuer: nobody"));
    put("deploy.test.yaml", `${head}  - { it: x, expect: { granted: deploy } }\n`);
    for (const flags of [[], ["--json"]]) {
      const { stdout, stderr, exit } = await check(...flags);
      expect([exit, stdout]).toEqual([1, expect.stringContaining("mayfly.yaml has no issuer nobody")]);
      expect(stderr).toContain("mayfly: so no test was run\n");
    }
  });

  test("is run all the same where --strict fails on advice alone", async () => {
    put("deploy.yaml", deploy.replace(/^# yaml-language-server.*\n/, ""));
    put("deploy.test.yaml", `${head}  - { it: x, expect: { granted: deploy } }\n`);
    const { stdout, exit } = await check("--strict");
    expect([exit, stdout]).toEqual([1, expect.stringMatching(/advice[\s\S]*1 test, 1 passed, 0 failed\n$/)]);
  });

  test("of the templates that come with Mayfly passes", async () => {
    const { stdout, exit } = await mayfly([
      "check",
      "--strict",
      "--test",
      "deploy/templates",
      "--config",
      "deploy/mayfly.yaml",
    ]);
    expect([exit, stdout]).toEqual([0, expect.stringMatching(/\n\d+ tests, \d+ passed, 0 failed\n$/)]);
  });
});
