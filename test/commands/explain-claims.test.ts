import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mayfly } from "./shell.ts";

let folder: string;

const config = `
version: 1
identity: { url: "https://mayfly.example", origin: mayfly.example/one }
issuers:
  ci: { url: "https://ci.example", audience: mayfly, workload: [project_id], job: [job_id] }
  github: { preset: github, audience: mayfly }
providers:
  own: { type: local }
sandbox: {}
`;

const deploy = `version: 1
template: deploy
who:
  issuer: ci
  project_id: "7"
  ref: refs/heads/main
credentials:
  cert: { provider: own, kind: x509, ttl: 5m, deliver: { files: { key.pem: private-key, certificate: certificate } } }
steps:
  ship: { credentials: [cert], run: [./deploy.sh] }
  look: { credentials: [] }
`;

const release = `version: 1
template: release
who: { issuer: github, repository_id: "42", trust: protected }
when: { days: mon-fri, hours: "07:00-19:00", zone: UTC }
`;

const claims = { iss: "https://ci.example", sub: "p7", project_id: "7", job_id: "1", ref: "refs/heads/main" };
const part = { repository_id: "42", event_name: "push", ref_protected: "true" };
const opa = "last_word: { server: http://127.0.0.1:9, decision: mayfly/decision }\n";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-claims-"));
  await mkdir(join(folder, "good"), { mode: 0o700 });
  const files = {
    "mayfly.yaml": config,
    "overruled.yaml": `${config}${opa}`,
    "good/deploy.yaml": deploy,
    "good/release.yaml": release,
    "claims.json": JSON.stringify(claims),
    "branch.json": JSON.stringify({ ...claims, ref: "refs/heads/x" }),
    "part.json": JSON.stringify(part),
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
});

afterAll(() => rm(folder, { recursive: true }));

async function explain(...args: readonly string[]) {
  return mayfly(["explain", "--claims", ...args], {
    cwd: folder,
    env: { MAYFLY_CONFIG: join(folder, "mayfly.yaml"), MAYFLY_TEMPLATES: join(folder, "good") },
  });
}

