import { readdirSync, readFileSync } from "node:fs";
import type { BrokerProcess } from "./world.ts";

/** What sandboxes of one broker stand on this host, by the kernel's own account. */
export interface Traces {
  readonly processes: number;
  readonly cgroups: readonly string[];
  readonly mounts: number;
}

/** The descendants of this broker beyond its own, the control groups of its jobs, and the mounts that others can see. */
export function traces(broker: BrokerProcess): Traces {
  return {
    processes: descendants(broker.sandboxdPid()).length,
    cgroups: cgroupsBelow("/sys/fs/cgroup").filter((path) => path.includes(`-${broker.nest()}-`)),
    mounts: readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes("mayfly-flow")).length,
  };
}

function descendants(pid: number): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
  return children.flatMap((child) => [child, ...descendants(child)]);
}

function cgroupsBelow(folder: string): readonly string[] {
  return foldersIn(folder).flatMap((path) => [path, ...cgroupsBelow(path)]);
}

/** Other brokers' groups may go while they are looked at. */
function foldersIn(folder: string): readonly string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => `${folder}/${name}`);
  } catch {
    return [];
  }
}
