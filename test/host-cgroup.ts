import { existsSync, mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** The trees that tell runners apart, as far as this host has them and lets us make groups in them. */
export const cgroupTrees = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup", "/sys/fs/cgroup/systemd"].filter(
  (tree) => process.getuid?.() === 0 && existsSync(join(tree, "cgroup.procs")) && mayMake(tree),
);

function mayMake(tree: string): boolean {
  const probe = join(tree, `mayfly-test-probe-${process.pid}`);
  try {
    mkdirSync(probe);
    rmdirSync(probe);
    return true;
  } catch {
    return false;
  }
}

/** A control group in which a test's processes stand like a runner's. */
export class HostCgroup implements AsyncDisposable {
  readonly #folder: string;
  /** As /proc/PID/cgroup has it. */
  readonly path: string;

  /** `inside`: of another one of ours, made before. */
  constructor(tree: string, name: string, inside?: HostCgroup) {
    this.path = inside === undefined ? `/mayfly-test-${process.pid}-${name}` : `${inside.path}/${name}`;
    this.#folder = join(tree, this.path);
    mkdirSync(this.#folder);
  }

  /** The command, in this group, as argv for a shell. */
  holding(command: readonly string[]): readonly [string, ...string[]] {
    return ["sh", "-c", `echo $$ > ${this.#folder}/cgroup.procs && exec "$@"`, "sh", ...command];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let tries = 0; readFileSync(join(this.#folder, "cgroup.procs"), "utf8") !== "" && tries < 100; tries += 1)
      await sleep(20);
    rmdirSync(this.#folder);
  }
}
