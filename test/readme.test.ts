import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { figures } from "../scripts/figures.ts";
import { issuersSchema } from "../src/identity/issuers/issuers.ts";
import { templateSchema } from "../src/policy/language/template.ts";

const readme = readFileSync("README.md", "utf8");
const manifest = z
  .object({ dependencies: z.record(z.string(), z.string()), scripts: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync("package.json", "utf8")));

test("every folder and file that the README's tree names is on the disk, and every folder of src is named", () => {
  const tree = /```\n(src\/broker\.ts[\s\S]*?)```/.exec(readme)?.[1] ?? "";
  const named = [
    ...tree.matchAll(/(?:^|\s{2,})((?:src|providers|proto|deploy|docs|examples|scripts|test|bench)(?:\/[\w.-]+)?)(?=\s)/gm),
  ].map(([, path = ""]) => path);
  expect(named.length).toBeGreaterThan(20);
  for (const path of named) expect(existsSync(path), path).toBe(true);
  const folders = readdirSync("src", { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of folders) expect(named).toContain(`src/${name}`);
});

test("every npm command that the README names exists", () => {
  const named = [...readme.matchAll(/npm run ([a-z]+)/g)].map(([, name = ""]) => name);
  expect(named.length).toBeGreaterThan(4);
  for (const name of named) expect(Object.keys(manifest.scripts)).toContain(name);
});

test("every proof and bench that the README names exists, and every one that exists is named", () => {
  for (const [, room = ""] of readme.matchAll(/npm run prove -- ([a-z]+)/g))
    expect(existsSync(`test/prove/${room}.ts`), room).toBe(true);
  for (const file of readdirSync("test/prove")) expect(readme).toContain(`npm run prove -- ${file.replace(".ts", "")}`);
});

test.each([
  ["policy --help", 0, "stdout"],
  ["nothing-of-that-name", 2, "stderr"],
  ["policy --sizes small", 2, "stderr"],
  ["policy --seed x", 2, "stderr"],
] as const)("npm run prove -- %s says how it is used, and shows no stack", (words, status, stream) => {
  const ran = spawnSync(process.execPath, ["scripts/prove.ts", ...words.split(" ")], { encoding: "utf8" });
  expect(ran).toMatchObject({ status, [stream]: expect.stringMatching(/^usage: npm run prove -- ROOM .*\nrooms: crash, /m) });
  expect(ran.stderr).not.toMatch(/^ {4}at /m);
});

test("every link of the README leads somewhere", () => {
  const links = [...readme.matchAll(/\]\((?!http)([^)#]+)\)/g)].map(([, path = ""]) => path);
  expect(links.length).toBeGreaterThan(4);
  for (const path of links) expect(existsSync(path), path).toBe(true);
});

test("the dependencies with a sentence are the dependencies, each pinned exactly", () => {
  const table = [...(readme.split("## What it stands on")[1] ?? "").matchAll(/^\| `([^`]+)` \| (.+) \|$/gm)].map(
    ([, name = ""]) => name,
  );
  expect(table).toEqual(Object.keys(manifest.dependencies));
  for (const [name, version] of Object.entries(manifest.dependencies)) expect(version, name).toMatch(/^\d+\.\d+\.\d+$/);
});

const yamls = [...readme.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = ""]): unknown => parse(text));
const having = (key: string) => yamls.find((yaml) => typeof yaml === "object" && yaml !== null && key in yaml);

test("the README's template is one", () => {
  expect(templateSchema.safeParse(having("template")).error?.issues ?? []).toEqual([]);
});

test("the README's issuers load", () => {
  const issuers = z.object({ issuers: issuersSchema }).safeParse(having("issuers"));
  expect(issuers.error?.issues ?? []).toEqual([]);
});

test("the figures are those of bench/results", () => {
  expect(/<!-- figures -->\n([\s\S]*?)<!-- \/figures -->/.exec(readme)?.[1], "npm run figures writes them").toBe(figures());
});
