import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { rules } from "../../src/policy/lint/rules.ts";
import { mayfly, type Ran } from "./shell.ts";

let folder: string;

const config = `
version: 1
state: /var/lib/mayfly
identity: { url: "https://mayfly.example", origin: mayfly.example/one }
issuers:
  github: { preset: github, audience: mayfly }
providers:
  own: { type: local }
sandbox: {}
`;

const good = `# yaml-language-server: $schema=template.schema.json
version: 1
template: deploy
owner: team-shop
who:
  issuer: github
  repository_id: "7"
  trust: protected
credentials:
  cert: { provider: own, kind: x509, ttl: 5m }
steps:
  ship: { credentials: [cert], run: [./deploy.sh], workspace: read-only }
`;

const files = {
  "good/deploy.yaml": good,
  "good/deploy.test.yaml": `version: 1
issuer: github
claims: { repository_id: "7", event_name: push, ref_protected: "true" }
tests:
  - it: ships
    step: ship
    expect: { granted: deploy }
`,
  "advised/deploy.yaml": good.replace("owner: team-shop\n", "").replace(", workspace: read-only", ""),
  "risky/deploy.yaml": good.replace("  trust: protected\n", "").replace("5m", "30m"),
  "accepted/deploy.yaml": `${good.replace("  trust: protected\n", "  event_name: push\n")}accept: { trust-missing: "every branch of it may have this" }\n`,
  "unmet/deploy.yaml": good
    .replace("read-only }", 'read-only, network: ["db.example.com:5432"] }')
    .concat(`sandbox: { image: "registry.example.com/ci/node@sha256:${"0".repeat(64)}" }\n`),
  "watched/deploy.yaml": good.concat('observe: { parts: [network], until: "2027-01-31" }\n'),
  "wrong/a.yaml": good.replace('"7"', "7"),
  "wrong/b/other.yaml": good.replace("template: deploy", "template: b/other").replace("provider: own", "provider: gone"),
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-check-"));
  await writeFile(join(folder, "mayfly.yaml"), config);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(folder, name, ".."), { recursive: true, mode: 0o755 });
    await writeFile(join(folder, name), text, { mode: 0o644 });
  }
});

afterAll(() => rm(folder, { recursive: true }));

async function check(...args: readonly string[]): Promise<Ran> {
  return mayfly(["check", ...args], { cwd: folder, env: { MAYFLY_CONFIG: join(folder, "mayfly.yaml") } });
}

