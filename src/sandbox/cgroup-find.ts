import { readFileSync } from "node:fs";
import type { Clock } from "../time.ts";
import type { CgroupMount, Cgroups } from "./cgroup.ts";
import { CgroupV1 } from "./cgroup-v1.ts";
import { CgroupV2 } from "./cgroup-v2.ts";
import type { Tolerable } from "./isolation.ts";

/** Every hierarchy that this process sees mounted. */
export function cgroupMounts(mountinfo = readFileSync("/proc/self/mountinfo", "utf8")): readonly CgroupMount[] {
  return mountinfo.split("\n").flatMap((line): readonly CgroupMount[] => {
    const [before = "", after = ""] = line.split(" - ");
    const [type = "", , options = ""] = after.split(" ");
    const path = before.split(" ")[4] ?? "";
    if (type === "cgroup") return [{ path, type, controllers: options.split(",") }];
    if (type === "cgroup2")
      return [{ path, type, controllers: readFileSync(`${path}/cgroup.controllers`, "utf8").trim().split(" ") }];
    return [];
  });
}

const needed: Readonly<Record<string, Tolerable>> = { memory: "memory-limit", pids: "pids-limit", cpu: "cpu-limit" };

/** `parent` is the folder that holds this instance's jobs: see `cgroupOf`. */
export function findCgroups(parent: string, clock: Clock, mounts = cgroupMounts()): Cgroups {
  const v1 = mounts.filter(({ type }) => type === "cgroup");
  const v2 = mounts.find(({ type }) => type === "cgroup2");
  const controllers = (v1.length > 0 ? v1 : mounts).flatMap((mount) => mount.controllers);
  const lacking = Object.entries(needed).flatMap(([controller, name]) => (controllers.includes(controller) ? [] : [name]));
  if (v1.length > 0)
    return { version: "v1", lacking, open: (job, limits) => new CgroupV1(v1, `${parent}/${job}`, limits, clock) };
  if (v2 !== undefined)
    return { version: "v2", lacking, open: (job, limits) => new CgroupV2(v2.path, `${parent}/${job}`, limits, clock) };
  return { version: "none", lacking, open: noCgroup };
}

function noCgroup(): never {
  throw new Error("no cgroup hierarchy is mounted");
}
