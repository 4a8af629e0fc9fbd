import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { mayfly, type Ran } from "./shell.ts";

const folder = mkdtempSync(join(tmpdir(), "mayfly-hostile-"));
let count = 0;
let root: string;
let victim: string;

beforeEach(() => {
  count += 1;
  root = join(folder, String(count), "checkout");
  victim = join(folder, String(count), "victim");
  put(".git/HEAD", "ref: refs/heads/main\n");
  put(".git/config", '[remote "origin"]\n\turl = git@github.com:acme/shop.git\n');
  put(".github/workflows/ci.yml", "");
  writeFileSync(victim, "precious");
});

afterAll(() => rmSync(folder, { recursive: true }));

function put(name: string, text: string): void {
  mkdirSync(dirname(join(root, name)), { recursive: true });
  writeFileSync(join(root, name), text);
}

function link(target: string, name: string): void {
  mkdirSync(dirname(join(root, name)), { recursive: true });
  symlinkSync(target, join(root, name));
}

function init(...flags: readonly string[]): Promise<Ran> {
  const env = { MAYFLY_CONFIG: join(folder, "none.yaml") };
  return mayfly(["init", "--id", "7", ...flags], { cwd: root, env });
}

describe("in a checkout whose author put links where files are to be written, init", () => {
  const links: readonly (readonly [string, string, readonly string[]])[] = [
    ["a schema", "templates/.schema/template.schema.json", []],
    ["a schema, and is told to write over files", "templates/.schema/test.schema.json", ["--force"]],
    ["the template", "templates/shop.yaml", []],
    ["the template, and is told to write over files", "templates/shop.yaml", ["--force"]],
    ["the tests, and is told to write over files", "templates/shop.test.yaml", ["--force"]],
  ];
  test.each(links)("follows none for %s, and writes nothing at all", async (_, name, flags) => {
    link(victim, name);
    const { stderr, exit } = await init(...flags);
    expect([stderr.split("\n")[0], exit]).toEqual([
      `mayfly: ${join(root, name)} is a symbolic link, so nothing is written there`,
      124,
    ]);
    expect(readFileSync(victim, "utf8")).toBe("precious");
    expect(readdirSync(join(root, "templates"), { recursive: true }).filter((one) => String(one).endsWith(".yaml"))).toEqual(
      name.endsWith(".yaml") ? [name.replace("templates/", "")] : [],
    );
  });

  test("makes no file that a link points at and that is not there", async () => {
    link(join(root, "../made"), "templates/shop.yaml");
    expect((await init()).exit).toBe(124);
    expect(existsSync(join(root, "../made"))).toBe(false);
  });

  const folders: readonly (readonly [string, string, readonly string[]])[] = [
    ["the schemas' folder", "templates/.schema", []],
    ["the templates' folder", "templates", []],
    ["a folder within", "templates/team", ["--template", "team/shop"]],
    ["a folder on the way", "policy", ["--out", "policy/templates"]],
  ];
  test.each(folders)("goes through no link that stands for %s", async (_, name, flags) => {
    const elsewhere = join(root, "../elsewhere");
    mkdirSync(elsewhere);
    link(elsewhere, name);
    const { stderr, exit } = await init(...flags);
    expect([stderr.split("\n")[0], exit]).toEqual([
      `mayfly: ${join(root, name)} is a symbolic link, so nothing is written there`,
      124,
    ]);
    expect(readdirSync(elsewhere)).toEqual([]);
  });

  test("replaces a file by name, so that its other names keep what they had", async () => {
    mkdirSync(join(root, "templates/.schema"), { recursive: true });
    linkSync(victim, join(root, "templates/.schema/set.schema.json"));
    linkSync(victim, join(root, "templates/shop.yaml"));
    expect((await init("--force")).exit).toBe(0);
    expect(readFileSync(victim, "utf8")).toBe("precious");
    expect(readFileSync(join(root, "templates/shop.yaml"), "utf8")).toContain("template: shop\n");
    expect(lstatSync(join(root, "templates/shop.yaml")).nlink).toBe(1);
    expect(readdirSync(join(root, "templates")).toSorted()).toEqual([".schema", "shop.test.yaml", "shop.yaml"]);
  });

  test("takes no folder for a file", async () => {
    mkdirSync(join(root, "templates/shop.yaml"), { recursive: true });
    const { stderr, exit } = await init("--force");
    expect([exit, stderr]).toEqual([124, expect.stringContaining("shop.yaml is a folder, so nothing is written there")]);
  });

  test("writes where there are no links, and where the caller's own path has one above the checkout", async () => {
    expect((await init()).exit).toBe(0);
    symlinkSync(root, join(root, "../way"));
    const { exit } = await mayfly(["init", "--id", "7", "--template", "other"], {
      cwd: join(root, "../way"),
      env: { MAYFLY_CONFIG: join(folder, "none.yaml") },
    });
    expect([exit, existsSync(join(root, "templates/other.yaml"))]).toEqual([0, true]);
  });
});

describe("what a checkout says of itself", () => {
  const branches: readonly (readonly [string, string])[] = [
    ["a list's end and a step of its own", 'x]}}\\u{a}jobs:{evil:{runs-on:ubuntu,steps:[{run:"id"}]}}'],
    ["an expression", "a${{github.token}}"],
    ["a flag", "--upload-pack=x"],
    ["a way up", "a/../../b"],
    ["a pattern, which would let every branch in", "*"],
    ["a comment", "a#b"],
  ];
  test.each(branches)("never puts %s into a pipeline or a template: main, and a word about it", async (_, branch) => {
    put(".git/refs/remotes/origin/HEAD", `ref: refs/remotes/origin/${branch}\n`);
    const { stdout, stderr, exit } = await init();
    expect([exit, stderr]).toEqual([
      0,
      expect.stringContaining("cannot be written here: main stands in its place, so change it\n"),
    ]);
    expect(parse(stdout)).toMatchObject({ on: { push: { branches: ["main"] } } });
    expect(parse(readFileSync(join(root, "templates/shop.yaml"), "utf8"))).toMatchObject({ who: { ref: "refs/heads/main" } });
  });

  test.each(["release/1.0", "1.0", "on", "a_b"])("leaves the branch %s as it is, as text", async (branch) => {
    put(".git/refs/remotes/origin/HEAD", `ref: refs/remotes/origin/${branch}\n`);
    const { stdout, stderr } = await init();
    expect(stderr).not.toContain("in its place");
    expect(parse(stdout)).toMatchObject({ on: { push: { branches: [branch] } } });
    expect(parse(readFileSync(join(root, "templates/shop.yaml"), "utf8"))).toMatchObject({
      who: { ref: `refs/heads/${branch}` },
    });
  });

  test("is not waited for: a pipe in the place of a file is none", async () => {
    const { execFileSync } = await import("node:child_process");
    mkdirSync(join(root, ".git/refs/remotes/origin"), { recursive: true });
    execFileSync("mkfifo", [join(root, ".git/refs/remotes/origin/HEAD")]);
    expect((await init()).exit).toBe(0);
  });

  const flags: readonly (readonly [string, readonly string[], string])[] = [
    ["an issuer's name", ["--issuer", "a: b"], "--issuer: an issuer's name is lower case"],
    ["an owner in two lines", ["--owner", "a\nwho: b"], "--owner: a team or a person, in one line"],
  ];
  test.each(flags)("refuses %s that would be more than a word", async (_, given, message) => {
    const { stderr, exit } = await init(...given);
    expect([exit, stderr]).toEqual([124, expect.stringContaining(message)]);
    expect(existsSync(join(root, "templates"))).toBe(false);
  });
});