describe("mayfly check", () => {
  test("says a file's name and a key in one line, whatever they are", async () => {
    const name = "x\n::error file=a::\u001B[2J.yaml";
    await mkdir(join(folder, "hostile"), { recursive: true, mode: 0o755 });
    await writeFile(join(folder, "hostile", name), `version: 1\n"k\\e[31m\\n::set-env::": 1\n`, { mode: 0o644 });
    await writeFile(join(folder, "hostile/deploy.yaml"), `${good}"k\\e[31m\\n::set-env::": 1\n`, { mode: 0o644 });
    const { stdout, stderr } = await check("hostile");
    expect(stdout).toContain("x\\u{a}::error file=a::\\u{1b}[2J.yaml");
    expect(stdout).toContain("k\\u{1b}[31m\\u{a}::set-env::");
    expect(`${stdout}${stderr}`).not.toMatch(/^::|(?!\n)\p{Cc}/mu);
  });

  test("says of good templates how many there are and which policy they make", async () => {
    expect(await check("good")).toMatchObject({
      exit: 0,
      stderr: "",
      stdout: expect.stringMatching(/^1 template in .*\/good: policy [0-9a-f]{64}\n$/),
    });
    expect(JSON.parse((await check("good", "--json")).stdout)).toMatchObject({
      ok: true,
      templates: ["deploy"],
      problems: [],
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  test("lists each problem of what does not load with its place, its fix and its rule, file by file", async () => {
    const { stdout, stderr, exit } = await check("wrong");
    expect(exit).toBe(1);
    expect(stdout).toMatch(
      /^a\.yaml:7: who\.repository_id: a number: .*; write it in quotes: "7" \[error: invalid\]\n\nb\/other\.yaml:10: .*gone.*\n$/,
    );
    expect(stderr).toBe("mayfly: 2 problems (2 errors): a broker would not load these templates\n");
    expect(JSON.parse((await check("wrong", "--json")).stdout)).toMatchObject({
      ok: false,
      problems: [
        { rule: "invalid", level: "error", file: "a.yaml", line: 7, key: "who.repository_id" },
        { file: "b/other.yaml", line: 10 },
      ],
    });
  });

  test("refuses a risk that nobody accepts, and takes one that somebody does", async () => {
    const { stdout, stderr, exit } = await check("risky");
    expect(exit).toBe(1);
    expect(stdout).toBe(
      [
        "deploy.yaml:5: who: no line asks for trust; add `trust: protected` to who [risk: trust-missing]",
        "deploy.yaml:9: credentials.cert.ttl: 30m: cannot be revoked; give it 15m or less, or take it from a provider that can revoke [risk: unrevocable-long]\n",
      ].join("\n"),
    );
    expect(stderr).toBe("mayfly: 2 problems (2 risks): a broker would not load these templates\n");
    expect(await check("accepted", "--strict")).toMatchObject({ exit: 0, stderr: "" });
  });

  test("says advice and goes on, and fails on it with --strict", async () => {
    const advised = await check("advised");
    expect(advised).toMatchObject({ exit: 0, stderr: "mayfly: 2 advice\n" });
    expect(advised.stdout).toMatch(
      /^deploy\.yaml:2: no owner; .* \[advice: no-owner\]\ndeploy\.yaml:11: steps\.ship: .*\n1 template in /,
    );
    expect(await check("advised", "--strict")).toMatchObject({ exit: 1, stdout: advised.stdout });
    expect(JSON.parse((await check("advised", "--json", "--strict")).stdout)).toMatchObject({
      ok: false,
      templates: ["deploy"],
    });
  });

  test.each([
    [
      "unmet",
      ["steps.ship.network: the step ship asks for a network: this broker has no", "sandbox.image: this broker has no"],
    ],
    ["watched", ["observe.parts: the network is watched: this broker has no network"]],
  ])("advises on what today's sandbox gives to no run: %s", async (templates, says) => {
    const { stdout, exit } = await check(templates);
    expect(exit).toBe(0);
    for (const text of says) expect(stdout).toMatch(new RegExp(`: ${text}.*\\[advice: sandbox-unmet\\]$`, "m"));
  });

  test("colours the rule where a person looks, and nowhere else", async () => {
    const around = { cwd: folder, env: { MAYFLY_CONFIG: join(folder, "mayfly.yaml") } };
    expect((await mayfly(["check", "risky"], { ...around, terminal: true })).stdout).toContain(
      "\u001B[33m[risk: trust-missing]\u001B[0m",
    );
    const plain = { ...around, env: { ...around.env, NO_COLOR: "1" }, terminal: true };
    expect((await mayfly(["check", "risky"], plain)).stdout).not.toContain("\u001B");
    expect((await check("risky")).stdout).not.toContain("\u001B");
  });

  test("says which folder or configuration is not there", async () => {
    for (const folder of ["nowhere", "mayfly.yaml"])
      expect(await check(folder)).toMatchObject({
        exit: 124,
        stdout: "",
        stderr: expect.stringContaining(`/${folder} is no folder that can be read\n`),
      });
    expect(await check("good", "--config", "nowhere.yaml")).toMatchObject({
      exit: 124,
      stdout: "",
      stderr: expect.stringMatching(/^mayfly: .*nowhere\.yaml cannot be read\nhint: /),
    });
  });

  test("lists its rules, with or without a configuration", async () => {
    const { stdout, exit } = await mayfly(["check", "--list-rules"], { cwd: folder, env: {} });
    expect(exit).toBe(0);
    for (const { name, level } of rules)
      expect(stdout.split("\n")).toContainEqual(expect.stringMatching(new RegExp(`^  ${name} +${level} `)));
    const listed: unknown = JSON.parse((await check("--list-rules", "--json")).stdout);
    expect(listed).toEqual(
      rules.map(({ name, level, says, fix }) => ({ rule: name, level, says, fix, theme: expect.any(String) })),
    );
  });

  test("runs the tests beside the templates too, and only where these load", async () => {
    const { stdout, exit } = await check("good", "--test");
    expect([exit, stdout]).toEqual([0, expect.stringMatching(/^1 template in [\s\S]*1 test, 1 passed, 0 failed/)]);
    expect(await check("wrong", "--test")).toMatchObject({ exit: 1, stdout: expect.stringMatching(/^a\.yaml:7: /) });
    expect(JSON.parse((await check("good", "--test", "--json")).stdout)).toMatchObject({ ok: true });
  });

  test("asks the broker's audit socket for a replay", async () => {
    const { exit, stderr } = await check("good", "--replay", "30d", "--socket", join(folder, "none.sock"));
    expect([exit, stderr]).toEqual([expect.any(Number), expect.stringContaining("none.sock")]);
    expect(exit).not.toBe(0);
  });
});

/** What SARIF 2.1.0 requires of each object that we write (sarif-schema-2.1.0.json), and nothing that it does not know. */
const text = z.strictObject({ text: z.string().min(1) });
const level = z.enum(["none", "note", "warning", "error"]);
const sarif = z.strictObject({
  $schema: z.url(),
  version: z.literal("2.1.0"),
  runs: z
    .array(
      z.strictObject({
        tool: z.strictObject({
          driver: z.strictObject({
            name: z.string().min(1),
            rules: z.array(
              z.strictObject({
                id: z.string(),
                shortDescription: text,
                fullDescription: text,
                help: z.strictObject({ text: z.string().min(1), markdown: z.string().min(1) }),
                defaultConfiguration: z.strictObject({ level }),
                properties: z.strictObject({ tags: z.array(z.string()) }),
              }),
            ),
          }),
        }),
        columnKind: z.literal("utf16CodeUnits"),
        results: z.array(
          z.strictObject({
            ruleId: z.string(),
            ruleIndex: z.int().min(0),
            level,
            message: text,
            locations: z
              .array(
                z.strictObject({
                  physicalLocation: z.strictObject({
                    artifactLocation: z.strictObject({ uri: z.string().regex(/^(?![a-z]+:|\/|\.\.)[^\s\\]+$/) }),
                    region: z.strictObject({ startLine: z.int().min(1) }),
                  }),
                }),
              )
              .length(1),
          }),
        ),
      }),
    )
    .length(1),
});

describe("mayfly check --sarif", () => {
  test("is SARIF with every rule, each result naming one of them and a place below the checkout", async () => {
    const { stdout, exit } = await check("risky", "--sarif");
    expect(exit).toBe(1);
    const [run] = sarif.parse(JSON.parse(stdout)).runs;
    expect(run?.tool.driver.rules.map(({ id }) => id)).toEqual(["invalid", ...rules.map(({ name }) => name)]);
    for (const { ruleId, ruleIndex } of run?.results ?? []) expect(run?.tool.driver.rules[ruleIndex]?.id).toBe(ruleId);
    expect(
      run?.results.map(({ ruleId, level: severity, locations }) => [ruleId, severity, locations[0]?.physicalLocation]),
    ).toEqual([
      ["trust-missing", "warning", { artifactLocation: { uri: "risky/deploy.yaml" }, region: { startLine: 5 } }],
      ["unrevocable-long", "warning", { artifactLocation: { uri: "risky/deploy.yaml" }, region: { startLine: 9 } }],
    ]);
  });

  test("says of each rule where its section is", async () => {
    const { stdout } = await check("good", "--sarif");
    const described = sarif.parse(JSON.parse(stdout)).runs.flatMap(({ tool }) => tool.driver.rules);
    for (const { id, help } of described)
      expect(help.text).toMatch(new RegExp(`\\.\\n\\nMore: docs/${id === "invalid" ? "templates.md" : `lint.md#${id}`}$`));
  });

  test("is all there is on stdout, and so goes with nothing else that is printed", async () => {
    for (const flag of ["--json", "--test"])
      expect(await check("good", "--sarif", flag)).toMatchObject({
        exit: 124,
        stdout: "",
        stderr: expect.stringContaining("--sarif"),
      });
  });

  test("has the language's errors as errors and advice as notes, and no results where there is nothing", async () => {
    const levels = async (name: string) =>
      sarif
        .parse(JSON.parse((await check(name, "--sarif")).stdout))
        .runs[0]?.results.map((result) => [result.ruleId, result.level]);
    expect(await levels("wrong")).toEqual([
      ["invalid", "error"],
      ["invalid", "error"],
    ]);
    expect(await levels("advised")).toEqual([
      ["no-owner", "note"],
      ["rw-beside-pinned", "note"],
    ]);
    expect(await levels("good")).toEqual([]);
  });
});
