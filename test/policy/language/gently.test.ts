import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { compileGently, compileTemplates } from "../../../src/policy/language/compile.ts";
import { checkTemplates } from "../../../src/policy/language/load.ts";
import { rooms, template } from "../rooms.ts";

const text = (index: number) =>
  template(
    `who: { issuer: github, repository_id: "${index}", trust: protected }
credentials: { db: { provider: vault-main, path: "kv/{repository_id}" } }
steps: { build: { workspace: read-only }, migrate: { run: [npm, run, migrate], credentials: [db], workspace: read-only } }`,
    `t${index}`,
  );

const sources = [
  ...Array.from({ length: 200 }, (_, index) => ({ file: `t${index}.yaml`, text: text(index) })),
  { file: "bounds.yaml", text: "version: 1\nmax_ttl: 1h\n" },
];

it("templates that are compiled gently are the same, and each file, template and pass of the rules lets others in", async () => {
  let asked = 0;
  const pause = () => {
    asked += 1;
    return asked % 2 === 0 ? Promise.resolve() : undefined;
  };
  const gently = await compileGently(sources, rooms, pause);
  const atOnce = compileTemplates(sources, rooms);
  expect([gently.kind, atOnce.kind]).toEqual(["policy", "policy"]);
  if (gently.kind !== "policy" || atOnce.kind !== "policy") return;
  expect(gently.policy.digest).toBe(atOnce.policy.digest);
  expect([...gently.policy.templates]).toEqual([...atOnce.policy.templates]);
  expect(gently.findings).toEqual(atOnce.findings);
  expect(asked).toBeGreaterThanOrEqual(4 * 200);
});

it("problems are the same too", async () => {
  const flawed = [...sources, { file: "x.yaml", text: "version: 1" }, { file: "y.yaml", text: "a: [" }];
  expect(await compileGently(flawed, rooms, () => Promise.resolve())).toEqual(compileTemplates(flawed, rooms));
});

it("one file is read in several pieces", async () => {
  let asked = 0;
  const long = `${text(1)}accept: { ${Array.from({ length: 8_000 }, (_, index) => `k${index}: because`).join(", ")} }\n`;
  await compileGently([{ file: "t1.yaml", text: long }], rooms, () => void (asked += 1));
  expect(asked).toBeGreaterThan(15);
});

it("who else has work has it done while a folder is read", async () => {
  const path = await mkdtemp(join(tmpdir(), "mayfly-gently-"));
  try {
    await mkdir(join(path, "t"), { mode: 0o755 });
    for (const { file, text: written } of sources) await writeFile(join(path, file), written);
    let longest = 0;
    let last = process.threadCpuUsage();
    let loading = true;
    const turn = (): void => {
      const { user, system } = process.threadCpuUsage(last);
      longest = Math.max(longest, (user + system) / 1_000);
      last = process.threadCpuUsage();
      if (loading) setImmediate(turn);
    };
    turn();
    expect(await checkTemplates({ path, owners: [0, process.getuid?.() ?? 0] }, rooms)).toMatchObject({ kind: "policy" });
    loading = false;
    // The turn is 10 ms; the rest is for what cannot be put down and for a collector of garbage.
    expect(longest).toBeLessThan(60);
  } finally {
    await rm(path, { recursive: true });
  }
});
