import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Clock } from "../time.ts";
import type { JobCgroup, Limits } from "./cgroup.ts";
import { foldersOf, killAll, pidsOf, readAmount, removeAll, tryRead, tryWrite } from "./cgroup-files.ts";

const period = 100_000;

/** One group in the unified hierarchy. */
export class CgroupV2 implements JobCgroup {
  readonly path: string;
  readonly #folder: string;
  readonly #clock: Clock;

  constructor(mount: string, group: string, limits: Limits, clock: Clock) {
    this.path = `/${group}/c`;
    this.#folder = `${mount}/${group}`;
    this.#clock = clock;
    mkdirSync(this.#folder, { recursive: true });
    for (const folder of [mount, dirname(this.#folder), this.#folder]) handDown(folder);
    this.#limit(limits);
  }

  #limit({ memory, cpus, pids }: Limits): void {
    const available = new Set(tryRead(`${this.#folder}/cgroup.controllers`).trim().split(" "));
    if (available.has("memory")) {
      writeFileSync(`${this.#folder}/memory.max`, String(memory));
      tryWrite(`${this.#folder}/memory.swap.max`, "0");
    }
    if (available.has("pids")) writeFileSync(`${this.#folder}/pids.max`, String(pids));
    if (available.has("cpu"))
      writeFileSync(`${this.#folder}/cpu.max`, `${Math.max(1000, Math.round(cpus * period))} ${period}`);
  }

  async freeze(): Promise<void> {
    const deadline = this.#clock.monotonic() + 250;
    tryWrite(`${this.#folder}/cgroup.freeze`, "1");
    while (!/^frozen 1$/m.test(tryRead(`${this.#folder}/cgroup.events`)) && this.#clock.monotonic() < deadline)
      await this.#clock.sleep(2);
  }

  kill(): void {
    if (!tryWrite(`${this.#folder}/cgroup.kill`, "1")) killAll(foldersOf(this.#folder));
    tryWrite(`${this.#folder}/cgroup.freeze`, "0");
  }

  isEmpty(): boolean {
    return pidsOf(foldersOf(this.#folder)).length === 0;
  }

  /** Counts the groups below too, unlike v1's. */
  ranOutOfMemory(): boolean {
    const [, kills = "0"] = /^oom_kill ([0-9]+)$/m.exec(tryRead(`${this.#folder}/memory.events`)) ?? [];
    return Number(kills) > 0;
  }

  /** Linux 5.19 and newer. */
  peakMemory(): number | undefined {
    return readAmount(`${this.#folder}/memory.peak`);
  }

  remove(): boolean {
    return removeAll(foldersOf(this.#folder));
  }
}

/** Lets the groups below use the controllers; what the host has not enabled for us stays out, and was found lacking. */
function handDown(folder: string): void {
  for (const controller of ["memory", "pids", "cpu"]) tryWrite(`${folder}/cgroup.subtree_control`, `+${controller}`);
}
