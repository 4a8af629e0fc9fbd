import { execFileSync } from "node:child_process";
import { chmod, chown, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import { checkTemplates, loadPolicy } from "../../src/policy/load.ts";
import { problemText } from "../../src/policy/problem.ts";
import { rooms, template, who } from "./rooms.ts";

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
    await mkdir(join(path, ".git"));
    const policy = await loadPolicy({ path, owners: [own] }, rooms);
    expect([...policy.templates.keys()]).toEqual(["deploy", "other"]);
    expect(policy.text).toContain('--- "b.yaml" ');
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
      "b.yaml: a symbolic link; templates are plain files",
    ],
    ["a folder that is called like one", () => mkdir(join(path, "b.yaml")), "holds the folder b.yaml"],
    ["a folder inside", () => mkdir(join(path, "more")), "holds the folder more, which would not be read"],
    ["a FIFO", async () => execFileSync("mkfifo", [join(path, "b.yaml")]), "b.yaml: not a plain file"],
    [
      "a template with another ending",
      () => put("b.yml", template(who, "x")),
      'holds "b.yml"; a template\'s file is called NAME.yaml',
    ],
    ["a template in capitals", () => put("B.YAML", template(who, "x")), 'holds "B.YAML"'],
    ["a name with a blank", () => put("b c.yaml", template(who, "x")), 'holds "b c.yaml"'],
    ["bytes that are not UTF-8", () => put("b.yaml", Buffer.from([0x61, 0xff])), "b.yaml: not UTF-8"],
    ["a file that is too long", () => put("b.yaml", "#".repeat(262_145)), "b.yaml: longer than 256 KiB"],
    ["a file too long to be read at all", () => truncate(join(path, "a.yaml"), 2 ** 34), "a.yaml: longer than 256 KiB"],
    ["one bad template among good ones", () => put("b.yaml", template("who: {}", "x")), "b.yaml:3: who: name the issuer"],
  ])("%s does not load", async (_, prepare, why) => {
    await prepare();
    expect(await problems()).toContain(why);
    await mkdir(path, { recursive: true });
  });

  it("shows what cannot be read and what does not load at once", async () => {
    await put("b.yaml", template("who: {}", "x"));
    await chmod(join(path, "a.yaml"), 0o666);
    expect(await problems()).toMatch(/a\.yaml: can be written[\s\S]*b\.yaml:3: who: name the issuer/);
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
