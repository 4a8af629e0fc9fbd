import { execFileSync } from "node:child_process";
import { chmod, chown, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BrokerError } from "../../../src/errors.ts";
import { checkTemplates, loadPolicy } from "../../../src/policy/language/load.ts";
import { problemText } from "../../../src/policy/problem.ts";
import { rooms, template, who } from "../rooms.ts";

let path: string;
const own = process.geteuid?.() ?? 0;

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), "mayfly-templates-"));
  await put("a.yaml", template(who));
});
afterEach(() => rm(path, { recursive: true }));

const put = (name: string, text: string | Buffer) => writeFile(join(path, name), text, { mode: 0o644 });

async function problems(owners: readonly number[] = [own]): Promise<string> {
  const compiled = await checkTemplates({ path, owners }, rooms);
  return compiled.kind === "problems" ? compiled.problems.map(problemText).join("\n") : "";
}

describe("a folder of templates", () => {
  it("loads, with whatever is hidden or plainly no template beside it", async () => {
    await put("b.yaml", template(who, "other"));
    await put("README.md", "notes");
    await put(".b.yaml.swp", "x");
    await put("b.yaml~", "x");
    await put("b.test.yaml", "not even YAML: [");
    await mkdir(join(path, ".git"));
    await symlink("/etc/hostname", join(path, ".b.yaml"));
    const policy = await loadPolicy({ path, owners: [own] }, rooms);
    expect([...policy.templates.keys()]).toEqual(["deploy", "other"]);
    expect(policy.text).toContain('--- "b.yaml" ');
    expect(policy.text).not.toContain("b.test.yaml");
  });

  it("is a tree, in which each folder has its names, its bounds and its sets", async () => {
    await mkdir(join(path, "shop/eu"), { recursive: true });
    await put("bounds.yaml", "version: 1\nowner: site\n");
    await put("shop/bounds.yaml", "version: 1\nowner: team-shop\n");
    await put("shop/eu/node.set.yaml", 'version: 1\nset: node\nrevision: "1"\nhosts: [a.example.com]\n');
    await put("shop/eu/c.yaml", template(`${who}\nnetwork: [set:node]`, "shop/eu/deploy"));
    const policy = await loadPolicy({ path, owners: [own] }, rooms);
    expect([...policy.templates.values()].map(({ name, file, owner }) => [name, file, owner])).toEqual([
      ["deploy", "a.yaml", "site"],
      ["shop/eu/deploy", "shop/eu/c.yaml", "team-shop"],
    ]);
    expect(policy.text.match(/^--- "[^"]+"/gm)).toEqual([
      '--- "a.yaml"',
      '--- "bounds.yaml"',
      '--- "shop/bounds.yaml"',
      '--- "shop/eu/c.yaml"',
      '--- "shop/eu/node.set.yaml"',
    ]);
  });

  it("is as deep as eight folders", async () => {
    const deep = "a/b/c/d/e/f/g/h";
    await mkdir(join(path, deep), { recursive: true });
    await put(`${deep}/c.yaml`, template(who, `${deep}/deploy`));
    expect(await problems()).toBe("");
  });

  it("tells what could be better beside a policy", async () => {
    const compiled = await checkTemplates({ path, owners: [own] }, rooms);
    expect(compiled).toMatchObject({
      kind: "policy",
      findings: expect.arrayContaining([expect.objectContaining({ level: "advice", file: "a.yaml" })]),
    });
  });

  it.each<[string, () => Promise<unknown>, string]>([
    ["an empty one", () => rm(join(path, "a.yaml")), "the templates: there are none"],
    [
      "one that is not there",
      () =>
        rm(path, { recursive: true })
          .then(() => mkdir(`${path}-x`))
          .then(() => rm(`${path}-x`, { recursive: true })),
      "cannot be read (ENOENT)",
    ],
    ["a template that everybody may write", () => chmod(join(path, "a.yaml"), 0o666), "a.yaml: can be written by others"],
    ["a folder that everybody may write", () => chmod(path, 0o777), "can be written by others"],
    ["a template that its group may write", () => chmod(join(path, "a.yaml"), 0o664), "a.yaml: can be written by others"],
    [
      "a symbolic link",
      () => symlink("/etc/hostname", join(path, "b.yaml")),
      "b.yaml: a symbolic link; templates are plain files and folders",
    ],
    [
      "a symbolic link to a folder of templates",
      () => symlink(tmpdir(), join(path, "more")),
      "more: a symbolic link; templates are plain files and folders",
    ],
    [
      "a symbolic link deeper down",
      () => mkdir(join(path, "s")).then(() => symlink("../a.yaml", join(path, "s/b.yaml"))),
      "s/b.yaml: a symbolic link",
    ],
    ["a folder that is called like a template", () => mkdir(join(path, "b.yaml")), "b.yaml: not a name for a folder"],
    [
      "a folder with a capital",
      () => mkdir(join(path, "Shop")),
      "Shop: not a name for a folder, which is lower case letters, digits, '-' and '_'",
    ],
    ["a folder whose name is hidden in another alphabet", () => mkdir(join(path, "ѕhop")), "ѕhop: not a name for a folder"],
    [
      "nine folders",
      () => mkdir(join(path, "a/b/c/d/e/f/g/h/i"), { recursive: true }),
      "a/b/c/d/e/f/g/h/i: more than 8 folders deep",
    ],
    [
      "a folder deeper down that everybody may write",
      () => mkdir(join(path, "shop/eu"), { recursive: true }).then(() => chmod(join(path, "shop/eu"), 0o777)),
      "shop/eu/: can be written by others; take that right away with chmod go-w",
    ],
    [
      "bounds that their group may write",
      () =>
        mkdir(join(path, "shop"))
          .then(() => put("shop/bounds.yaml", "version: 1\n"))
          .then(() => chmod(join(path, "shop/bounds.yaml"), 0o664)),
      "shop/bounds.yaml: can be written by others",
    ],
    [
      "a test that everybody may write",
      () => put("a.test.yaml", "x").then(() => chmod(join(path, "a.test.yaml"), 0o666)),
      "a.test.yaml: can be written by others",
    ],
    ["a set that is a folder", () => mkdir(join(path, "x.set.yaml")), "x.set.yaml: not a name for a folder"],
    ["a FIFO", async () => execFileSync("mkfifo", [join(path, "b.yaml")]), "b.yaml: not a plain file"],
    [
      "a template with another ending",
      () => put("b.yml", template(who, "x")),
      "b.yml: not a name for a file, which is NAME.yaml, NAME.set.yaml, NAME.test.yaml or bounds.yaml, in lower case",
    ],
    ["a template in capitals", () => put("B.YAML", template(who, "x")), "B.YAML: not a name for a file"],
    ["a name with a blank", () => put("b c.yaml", template(who, "x")), "b c.yaml: not a name for a file"],
    ["a name with another ending inside", () => put("b.sets.yaml", "x"), "b.sets.yaml: not a name for a file"],
    ["a name that begins with a dash", () => put("-rf.yaml", "x"), "-rf.yaml: not a name for a file"],
    [
      "a template of another folder's name",
      () => mkdir(join(path, "shop")).then(() => put("shop/a.yaml", template(who, "other"))),
      "shop/a.yaml:2: template: a template in shop/ is called shop/…",
    ],
    ["a template that was cut while it was written", () => put("a.yaml", template(who).slice(0, -12)), "a.yaml:3: "],
    [
      "more files than a tree can have",
      () => Promise.all(Array.from({ length: 4_096 }, (_, index) => put(`f${index}.test.yaml`, ""))),
      "holds more than 4096 files",
    ],
    ["bytes that are not UTF-8", () => put("b.yaml", Buffer.from([0x61, 0xff])), "b.yaml: not UTF-8"],
    ["a file that is too long", () => put("b.yaml", "#".repeat(262_145)), "b.yaml: longer than 256 KiB"],
    ["a file too long to be read at all", () => truncate(join(path, "a.yaml"), 2 ** 34), "a.yaml: longer than 256 KiB"],
    ["one bad template among good ones", () => put("b.yaml", template("who: {}", "x")), "b.yaml:3: who: it asks for nothing"],
  ])("%s does not load", async (_, prepare, why) => {
    await prepare();
    expect(await problems()).toContain(why);
    await mkdir(path, { recursive: true });
  });

  it("shows what cannot be read and what does not load at once", async () => {
    await put("b.yaml", template("who: {}", "x"));
    await chmod(join(path, "a.yaml"), 0o666);
    expect(await problems()).toMatch(/a\.yaml: can be written[\s\S]*b\.yaml:3: who: it asks for nothing/);
  });

  it("a symbolic link to a folder is none", async () => {
    const link = `${path}-link`;
    await symlink(path, link);
    const compiled = await checkTemplates({ path: link, owners: [own] }, rooms);
    await rm(link);
    expect(compiled).toMatchObject({
      kind: "problems",
      problems: [{ message: "not a folder (a symbolic link does not count)" }],
    });
  });

  it("must belong to root or to the broker's user", async () => {
    expect(await problems([own + 1])).toContain(`belongs to user ${own}; it must belong to root or to the broker's user`);
  });

  it.skipIf(own !== 0)("a template that belongs to somebody else", async () => {
    await chown(join(path, "a.yaml"), 12_345, 12_345);
    expect(await problems()).toBe("a.yaml: belongs to user 12345; it must belong to root or to the broker's user");
  });

  it("is policy-invalid, with every problem in the message", async () => {
    await put("a.yaml", template("who: {}\nx: 1"));
    const error: unknown = await loadPolicy({ path, owners: [own] }, rooms).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BrokerError);
    expect(error).toMatchObject({
      code: "policy-invalid",
      message: expect.stringMatching(/^\d problems in the templates:\na\.yaml:\d: /) as string,
    });
  });
});
