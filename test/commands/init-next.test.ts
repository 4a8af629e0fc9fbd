import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { issuerUrl, remoteOf } from "../../src/commands/init-repository.ts";
import { isSystem } from "../../src/identity/source/system.ts";
import { checkoutIn, ids } from "./checkout.ts";
import { mayfly, type Ran } from "./shell.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mayfly-init-next-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** On a laptop: nothing of a broker is there. */
const onLaptop = (cwd: string, ...args: readonly string[]): Promise<Ran> =>
  mayfly(["init", ...args], { cwd, env: { MAYFLY_CONFIG: join(folder, "none.yaml") } });

/** The words that a shell makes of the line that `init` says to run, without the `mayfly`. */
function nextOf(stderr: string): readonly string[] {
  const line = /^next: mayfly (.+)$/m.exec(stderr)?.[1] ?? "";
  return execFileSync("sh", ["-c", `printf '%s\\n' ${line}`], { encoding: "utf8" })
    .trimEnd()
    .split("\n");
}

const runNext = (stderr: string, cwd: string): Promise<Ran> =>
  mayfly(nextOf(stderr), { cwd, env: { MAYFLY_CONFIG: join(folder, "none.yaml") } });

describe("where there is no mayfly.yaml, what init says to run next works as it stands", () => {
  test.each(Object.entries(ids))("for %s", async (ci, id) => {
    const cwd = checkoutIn(folder, `next-${ci}`);
    const { stderr, exit } = await onLaptop(cwd, "--ci", ci, "--id", id);
    expect([exit, stderr]).toEqual([0, expect.stringContaining("wrote mayfly.yaml\n")]);
    expect(await runNext(stderr, cwd)).toMatchObject({ exit: 0, stdout: expect.stringMatching(/ passed, 0 failed\n$/) });
  });

  test("from another folder, into one whose name a shell would take apart, for a template called mayfly", async () => {
    const root = checkoutIn(folder, "spaces", { ".gitlab-ci.yml": "" }, "git@gitlab.com:acme/mayfly.git");
    const { stderr } = await onLaptop(folder, root, "--id", "20", "--out", "it's mine/policy");
    expect(nextOf(stderr)).toEqual(["check", "--strict", "--test", "it's mine/policy", "--config", "it's mine/mayfly.yaml"]);
    expect(existsSync(join(folder, "it's mine/policy/mayfly.yaml"))).toBe(true);
    expect((await runNext(stderr, folder)).exit).toBe(0);
  });

  test("once the hint at credentials is uncommented too, since the provider is one of that mayfly.yaml", async () => {
    const cwd = checkoutIn(folder, "uncommented", { ".github/workflows/ci.yml": "" });
    const { stderr } = await onLaptop(cwd, "--id", "7");
    const file = join(cwd, "templates/shop.yaml");
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replace(/^# (credentials:)/m, "$1").replace(/^# {3}(first:)/m, "  $1"));
    const test = join(cwd, "templates/shop.test.yaml");
    writeFileSync(test, readFileSync(test, "utf8").replace("credentials: []", "credentials: [first]"));
    expect(await runNext(stderr, cwd)).toMatchObject({ exit: 0, stdout: expect.stringMatching(/ passed, 0 failed\n$/) });
  });

  test("a mayfly.yaml that is there is left as it is, and what it needs is said", async () => {
    const cwd = checkoutIn(folder, "mine", { ".github/workflows/ci.yml": "", "mayfly.yaml": "version: 1\nproviders: {}\n" });
    const { stderr, exit } = await onLaptop(cwd, "--id", "7");
    const says = '  issuers:\n    github: {"preset":"github","audience":"https://mayfly.example.com"}\n';
    expect([exit, stderr]).toEqual([0, expect.stringContaining(says)]);
    expect(readFileSync(join(cwd, "mayfly.yaml"), "utf8")).toBe("version: 1\nproviders: {}\n");
    expect((await runNext(stderr, cwd)).exit).not.toBe(0);
    writeFileSync(join(cwd, "mayfly.yaml"), `version: 1\nproviders: {}\nissuers:${says.slice("  issuers:".length)}`);
    expect((await runNext(stderr, cwd)).exit).toBe(0);
  });
});

test("check takes no mayfly.yaml of the current folder by itself, and says that it is there", async () => {
  const cwd = checkoutIn(folder, "unnamed", { ".github/workflows/ci.yml": "" });
  const without = async () => (await runNext("next: mayfly check templates", cwd)).stderr;
  const refused = `mayfly: ${join(folder, "none.yaml")} cannot be read\nhint: `;
  expect(await without()).toBe(`${refused}name the file with --config or MAYFLY_CONFIG\n`);
  await onLaptop(cwd, "--id", "7");
  expect(await without()).toBe(`${refused}there is one here: --config mayfly.yaml\n`);
});

test("a mayfly.yaml that is named is named again, and none is written", async () => {
  const cwd = checkoutIn(folder, "named", { ".github/workflows/ci.yml": "" });
  const issuers = { github: { preset: "github", audience: "https://mayfly.example.com" } };
  writeFileSync(join(folder, "site.yaml"), stringify({ version: 1, issuers, providers: {} }));
  const { stderr } = await onLaptop(cwd, "--id", "7", "--out", "policy", "--config", "../site.yaml");
  expect(nextOf(stderr)).toEqual(["check", "--strict", "--test", "policy", "--config", "../site.yaml"]);
  expect(existsSync(join(cwd, "mayfly.yaml"))).toBe(false);
  expect((await runNext(stderr, cwd)).exit).toBe(0);
});

test("the README's three commands work one after the other, as they stand", async () => {
  const cwd = checkoutIn(folder, "readme", { ".github/workflows/ci.yml": "" });
  const block = /```sh\n((?:#.*\n)?mayfly init [\s\S]*?)```/.exec(readFileSync("README.md", "utf8"))?.[1] ?? "";
  const lines = block.split("\n").filter((line) => line.startsWith("mayfly "));
  expect(lines).toHaveLength(3);
  writeFileSync(
    join(cwd, "claims.json"),
    JSON.stringify({ repository_id: "519283746", ref: "refs/heads/x", event_name: "push" }),
  );
  const ran: number[] = [];
  for (const line of lines) ran.push((await runNext(`next: ${line}`, cwd)).exit);
  // The claims are those of another branch, so that the last one explains a denial.
  expect(ran).toEqual([0, 0, 120]);
});

describe("the issuer of a host of one's own has its url", () => {
  test.each([
    ["gitlab", "git@gitlab.com:acme/shop.git", undefined],
    ["gitlab", "git@gitlab.example.com:acme/shop.git", "https://gitlab.example.com"],
    ["github", "git@github.com:acme/shop.git", undefined],
    ["github", "ssh://git@ssh.github.com:443/acme/shop.git", undefined],
    ["github", "https://github.example.com/acme/shop", "https://github.example.com/_services/token"],
    ["github", "https://octo.ghe.com/acme/shop", "https://token.actions.octo.ghe.com"],
    ["forgejo", "https://git.example.com/acme/shop", "https://git.example.com/api/actions"],
    ["jenkins", "https://git.example.com/acme/shop", undefined],
  ])("%s of %s: %s", async (ci, origin, url) => {
    expect(isSystem(ci) && issuerUrl(ci, remoteOf(origin))).toBe(url);
    const cwd = checkoutIn(folder, `url-${ci}-${(url ?? origin).replaceAll(/\W/g, "")}`, {}, origin);
    const id = Object.entries(ids).find(([name]) => name === ci)?.[1] ?? "";
    const { stderr } = await onLaptop(cwd, "--ci", ci, "--id", id);
    const written: unknown = parse(readFileSync(join(cwd, "mayfly.yaml"), "utf8"));
    if (url !== undefined) expect(written).toMatchObject({ issuers: { [ci]: { url } } });
    expect((await runNext(stderr, cwd)).exit).toBe(0);
  });
});

describe("of the jobs that a pipeline has, init says what they lack", () => {
  const lacking = async (name: string, files: Readonly<Record<string, string>>, id = "7") => {
    const { stderr, exit } = await onLaptop(checkoutIn(folder, name, files), "--id", id);
    expect(exit).toBe(0);
    return stderr.split("\n").filter((line) => /^ {2}\.(?:github|gitlab|forgejo)/.test(line));
  };
  const workflow = (parts: object, rest: object = {}) =>
    stringify({
      on: "push",
      ...rest,
      jobs: { deploy: { "runs-on": ["self-hosted", "linux"], steps: [{ run: "make" }], ...parts } },
    });

  test.each([
    [
      "everything",
      workflow({ "runs-on": "ubuntu-latest" }),
      "permissions: { id-token: write, contents: read }; runs-on: self-hosted",
    ],
    ["nothing", workflow({ permissions: { "id-token": "write" } }), "nothing"],
    ["nothing that the workflow gives to all its jobs", workflow({}, { permissions: "write-all" }), "nothing"],
    [
      "a permission that the job takes back",
      workflow({ permissions: { contents: "read" } }, { permissions: { "id-token": "write" } }),
      "id-token: write, beside its permissions",
    ],
    [
      "a permission, on a runner of a group",
      workflow({ "runs-on": { group: "own" } }),
      "permissions: { id-token: write, contents: read }",
    ],
  ])("of GitHub: %s", async (what, text, says) => {
    const name = what.replaceAll(" ", "-");
    expect(await lacking(name, { ".github/workflows/ci.yml": text })).toEqual([`  .github/workflows/ci.yml: deploy: ${says}`]);
  });

  test("of GitLab, where a default gives the token", async () => {
    const token = { MAYFLY_ID_TOKEN: { aud: "https://mayfly.example.com" } };
    const jobs = {
      stages: ["a"],
      ".hidden": { script: "x" },
      build: { script: "make" },
      ship: { script: ["make"], id_tokens: token },
    };
    expect(await lacking("gitlab-jobs", { ".gitlab-ci.yml": stringify(jobs) })).toEqual([
      '  .gitlab-ci.yml: build: id_tokens: { MAYFLY_ID_TOKEN: { aud: "https://mayfly.example.com" } }',
      "  .gitlab-ci.yml: ship: nothing",
    ]);
    expect(
      await lacking("gitlab-default", { ".gitlab-ci.yml": stringify({ default: { id_tokens: token }, a: { script: "x" } }) }),
    ).toEqual(["  .gitlab-ci.yml: a: nothing"]);
  });

  test("of Forgejo, the one line that lets a job ask for a token", async () => {
    const files = { ".forgejo/workflows/ci.yml": workflow({}) };
    expect(await lacking("forgejo-jobs", files)).toEqual(["  .forgejo/workflows/ci.yml: deploy: enable-openid-connect: true"]);
  });

  test.each([
    ["no YAML", "a: [\n"],
    ["a list", "- a\n"],
    ["a job that calls another workflow", stringify({ jobs: { a: { uses: "./x.yml" } } })],
    [
      "aliases without end",
      `${["a: &a [x, x]", ...[..."bcdefghijk"].map((key, at) => `${key}: &${key} [*${"abcdefghij"[at]}, *${"abcdefghij"[at]}]`)].join("\n")}\n`,
    ],
    ["brackets without end", `jobs: ${"[".repeat(200_000)}`],
  ])("and says nothing of %s", async (what, text) => {
    expect(await lacking(what.replaceAll(" ", "-"), { ".github/workflows/ci.yml": text })).toEqual([]);
  });

  test("and what it is called acts on no terminal", async () => {
    const hostile = stringify({ jobs: { "x\u001B[2J\n::error::": { steps: [] } } });
    const { stderr } = await onLaptop(checkoutIn(folder, "hostile-job", { ".github/workflows/ci.yml": hostile }), "--id", "7");
    expect(stderr).toContain("ci.yml: x\\u{1b}[2J\\u{a}::error::: ");
  });
});
