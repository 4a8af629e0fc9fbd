import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { audience, githubClaims, headerOf, rsaKey, signed, startIssuer, type TestIssuer } from "../identity/issuer.ts";
import { mayfly } from "./shell.ts";

const key = rsaKey("k1");
const stranger = rsaKey("k1");

let issuer: TestIssuer;
let folder: string;

const config = (url: string) => `
version: 1
identity: { url: "https://mayfly.example", origin: mayfly.example/one }
issuers:
  github: { url: "${url}", preset: github, audience: "${audience}", allow_private: true }
  plain:
    url: "https://plain.example"
    audience: "${audience}"
    workload: [project]
    job: [job]
providers:
  own: { type: local }
sandbox: {}
`;

const deploy = `version: 1
template: deploy
who:
  issuer: github
  repository_id: "456789"
  trust: protected
credentials:
  cert: { provider: own, kind: x509, ttl: 5m }
steps:
  ship: { credentials: [cert], run: [./deploy.sh], workspace: read-only }
  look: { credentials: [] }
`;

const other = `version: 1
template: other
who:
  issuer: github
  repository_id: "1"
  repository: octo-org/octo-repo
`;

const plain = `version: 1
template: plain
who:
  issuer: plain
  project: "7"
  channel: release
`;

beforeAll(async () => {
  issuer = await startIssuer(() => ({ keys: [key.jwk] }));
  folder = await mkdtemp(join(tmpdir(), "mayfly-explain-"));
  await mkdir(join(folder, "templates"), { mode: 0o700 });
  await writeFile(join(folder, "mayfly.yaml"), config(issuer.url));
  for (const [name, text] of Object.entries({ deploy, other, plain }))
    await writeFile(join(folder, "templates", `${name}.yaml`), text);
});

