import { spawnSync } from "node:child_process";
import { chmodSync, globSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** What runs as a program or a thread, so that importing it would start it. */
const programs = ["src/main.ts", "src/demo/as-user.ts", "src/ledger/worker.ts"] as const;

const importAll = `
  import { Worker } from "node:worker_threads";
  const [worker, ...modules] = process.argv.slice(1);
  await Promise.allSettled(modules.map((path) => import(path)));
  const thread = new Worker(worker);
  thread.once("message", () => thread.terminate());`;

/**
 * What one run of the tests has on disk: a folder for temporary files, which are gone with it even where a test was killed before
 * it could clear up, and what Node compiled.
 */
export function setup(): void {
  const folder = mkdtempSync(join(tmpdir(), "mayfly-tests-"));
  // Not sooner: Node writes down what it compiled when a test's process ends.
  process.once("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  chmodSync(folder, 0o755);
  const temporary = join(folder, "tmp");
  mkdirSync(temporary);
  // As /tmp is: jobs, runners and brokers are other users.
  chmodSync(temporary, 0o1777);
  process.env["TMPDIR"] = temporary;
  compileInto(join(folder, "compiled"));
}

/**
 * Half of what a start of Mayfly takes is Node's work on its source, the same each time, and tests start it more than a thousand
 * times. So Node keeps what it compiled. The folder is filled beforehand: only root can write there, and what tests start ends as another
 * user. What cannot be imported is left to the tests to complain about.
 */
function compileInto(place: string): void {
  process.env["NODE_COMPILE_CACHE"] = place;
  const [main, asUser, worker] = programs.map((path) => resolve(path)) as [string, string, string];
  const modules = globSync("{src,providers}/**/*.ts", { exclude: [...programs] }).map((path) => resolve(path));
  const node = (...args: readonly string[]) => spawnSync(process.execPath, args, { stdio: "ignore" });
  node("--input-type=module", "--eval", importAll, worker, ...modules);
  node(main, "--help");
  node(asUser, "0", "0", "0", "--help");
}
