import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { remoteOf } from "../../src/commands/init-repository.ts";
import { snippets } from "../../src/commands/init-snippets.ts";
import { usualIssuers } from "../../src/commands/stand-in-config.ts";
import { checkoutIn, ids } from "./checkout.ts";
import { mayfly } from "./shell.ts";

let folder: string;
let config: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mayfly-init-"));
  config = join(folder, "mayfly.yaml");
  writeFileSync(config, stringify({ version: 1, issuers: usualIssuers, providers: { broker: { type: "local" } } }));
});

afterAll(() => rmSync(folder, { recursive: true }));

const checkout = (name: string, files: Readonly<Record<string, string>> = {}, origin?: string) =>
  checkoutIn(folder, name, files, origin);

/** What `init` says is to be run next, run. */
async function checked(out: string, now?: number): Promise<{ readonly said: string; readonly exit: number }> {
  const at = now === undefined ? {} : { now };
  const { stdout, stderr, exit } = await mayfly(["check", "--strict", "--test", out, "--config", config], at);
  return { said: `${stdout}${stderr}`, exit };
}

describe("mayfly init", () => {
  test.each(Object.entries(ids))(
    "for %s writes a template that check finds nothing in, and tests that pass",
    async (ci, id) => {
      const out = join(folder, `out-${ci}`);
      const { stdout, stderr, exit } = await mayfly([
        "init",
        checkout(`for-${ci}`),
        "--ci",
        ci,
        "--id",
        id,
        "--out",
        out,
        "--config",
        config,
      ]);
      expect([stderr.replaceAll(/^(?:wrote|next:|and) .*\n/gm, ""), exit]).toEqual(["", 0]);
      expect(stdout).toMatch(/mayfly run (?:--token \S+ )?--template shop -- |args += \["run", "--template", "shop", "--"/);
      expect(await checked(out)).toEqual({
        said: expect.stringMatching(/^1 template in .*\n[2-9] tests, \d passed, 0 failed\n$/),
        exit: 0,
      });
    },
  );

  const inYaml = [
    "github",
    "forgejo",
    "gitlab",
    "buildkite",
    "circleci",
    "bitbucket",
    "azure-devops",
    "azure-devops-entra",
    "kubernetes",
  ];
  test.each(inYaml)("for %s prints lines that are YAML, with the command in them once", async (ci) => {
    const id = Object.entries(ids).find(([name]) => name === ci)?.[1] ?? "";
    const out = join(folder, `out-lines-${ci}`);
    const { stdout } = await mayfly([
      "init",
      checkout(`lines-${ci}`),
      "--ci",
      ci,
      "--id",
      id,
      "--out",
      out,
      "--config",
      config,
    ]);
    expect(JSON.stringify(parse(stdout)).split("mayfly run").length).toBe(2);
  });

  test.each(["github", "gitlab"] as const)("for %s the environment that the template asks for is the job's", (preset) => {
    const wanted = { template: "shop", audience: "https://mayfly.example.com", branch: "main" };
    const jobs = (environment: string | undefined) => {
      const file: unknown = parse(snippets[preset]({ ...wanted, environment }).text);
      return JSON.stringify(file);
    };
    expect(jobs("prod: eu #1")).toContain('"environment":"prod: eu #1"');
    expect(jobs(undefined)).not.toContain("environment");
  });

  test("reads the CI system, the name and the branch from the checkout, at any depth of it", async () => {
    const root = checkout("guessed", {
      ".gitlab-ci.yml": "",
      ".git/refs/remotes/origin/HEAD": "ref: refs/remotes/origin/trunk\n",
      "deep/below/x": "",
    });
    const { stdout } = await mayfly(["init", "--id", "20", "--out", "policy", "--config", config, "--json"], {
      cwd: join(root, "deep/below"),
    });
    const made: unknown = JSON.parse(stdout);
    expect(made).toMatchObject({ template: "shop", issuer: "gitlab", place: ".gitlab-ci.yml", mayfly_yaml: null });
    expect(readFileSync(join(root, "deep/below/policy/shop.yaml"), "utf8")).toContain("ref_path: refs/heads/trunk\n");
  });

  test("finds the origin of a worktree, whose .git is a file", async () => {
    const root = checkout("whole", { ".github/workflows/ci.yml": "", ".git/worktrees/side/commondir": "../..\n" });
    const side = join(folder, "side");
    mkdirSync(join(side, ".github/workflows"), { recursive: true });
    writeFileSync(join(side, ".git"), `gitdir: ${join(root, ".git/worktrees/side")}\n`);
    const { exit } = await mayfly(["init", side, "--id", "1", "--out", join(folder, "out-side"), "--config", config]);
    expect(exit).toBe(0);
    expect(readFileSync(join(folder, "out-side/shop.yaml"), "utf8")).toContain('repository_id: "1" # acme/Shop\n');
  });

  test("names the schemas that it writes, from wherever the template is", async () => {
    const out = join(folder, "out-below");
    await mayfly([
      "init",
      checkout("below"),
      "--ci",
      "github",
      "--id",
      "7",
      "--template",
      "team/shop",
      "--out",
      out,
      "--config",
      config,
    ]);
    const [first = ""] = readFileSync(join(out, "team/shop.yaml"), "utf8").split("\n");
    const schema = join(out, "team", /\$schema=(.+)$/.exec(first)?.[1] ?? "");
    expect(parse(readFileSync(schema, "utf8"))).toMatchObject({ title: "Mayfly template" });
    expect((await checked(out)).exit).toBe(0);
  });

  test("hints at what loads as well, once it is uncommented", async () => {
    const out = join(folder, "out-hints");
    await mayfly(["init", checkout("hints"), "--ci", "github", "--id", "7", "--out", out, "--config", config]);
    const file = join(out, "shop.yaml");
    const written = readFileSync(file, "utf8");
    writeFileSync(file, written.replaceAll(/^# (when|credentials|steps)/gm, "$1").replaceAll(/^# {3}(first|deploy)/gm, "  $1"));
    // The hints have hours: whether the day is one of them must not matter, neither here nor to the tests, which ask for a time.
    const [monday, sunday] = [Date.UTC(2026, 5, 1, 10), Date.UTC(2026, 5, 7, 3)];
    const said = await Promise.all([monday, sunday].map((now) => checked(out, now)));
    expect(said[0]).toEqual(said[1]);
    expect(said[0]?.said).toMatch(/^1 template in .*\n/);
    expect(said[0]?.said).toContain("at: expected a time, since the template has hours");
  });

  test("writes over nothing, unless it is told to", async () => {
    const out = join(folder, "out-twice");
    const again = ["init", checkout("twice"), "--ci", "github", "--id", "7", "--out", out, "--config", config];
    expect((await mayfly(again)).exit).toBe(0);
    writeFileSync(join(out, "shop.test.yaml"), "mine");
    rmSync(join(out, "shop.yaml"));
    const { stderr, exit } = await mayfly(again);
    expect([stderr.split("\n")[0], exit]).toEqual([`mayfly: ${join(out, "shop.test.yaml")} is there already`, 124]);
    expect([existsSync(join(out, "shop.yaml")), readFileSync(join(out, "shop.test.yaml"), "utf8")]).toEqual([false, "mine"]);
    expect((await mayfly([...again, "--force"])).exit).toBe(0);
  });

  test("writes what the broker takes: nobody else can write to it", async () => {
    const out = join(folder, "out-modes");
    const umask = process.umask(0);
    try {
      await mayfly(["init", checkout("modes"), "--ci", "github", "--id", "7", "--out", out, "--config", config]);
    } finally {
      process.umask(umask);
    }
    expect((await checked(out)).exit).toBe(0);
    // The control: a folder that others can write to is one that check refuses.
    chmodSync(out, 0o777);
    expect((await checked(out)).exit).toBe(1);
  });
});

describe("mayfly init with a token", () => {
  const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const seconds = Math.floor(Date.now() / 1_000);
  const push = {
    iss: "https://token.actions.githubusercontent.com",
    aud: "https://mayfly.example.com",
    sub: "repo:acme/shop:environment:production",
    jti: "1",
    iat: seconds,
    exp: seconds + 300,
    repository: "acme/shop",
    repository_id: "519283746",
    environment: "production",
    event_name: "push",
    ref: "refs/heads/trunk",
    ref_protected: "true",
    run_id: "5",
    run_attempt: "1",
  };

  /** Signed by nobody, which `--offline` does not look at. */
  async function fromToken(claims: Readonly<Record<string, unknown>>, ...flags: readonly string[]): ReturnType<typeof mayfly> {
    const token = `${encoded({ alg: "RS256", typ: "JWT", kid: "x" })}.${encoded({ ...push, ...claims })}.${"A".repeat(342)}`;
    return mayfly(["init", "--token-file", "-", "--offline", "--config", config, ...flags], { stdin: token });
  }

  test("takes all of it from there: whose it is, the branch, and the environment", async () => {
    const out = join(folder, "out-token");
    const { stdout, stderr, exit } = await fromToken({}, "--out", out);
    expect(exit).toBe(0);
    expect(stderr).toContain("mayfly: WITHOUT THE SIGNATURE (--offline)");
    const { who } = parse(readFileSync(join(out, "shop.yaml"), "utf8"));
    expect(who).toEqual({
      issuer: "github",
      repository_id: "519283746",
      trust: "protected",
      ref: "refs/heads/trunk",
      environment: "production",
    });
    expect((await checked(out)).exit).toBe(0);
    expect(parse(stdout)).toMatchObject({ jobs: { deploy: { environment: "production" } } });
  });

  test("that is too old for a broker is read all the same, and it says so", async () => {
    const { stderr, exit } = await fromToken({ iat: seconds - 7_200, exp: seconds - 6_900 }, "--out", join(folder, "out-old"));
    expect([exit, stderr]).toEqual([0, expect.stringContaining("no broker would take it, but its claims are of use here")]);
  });

  const refused: readonly (readonly [string, Readonly<Record<string, unknown>>, string, number])[] = [
    ["a pull request's", { event_name: "pull_request" }, "mayfly: the trust of the token's job is pull_request", 124],
    [
      "one that was made for another",
      { aud: "https://other.example.com" },
      "mayfly: the identity token was not made for this broker",
      120,
    ],
    [
      "one of an issuer that is not configured",
      { iss: "https://ci.example.org" },
      "mayfly: the identity token comes from an issuer that is not",
      120,
    ],
    [
      "one whose environment a template would read as a pattern",
      { environment: "*" },
      'mayfly: environment is "*", which a template cannot name',
      124,
    ],
    ["one without the ids", { repository_id: undefined }, "mayfly: the identity token lacks a claim", 120],
  ];
  test.each(refused)("%s is refused, and nothing is written", async (_, claims, message, code) => {
    const out = join(folder, "out-refused-token");
    const { stderr, exit } = await fromToken(claims, "--out", out);
    expect([exit, stderr, existsSync(out)]).toEqual([code, expect.stringContaining(message), false]);
  });

  test("without --offline its issuer is asked, and a signature by nobody is refused", async () => {
    const held = join(folder, "held.yaml");
    const key = { kty: "RSA", kid: "x", alg: "RS256", use: "sig", e: "AQAB", n: Buffer.alloc(256, 0xc5).toString("base64url") };
    const issuers = { github: { ...usualIssuers.github, jwks: { keys: [key] } } };
    writeFileSync(held, stringify({ version: 1, issuers, providers: {} }));
    const token = `${encoded({ alg: "RS256", typ: "JWT", kid: "x" })}.${encoded(push)}.${"A".repeat(342)}`;
    const { stderr, exit } = await mayfly(
      ["init", "--token-file", "-", "--config", held, "--out", join(folder, "out-forged")],
      { stdin: token },
    );
    expect([exit, stderr]).toEqual([120, expect.stringContaining("mayfly: the identity token's signature does not verify")]);
  });
});

describe("mayfly init refuses", () => {
  const refused: readonly (readonly [string, readonly string[], string, string])[] = [
    [
      "to guess an id",
      [],
      "mayfly: say whose jobs these are with --id: names are no ids",
      "hint: GitHub Actions: gh api repos/acme/Shop --jq .id",
    ],
    [
      "a name for an id",
      ["--id", "acme/shop"],
      'mayfly: "acme/shop" is not an id of GitHub Actions',
      "hint: GitHub Actions: gh api",
    ],
    ["a CI system that is none", ["--ci", "travis", "--id", "7"], "mayfly: there is no CI system travis", "hint: name one of"],
    [
      "a template's name that is none",
      ["--id", "7", "--template", "A b"],
      "mayfly: --template: a template's name is lower case",
      "",
    ],
  ];
  test.each(refused)("%s", async (_, flags, message, hint) => {
    const root = checkout("refused", { ".github/workflows/ci.yml": "" });
    const { stdout, stderr, exit } = await mayfly([
      "init",
      root,
      ...flags,
      "--out",
      join(folder, "out-refused"),
      "--config",
      config,
    ]);
    expect([stdout, exit]).toEqual(["", 124]);
    expect(stderr).toContain(message);
    expect(stderr).toContain(hint);
    expect(existsSync(join(folder, "out-refused"))).toBe(false);
  });

  test("a folder that is no checkout, and one whose CI system it cannot tell", async () => {
    const none = await mayfly(["init", "/", "--id", "7"]);
    expect([none.stderr.split("\n")[0], none.exit]).toEqual(["mayfly: / is not in a git repository", 124]);
    const several = checkout("several", { ".buildkite/pipeline.yml": "", Jenkinsfile: "" }, "https://git.example.com/a/b");
    const { stderr, exit } = await mayfly(["init", several, "--id", "7"]);
    expect([stderr.split("\n")[0], exit]).toEqual(["mayfly: several CI systems have files here: Buildkite, Jenkins", 124]);
  });
});

describe("an origin", () => {
  const origins: readonly (readonly [string, ReturnType<typeof remoteOf>])[] = [
    ["https://github.com/acme/shop.git", { host: "github.com", path: "acme/shop" }],
    ["https://ann:secret@gitlab.example.com:8443/a/b/c", { host: "gitlab.example.com", path: "a/b/c" }],
    ["git@github.com:acme/shop.git", { host: "github.com", path: "acme/shop" }],
    ["ssh://git@git.example.com:22/acme/shop.git/", { host: "git.example.com", path: "acme/shop" }],
    ["https://dev.azure.com/org/my%20project/_git/repo", { host: "dev.azure.com", path: "org/my%20project/_git/repo" }],
    ["/srv/git/shop.git", undefined],
    ["file:///srv/git/shop.git", undefined],
    ["", undefined],
  ];
  test.each(origins)("%s is read without whoever logs in", (url, remote) => {
    expect(remoteOf(url)).toEqual(remote);
  });
});