afterAll(async () => {
  await issuer[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

type Changes = Readonly<Record<string, unknown>>;

const second = () => Math.floor(Date.now() / 1000);

function claims(changes: Changes = {}): Record<string, unknown> {
  const now = second();
  return githubClaims(issuer.url, { iat: now - 5, nbf: now - 605, exp: now + 295, ...changes });
}

const good = (changes: Changes = {}) => signed(key, headerOf(key), claims(changes));

async function explain(token: string, ...flags: readonly string[]) {
  await writeFile(join(folder, "token"), `${token}\n`);
  return mayfly(["explain", "--token-file", "token", ...flags], {
    cwd: folder,
    env: { MAYFLY_CONFIG: join(folder, "mayfly.yaml"), MAYFLY_TEMPLATES: join(folder, "templates") },
  });
}

/** Neither the token nor a part of it: its parts are long, and none of them is a word. */
function expectNothingOf(token: string, ...outputs: readonly string[]): void {
  for (const part of token.split(".").filter((piece) => piece.length > 20))
    for (const output of outputs) expect(output).not.toContain(part.slice(0, 40));
}

describe("explain --token-file", () => {
  test("of a good token says what is believed and what its job would be given, step by step", async () => {
    const token = good({ enterprise: null, odd: { a: 1 }, mixed: ["a", 1] });
    const { stdout, stderr, exit } = await explain(token);
    expect([stderr, exit]).toEqual(["", 0]);
    expect(stdout).toMatch(/^accepted: the token is good\nchecks:\n/);
    for (const check of ["form", "issuer", "header", "keys", "signature", "audience", "times", "claims"])
      expect(stdout).toMatch(new RegExp(`\\n  held +${check} `));
    for (const line of [
      "what is believed:",
      "  workload  github:456789  from repository_id",
      "  job       github:456789:77:1:991  from run_id, run_attempt, check_run_id",
      "  trust     protected  from event_name, ref_protected",
      '  id        repository_id "456789"',
      '  trust     ref_protected "true"',
      '  id        repository_owner_id "123456"',
      '  label     repository "octo-org/octo-repo"',
      "  left out  enterprise: null, which no template can match on",
      "  left out  odd: an object, which no template can match on",
      "  left out  mixed: a list that is not all text, which no template can match on",
      "what its job would be given:",
      "  template   deploy, step ship",
      "  workspace  read-only",
      "  credential cert from own, for 5m",
      "  template   deploy, step look",
      "  command    any (the step pins none)",
      "    scope    kind x509",
      "    deliver  every part under its own name",
      "  sandbox    memory 2GiB, 2 cpus, 512 processes, 30m, passes CI",
      "  no credentials",
      "template deploy: matches",
      "template other: does not match",
      '  NO   repository_id  wants "1"  found "456789"',
      "template plain: does not match",
    ])
      expect(stdout).toContain(`${line}\n`);
    expect(stdout).toMatch(/\n {2}replay {4}jti:[^ ]+ {2}\(whether it is spent already, the broker knows\)\n/);
    expect(stdout).toMatch(/\n {2}label {5}exp \d{10} \(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\)\n/);
    expectNothingOf(token, stdout, stderr);
  });

  test("and one step says what that step would be given", async () => {
    const { stdout, exit } = await explain(good(), "--step", "ship", "--template", "deploy");
    expect(exit).toBe(0);
    expect(stdout).toContain("template   deploy, step ship\n");
    expect(stdout).not.toContain("step look");
    expect(await explain(good(), "--step", "ship", "--", "sh")).toMatchObject({
      exit: 120,
      stdout: expect.stringContaining("step-command"),
    });
  });

  const refused: readonly (readonly [string, () => string, readonly [string, string], number])[] = [
    [
      "an expired token",
      () => good({ iat: second() - 700, exp: second() - 400 }),
      ["times", "the identity token has expired"],
      120,
    ],
    ["another's token", () => good({ aud: "other" }), ["audience", "the identity token was not made for this broker"], 120],
    [
      "a forged token",
      () => signed(stranger, headerOf(key), claims()),
      ["signature", "the identity token's signature does not verify"],
      120,
    ],
    [
      "a token without its run",
      () => good({ run_id: undefined }),
      ["claims", "the identity token lacks a claim that its issuer's profile requires: lacks run_id"],
      120,
    ],
  ];
  test.each(refused)(
    "of %s still says what it would be given, and exits as the run would",
    async (_, text, [check, why], code) => {
      const token = text();
      const { stdout, stderr, exit } = await explain(token);
      expect([stderr, exit]).toEqual(["", code]);
      expect(stdout).toMatch(/^NOT ACCEPTED: the identity token/);
      expect(stdout).toMatch(new RegExp(`\\n  FAILED +${check} [^\\n]*; ${why}`));
      expect(stdout.match(/\n {2}FAILED/g)).toHaveLength(1);
      expect(stdout).toContain("\nwhat would be believed, were it accepted:\n");
      expect(stdout).toContain("\nwhat its job would be given, were it accepted:\n");
      expect(stdout).toContain("  template   deploy, step ship\n");
      expectNothingOf(token, stdout, stderr);
    },
  );

  test.each([
    ["what is no token", () => "no token", "form"],
    ["a token of nobody", () => good({ iss: "https://evil.example" }), "issuer"],
  ])("of %s believes nothing, and says where it stopped", async (_, text, check) => {
    const token = text();
    const { stdout, exit } = await explain(token);
    expect(exit).toBe(120);
    expect(stdout).toMatch(new RegExp(`\\n  FAILED +${check} [^\\n]*\\nnothing of it is believed\\n$`));
    expectNothingOf(token, stdout);
  });

  test("of an issuer that is away says so, and goes on", async () => {
    const now = second();
    const away = {
      iss: "https://away.invalid",
      aud: audience,
      sub: "p",
      jti: "x",
      project: "7",
      job: "1",
      iat: now,
      exp: now + 60,
    };
    await writeFile(join(folder, "away.yaml"), config(issuer.url).replaceAll("https://plain.example", away.iss));
    const { stdout, exit } = await explain(signed(key, headerOf(key), away), "--config", "away.yaml");
    expect(exit).toBe(121);
    expect(stdout).toMatch(/\n {2}FAILED +keys /);
    expect(stdout).toMatch(/\n {2}unchecked +signature /);
    expect(stdout).toContain("  trust     unknown  from no claim at all\n");
    expect(stdout).toMatch(/NO {3}channel {2}wants "release" {2}found absent/);
  });

  test("of a job that only has the right names finds no template, and says which id is wanted", async () => {
    const { stdout, exit } = await explain(
      good({ repository_id: "31337", sub: "repo:octo-org@123456/octo-repo@31337:environment:prod" }),
      "--template",
      "deploy",
    );
    expect(exit).toBe(120);
    expect(stdout).toMatch(/^accepted: the token is good\n/);
    expect(stdout).toContain('  NO   repository_id  wants "456789"  found "31337"\n');
    expect(stdout).toContain('denied: repository_id of this job is "31337", which template deploy does not accept\n');
  });

  test("twice is the same: nothing is spent, and nothing is written", async () => {
    const token = good();
    const first = await explain(token);
    const before = await readdir(folder);
    expect(await explain(token)).toEqual(first);
    expect(await readdir(folder)).toEqual(before);
  });

  test("with --offline asks nobody, and says loudly that the signature was not looked at", async () => {
    const asked = new Map(issuer.asked);
    const { stdout, stderr, exit } = await explain(signed(stranger, headerOf(key), claims()), "--offline");
    expect([stderr, exit]).toEqual(["mayfly: WITHOUT THE SIGNATURE (--offline): anybody can have written this token\n", 0]);
    expect(stdout).toMatch(/^NOT ACCEPTED: the signature was not checked\n/);
    expect(stdout).toMatch(/\n {2}unchecked {2}signature /);
    expect(stdout).toContain("what is believed, if the signature is good:");
    expect(issuer.asked).toEqual(asked);
  });

  test("without templates says what is believed, and that none was tried", async () => {
    const moved = {
      cwd: folder,
      env: { MAYFLY_CONFIG: join(folder, "mayfly.yaml"), MAYFLY_TEMPLATES: join(folder, "nowhere") },
    };
    await writeFile(join(folder, "token"), good());
    const { stdout, stderr, exit } = await mayfly(["explain", "--token-file", "token"], moved);
    expect([stderr, exit]).toEqual(["", 0]);
    expect(stdout).toMatch(
      /^accepted: [^]*\n {2}workload {2}github:456789 [^]*\nno template was tried: there are none, for want of \/.*\/nowhere\n$/,
    );
    const json = await mayfly(["explain", "--token-file", "token", "--json"], moved);
    expect(JSON.parse(json.stdout)).toMatchObject({ decisions: [], untried: expect.stringContaining("nowhere") });
    await writeFile(join(folder, "token"), good({ aud: "other" }));
    expect(await mayfly(["explain", "--token-file", "token"], moved)).toMatchObject({ exit: 120 });
  });

  test("with templates that do not load says first what is believed, and fails by them", async () => {
    for (const broken of ["broken", "missing"]) {
      if (broken === "broken") await mkdir(join(folder, broken), { mode: 0o700 });
      if (broken === "broken") await writeFile(join(folder, broken, "deploy.yaml"), deploy.replace('"456789"', "456789"));
      const { stdout, stderr, exit } = await explain(good(), "--templates", broken);
      expect(exit).toBe(124);
      expect(stdout).toMatch(/^accepted: [^]*\nno template was tried: they do not load\n$/);
      expect(stderr).toMatch(/^mayfly: 1 problem in the templates:\n/);
    }
  });

  test("asks about hours at the time of --at, and about the token now", async () => {
    await mkdir(join(folder, "timed"), { mode: 0o700 });
    const when = 'when: { days: mon-fri, hours: "07:00-19:00", zone: UTC }\n';
    await writeFile(join(folder, "timed", "deploy.yaml"), deploy.replace("who:", `${when}who:`));
    const at = (time: string) => explain(good(), "--templates", "timed", "--step", "ship", "--at", time);
    expect(await at("2026-11-23T10:00:00Z")).toMatchObject({ exit: 0, stdout: expect.stringMatching(/^accepted: .*/) });
    expect(await at("2026-11-22T10:00:00Z")).toMatchObject({
      exit: 120,
      stdout: expect.stringContaining("template deploy: matches, but not at this time\n"),
    });
  });

  test("with --json is all of that as data", async () => {
    const token = good({ odd: {} });
    const { stdout, exit } = await explain(token, "--json");
    expect(exit).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      verdict: "accepted",
      code: null,
      checks: expect.arrayContaining([expect.objectContaining({ check: "signature", state: "held" })]),
      identity: {
        workload: { id: "github:456789", from: ["repository_id"] },
        trust: { is: "protected", from: ["event_name", "ref_protected"] },
        claims: expect.arrayContaining([{ claim: "repository_id", value: "456789", use: "id" }]),
      },
      leftOut: [{ claim: "odd", why: "an object, which no template can match on" }],
      decisions: [
        { kind: "granted", template: "deploy", step: "ship", credentials: [{ name: "cert" }] },
        { kind: "granted", step: "look" },
      ],
      templates: [{ template: "deploy", matched: true }, { template: "other", matched: false }, { template: "plain" }],
    });
    expectNothingOf(token, stdout);
    const refusedJson: unknown = JSON.parse((await explain("x.y.z", "--json")).stdout);
    expect(refusedJson).toMatchObject({ verdict: "refused", code: "token-malformed", identity: null, decisions: [] });
  });

  test("reads the token from stdin as well", async () => {
    const ran = await mayfly(["explain", "--token-file", "-"], {
      cwd: folder,
      stdin: good(),
      env: { MAYFLY_CONFIG: join(folder, "mayfly.yaml"), MAYFLY_TEMPLATES: join(folder, "templates") },
    });
    expect(ran).toMatchObject({ exit: 0, stdout: expect.stringMatching(/^accepted: /) });
  });

  test("takes a token or claims, not both", async () => {
    expect(await explain(good(), "--claims", "claims.json")).toMatchObject({
      exit: 124,
      stderr: expect.stringMatching(
        /^mayfly: --token-file, --claims and --expand each ask for something else: one of them\nhint: /,
      ),
    });
  });
});
