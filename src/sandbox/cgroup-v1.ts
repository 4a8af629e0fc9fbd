import { closeSync, mkdirSync, openSync, readSync, writeFileSync } from "node:fs";
import type { Clock } from "../time.ts";
import type { CgroupMount, JobCgroup, Limits } from "./cgroup.ts";
import { foldersOf, killAll, pidsOf, readAmount, removeAll, tryRead, tryWrite } from "./cgroup-files.ts";
import { eventCounter } from "./kernel.ts";

const period = 100_000;

/** One group in each of several hierarchies. */
export class CgroupV1 implements JobCgroup {
  readonly path: string;
  readonly #folders: readonly string[];
  readonly #of: (controller: string) => string | undefined;
  readonly #clock: Clock;
  readonly #outOfMemory: number | undefined;

  constructor(mounts: readonly CgroupMount[], group: string, limits: Limits, clock: Clock) {
    this.path = `/${group}/c`;
    this.#clock = clock;
    this.#folders = mounts.map((mount) => `${mount.path}/${group}`);
    this.#of = (controller) => this.#folders[mounts.findIndex((mount) => mount.controllers.includes(controller))];
    for (const controller of ["memory", "pids", "cpu", "freezer"]) make(this.#of(controller));
    this.#limit(limits);
    this.#outOfMemory = listenForExhaustion(this.#of("memory"));
  }

  #limit({ memory, cpus, pids }: Limits): void {
    const [memoryFolder, pidsFolder, cpuFolder] = [this.#of("memory"), this.#of("pids"), this.#of("cpu")];
    if (memoryFolder !== undefined) {
      tryWrite(`${memoryFolder}/memory.use_hierarchy`, "1");
      writeFileSync(`${memoryFolder}/memory.limit_in_bytes`, String(memory));
      // Memory and swap together: what the job holds in memory cannot be swapped out. Absent where the kernel does not count swap.
      tryWrite(`${memoryFolder}/memory.memsw.limit_in_bytes`, String(memory));
      tryWrite(`${memoryFolder}/memory.swappiness`, "0");
    }
    if (pidsFolder !== undefined) writeFileSync(`${pidsFolder}/pids.max`, String(pids));
    if (cpuFolder !== undefined) {
      writeFileSync(`${cpuFolder}/cpu.cfs_period_us`, String(period));
      writeFileSync(`${cpuFolder}/cpu.cfs_quota_us`, String(Math.max(1000, Math.round(cpus * period))));
    }
  }

  async freeze(): Promise<void> {
    const folder = this.#of("freezer");
    if (folder === undefined) return;
    const deadline = this.#clock.monotonic() + 250;
    tryWrite(`${folder}/freezer.state`, "FROZEN");
    while (tryRead(`${folder}/freezer.state`).trim() === "FREEZING" && this.#clock.monotonic() < deadline) {
      await this.#clock.sleep(2);
      tryWrite(`${folder}/freezer.state`, "FROZEN");
    }
  }

  kill(): void {
    const freezer = this.#of("freezer");
    killAll(this.#tree());
    if (freezer !== undefined) tryWrite(`${freezer}/freezer.state`, "THAWED");
  }

  isEmpty(): boolean {
    return pidsOf(this.#tree()).length === 0;
  }

  #tree(): readonly string[] {
    return foldersOf(this.#of("freezer") ?? this.#of("pids") ?? this.#of("memory") ?? "");
  }

  ranOutOfMemory(): boolean {
    if (this.#outOfMemory === undefined) return false;
    try {
      return readSync(this.#outOfMemory, new Uint8Array(8)) === 8;
    } catch {
      return false;
    }
  }

  /** With the groups below it (cgroup-v1/memory.rst, section 5.5). */
  peakMemory(): number | undefined {
    return readAmount(`${this.#of("memory")}/memory.max_usage_in_bytes`);
  }

  remove(): boolean {
    const gone = removeAll(this.#folders.flatMap(foldersOf));
    if (gone && this.#outOfMemory !== undefined) closeSync(this.#outOfMemory);
    return gone;
  }
}

function make(folder: string | undefined): void {
  if (folder !== undefined) mkdirSync(folder, { recursive: true });
}

/**
 * An event counter that the kernel raises when this group or one below it runs out (cgroup-v1/memory.rst, section 10). The
 * counter in memory.oom_control would be the runtime's own group's, which is gone when we ask.
 */
function listenForExhaustion(folder: string | undefined): number | undefined {
  if (folder === undefined) return undefined;
  const counter = eventCounter();
  const control = openSync(`${folder}/memory.oom_control`, "r");
  const listening = tryWrite(`${folder}/cgroup.event_control`, `${counter} ${control}`);
  closeSync(control);
  if (listening) return counter;
  closeSync(counter);
  return undefined;
}
