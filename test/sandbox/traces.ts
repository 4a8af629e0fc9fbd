import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { World } from "./fixture.ts";

/* What a sandboxd, alive or dead, has on this host. Other tests run theirs at the same time, so each is told by its instance's name. */

export function instanceOf({ child }: World): string {
  const stat = readFileSync(`/proc/${child.pid}/stat`, "latin1");
  const namespace = readlinkSync("/proc/self/ns/pid").replaceAll(/[^0-9]/g, "");
  return `${namespace}-${child.pid}-${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`;
}

/** Everything on the host that carries the instance's or the test folder's name. */
export function tracesOf(instance: string, folder: string): readonly string[] {
  const groups = spawnSync("find", ["/sys/fs/cgroup", "-maxdepth", "2", "-name", `mayfly-${instance}`], {
    encoding: "utf8",
  }).stdout;
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(folder) || line.includes(instance));
  const homes = readdirSync("/run").filter((name) => name.includes(instance));
  return [...groups.split("\n").filter((line) => line !== ""), ...mounts, ...homes, ...running(folder), ...running(instance)];
}

/** Processes whose command line has the words. Not the dead ones, which the machine's own first process may be slow to bury. */
export function running(words: string): readonly string[] {
  const pids = readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name) && Number(name) !== process.pid);
  return pids.flatMap((pid) => (commandOf(pid).includes(words) ? [`${pid} ${commandOf(pid).slice(0, 100)}`] : []));
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

/** The process below `pid` whose name begins so. */
export function childOf(pid: number, name: string): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
  const found = children.find((child) => readFileSync(`/proc/${child}/comm`, "utf8").startsWith(name));
  if (found === undefined) throw new Error(`no ${name} below ${pid}, only ${children.join(", ")}`);
  return Number(found);
}

export function initOf({ child }: World): number {
  return childOf(child.pid, "tini");
}

export function nodeOf(world: World): number {
  return childOf(initOf(world), "");
}

/** The inside of the nest, where a forgotten mount, folder, group, process or descriptor would be. */
export function insideOf(world: World) {
  const [init, node, instance] = [initOf(world), nodeOf(world), instanceOf(world)];
  const mounts = readFileSync(`/proc/${init}/mountinfo`, "utf8").split("\n");
  const home = `/proc/${init}/root/run/mayfly-sandboxd.${instance}`;
  const groups = spawnSync("find", ["/sys/fs/cgroup", "-mindepth", "3", "-path", `*/mayfly-${instance}/*`, "-type", "d"], {
    encoding: "utf8",
  }).stdout;
  return {
    mounts: mounts.map((line) => line.split(" ")[4] ?? "").toSorted((one, other) => one.localeCompare(other)),
    jobs: readdirSync(`${home}/jobs`),
    work: readdirSync(`${home}/trees`),
    groups,
    processes: readFileSync(`/proc/${node}/task/${node}/children`, "utf8").trim(),
    descriptors: readdirSync(`/proc/${node}/fd`)
      .map((name) => descriptorOf(node, name))
      .toSorted(),
  };
}

/** Numbers differ from one socket or pipe to the next; how many there are must not. */
function descriptorOf(pid: number, name: string): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${name}`).replaceAll(/\[[0-9]+\]/g, "");
  } catch {
    return "closed meanwhile";
  }
}

/** Milliseconds until it held, or until `most` were over. */
export async function until(what: () => boolean, most = 3000): Promise<number> {
  const started = performance.now();
  while (!what() && performance.now() - started < most) await sleep(5);
  return performance.now() - started;
}
