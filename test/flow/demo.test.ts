import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { tracesOf } from "../sandbox/traces.ts";
import { processesOf } from "./process-tree.ts";
import { heard, type Spoken } from "./world.ts";

/* `mayfly demo` as a newcomer runs it, watched from outside. */

const isRoot = process.getuid?.() === 0;

interface Watched {
  readonly spoken: Spoken;
  /** Folders of demos that were not there before. */
  readonly folders: readonly string[];
  /** The name of the sandboxd that it started, from which the names of all its jobs' groups and mounts are made. */
  readonly instance: string;
  readonly seconds: number;
}

let demo: Watched;

beforeAll(async () => {
  if (isRoot) demo = await watched();
}, 180_000);

/** Another demo may run at the same time, so what belongs to this one is taken from its own processes while they live. */
async function watched(): Promise<Watched> {
  const [began, before] = [performance.now(), demoFolders()];
  const child = spawn(process.execPath, [resolve("src/main.ts"), "demo"], { cwd: tmpdir(), env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" }, stdio: ["ignore", "pipe", "pipe"] });
  const seen = { folders: new Set<string>(), instance: "" };
  const watch = setInterval(() => {
    for (const folder of demoFolders()) if (!before.includes(folder)) seen.folders.add(folder);
    seen.instance = instanceBelow(child.pid ?? 0) ?? seen.instance;
  }, 100);
  const spoken = await heard(child);
  clearInterval(watch);
  return { spoken, folders: [...seen.folders], instance: seen.instance, seconds: (performance.now() - began) / 1000 };
}

function demoFolders(): readonly string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith("mayfly-demo-"));
}

function instanceBelow(pid: number): string | undefined {
  const sandboxd = processesOf(pid).get("sandboxd");
  return sandboxd === undefined ? undefined : /--nested (\S+)/.exec(commandOf(sandboxd))?.[1];
}