describe("explain --claims", () => {
  test("tells what a job would be given, in words, and which lines held", async () => {
    const { stdout, stderr, exit } = await explain("claims.json", "--step", "ship");
    expect([stderr, exit]).toEqual(["", 0]);
    expect(stdout).toMatch(/^granted: template deploy matched on issuer, project_id, ref\n/);
    for (const line of [
      '  command    "./deploy.sh"',
      "  credential cert from own, for 5m",
      "    scope    kind x509",
      "    deliver  private-key as key.pem, certificate",
      "  sandbox    memory 2GiB, 2 cpus, 512 processes, 30m, passes CI",
      "template deploy: matches",
      "template release: does not match",
    ])
      expect(stdout).toContain(`${line}\n`);
    expect(stdout).not.toContain("step look");
  });

  test("without a step tells of every step", async () => {
    const { stdout, exit } = await explain("claims.json");
    expect(exit).toBe(0);
    expect(stdout).toMatch(/\n {2}template {3}deploy, step ship\n[^]*\n {2}template {3}deploy, step look\n/);
    expect(stdout).toContain("  command    any (the step pins none)\n");
    expect(JSON.parse((await explain("claims.json", "--json")).stdout)).toMatchObject({
      decisions: [
        { kind: "granted", step: "ship", command: ["./deploy.sh"] },
        { kind: "granted", step: "look", command: null },
      ],
      templates: [{ template: "deploy", matched: true }, { template: "release" }],
    });
  });

  test("refuses another command than the pinned one", async () => {
    expect(await explain("claims.json", "--step", "ship", "--", "sh")).toMatchObject({
      exit: 120,
      stdout: expect.stringContaining("step-command"),
    });
  });

  test("tells which line did not hold and what it wants, and exits as the run would", async () => {
    const { stdout, exit } = await explain("branch.json", "--template", "deploy", "--step", "ship");
    expect(exit).toBe(120);
    expect(stdout).toMatch(/NO {3}ref {9}wants .*refs\/heads\/main.* found .*refs\/heads\/x/);
    expect(JSON.parse((await explain("branch.json", "--json")).stdout)).toMatchObject({
      decisions: [{ kind: "denied", code: "no-match" }],
    });
  });

  const slips: readonly (readonly [string, readonly string[], string])[] = [
    ["a template's name", ["--template", "deplyo"], "hint: did you mean deploy? there is deploy, release\n"],
    ["a name like no other", ["--template", "x"], "hint: there is deploy, release\n"],
    ["a step's name", ["--step", "shpi"], "hint: did you mean ship? there is ship, look\n"],
  ];
  test.each(slips)("of a slip in %s says what was meant, and what there is", async (_, flags, hint) => {
    expect(await explain("claims.json", ...flags)).toMatchObject({ exit: 120, stderr: hint });
  });

  test("says that the site's last word was not asked, where it could take something away", async () => {
    const said = "mayfly: the site's last word (`last_word` in mayfly.yaml) was not asked: it can refuse or narrow this\n";
    expect(await explain("claims.json", "--config", "overruled.yaml")).toMatchObject({ exit: 0, stderr: said });
    expect(await explain("branch.json", "--config", "overruled.yaml")).toMatchObject({ exit: 120, stderr: "" });
  });

  const wrong: readonly (readonly [string, unknown, readonly string[], string])[] = [
    ["what is not JSON", "no json", [], "does not hold claims"],
    ["what names a member twice", '{"iss":"https://ci.example","iss":"x"}', [], "does not hold claims"],
    ["a list", "[]", [], "does not hold a JSON object"],
    [
      "an issuer that is not configured",
      { iss: "https://c1.example" },
      [],
      'has no issuer whose url is the claims\' iss, "https://c1.example"\nhint: did you mean https://ci.example?\n',
    ],
    [
      "no issuer at all",
      part,
      [],
      "mayfly: the claims have no iss, so whose they are is not known\nhint: name theirs with --issuer, which also fills in what is left out: there is ci, github\n",
    ],
    [
      "what lacks claims",
      { iss: "https://ci.example" },
      [],
      "mayfly: a token of ci with these claims is refused: it lacks sub, project_id, job_id\nhint: --issuer ci fills in what its tokens always have\n",
    ],
    [
      "what is refused otherwise",
      { ...claims, aud: "another" },
      [],
      "mayfly: a token of ci with these claims is refused: the identity token was not made for this broker: its one audience is another than `audience` of its issuer in mayfly.yaml: where the job asks for its token, ask for that one\n",
    ],
    ["an issuer's name that is none", part, ["--issuer", "githib"], 'has no issuer "githib"\nhint: did you mean github?\n'],
    [
      "another's claims",
      claims,
      ["--issuer", "github"],
      'mayfly: these claims are not those of github: their iss is "https://ci.example"\n',
    ],
    ["a time that is none", claims, ["--at", "tomorrow"], 'mayfly: "tomorrow" is no time\nhint: '],
    ["a time without a zone", claims, ["--at", "2026-11-23T10:00:00"], "is no time\nhint: write one with its zone"],
  ];
  test.each(wrong)("of %s says so", async (_, content, flags, message) => {
    await writeFile(join(folder, "wrong.json"), typeof content === "string" ? content : JSON.stringify(content));
    const { stdout, stderr, exit } = await explain("wrong.json", ...flags);
    expect(stdout).toBe("");
    expect(exit).toBeGreaterThanOrEqual(120);
    expect(stderr).toContain(message);
  });

  test("with --issuer fills in what policy tests may leave out, and says what", async () => {
    const flags = ["--issuer", "github", "--at", "2026-11-23T10:00:00Z"];
    const { stdout, stderr, exit } = await explain("part.json", ...flags);
    expect(exit).toBe(0);
    expect(stderr).toMatch(/^mayfly: filled in, as a policy test has it: iss, sub, .*run_id/);
    expect(stderr).not.toContain("event_name");
    expect(stdout).toMatch(/^granted: template release matched /);
    await writeFile(join(folder, "silent.json"), JSON.stringify({ repository_id: "42" }));
    expect((await explain("silent.json", ...flags)).stdout).toMatch(/NO {3}trust +wants "protected" {2}found "unknown"/);
  });

  test("asks about hours at the time of --at", async () => {
    const sunday = await explain("part.json", "--issuer", "github", "--at", "2026-11-22T11:00:00+01:00");
    expect(sunday.exit).toBe(120);
    expect(sunday.stdout).toContain("template release: matches, but not at this time\n");
  });
});
