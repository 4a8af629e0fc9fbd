import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ResultFile } from "../../src/commands/result-file.ts";

let root: string;
let folder: string;
let path: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "mayfly-result-"));
  folder = join(root, "out");
  path = join(folder, "result.json");
  await mkdir(folder);
});
afterEach(() => rm(root, { recursive: true }));

describe("a result", () => {
  test("is written whole, twice, and leaves nothing beside it", async () => {
    await using result = await ResultFile.open(path);
    await result.write({ kind: "started" });
    await result.write({ kind: "ended" });
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual({ kind: "ended" });
    expect(await readdir(folder)).toEqual(["result.json"]);
  });

  test("leaves nothing beside it either where a job put a folder in its place", async () => {
    await using result = await ResultFile.open(path);
    await result.write({ kind: "started" });
    await rm(path);
    await mkdir(path);
    await expect(result.write({ kind: "ended" })).rejects.toMatchObject({
      code: "usage",
      message: `the result cannot be written to ${path}`,
    });
    expect(await readdir(folder)).toEqual(["result.json"]);
  });

  test("may have as long a name as a file can have", async () => {
    const long = "r".repeat(255);
    await using result = await ResultFile.open(join(folder, long));
    await result.write({ kind: "ended" });
    expect(await readdir(folder)).toEqual([long]);
  });

  test("is not asked for where there is no such folder", async () => {
    await expect(ResultFile.open(join(root, "none", "result.json"))).rejects.toMatchObject({
      code: "usage",
      message: `the result cannot be written to ${join(root, "none", "result.json")}`,
    });
  });

  test("is not written through a link that a job put in its place", async () => {
    const victim = join(root, "victim");
    await writeFile(victim, "keep me");
    await using result = await ResultFile.open(path);
    await result.write({ kind: "started" });
    await rm(path);
    await symlink(victim, path);
    await result.write({ kind: "ended" });
    expect(await readFile(victim, "utf8")).toBe("keep me");
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual({ kind: "ended" });
  });

  const places: readonly (readonly [string, (elsewhere: string) => Promise<unknown>])[] = [
    ["a link to another folder", (elsewhere) => symlink(elsewhere, folder)],
    [
      "another folder with a result of its own",
      () => mkdir(folder).then(() => writeFile(path, '{"kind":"ended","exitCode":0}')),
    ],
    ["nothing", () => Promise.resolve()],
  ];
  test.each(places)("goes into the folder that was opened, and says so, when a job moved it and left %s", async (_, put) => {
    const elsewhere = join(root, "elsewhere");
    await mkdir(elsewhere);
    await using result = await ResultFile.open(path);
    await result.write({ kind: "started" });
    await rename(folder, join(root, "moved"));
    await put(elsewhere);
    await expect(result.write({ kind: "ended" })).rejects.toMatchObject({
      code: "usage",
      message: `the result is not at ${path}: its folder was moved while the job ran`,
    });
    expect(await readdir(elsewhere)).toEqual([]);
    expect(JSON.parse(await readFile(join(root, "moved", "result.json"), "utf8"))).toEqual({ kind: "ended" });
  });
});
