import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { mayfly } from "../commands/shell.ts";

/** Where each of the page's files stands, by a key that only it has. */
const places = [
  [/^template: /m, "shop/release.yaml"],
  [/^set: /m, "mirror.set.yaml"],
  [/^unrevocable: /m, "shop/bounds.yaml"],
  [/^tests:/m, "shop/release.test.yaml"],
] as const;

test("check finds nothing in the README's template", async () => {
  const page = await readFile("README.md", "utf8");
  const [template, another] = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)]
    .map(([, text = ""]) => text)
    .filter((text) => /^template: /m.test(text));
  expect([template, another]).toEqual([expect.any(String), undefined]);
  const folder = await mkdtemp(join(tmpdir(), "mayfly-readme-"));
  try {
    await writeFile(join(folder, "deploy.yaml"), template ?? "");
    const config = resolve("deploy/mayfly.yaml");
    expect(await mayfly(["check", folder, "--strict", "--config", config], { cwd: folder, env: {} })).toMatchObject({
      exit: 0,
      stderr: "",
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("the files that docs/templates.md shows load together, and its tests pass", async () => {
  const page = await readFile("docs/templates.md", "utf8");
  const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = ""]) => text);
  const folder = await mkdtemp(join(tmpdir(), "mayfly-docs-"));
  try {
    await mkdir(join(folder, "shop"), { mode: 0o755 });
    expect(blocks).toHaveLength(places.length);
    for (const text of blocks) {
      const [, place = ""] = places.find(([key]) => key.test(text)) ?? [];
      await writeFile(join(folder, place), text);
    }
    const config = resolve("deploy/mayfly.yaml");
    expect(await mayfly(["check", folder, "--strict", "--test", "--config", config], { cwd: folder, env: {} })).toMatchObject({
      exit: 0,
      stdout: expect.stringContaining("3 tests, 3 passed"),
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});
