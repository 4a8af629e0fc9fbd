import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";

/**
 * The name of one running sandboxd, from which every name that it leaves on the host is made. It says who it belongs to
 * (pid namespace, process, and when that process started), so a later one can tell the dead's belongings from its neighbours'.
 */
export type Instance = string;

export function instanceOf(pid: number): Instance {
  return `${pidNamespace()}-${pid}-${startOf(pid) ?? 0}`;
}

export function homeOf(instance: Instance): string {
  return `/run/mayfly-sandboxd.${instance}`;
}

export function cgroupOf(instance: Instance): string {
  return `mayfly-${instance}`;
}

/** Whether this process runs inside the nest of that instance: a pid namespace other than the one that it is named after. */
export function isNestOf(instance: Instance): boolean {
  const [, namespace] = /^([0-9]+)-[0-9]+-[0-9]+$/.exec(instance) ?? [];
  return namespace !== undefined && namespace !== pidNamespace();
}

/** What sandboxds of this pid namespace left behind that no longer run. Another namespace's are not ours to judge. */
export function deadInstances(): readonly Instance[] {
  const hierarchies = list("/sys/fs/cgroup").map((name) => `/sys/fs/cgroup/${name}`);
  const groups = ["/sys/fs/cgroup", ...hierarchies].flatMap((folder) => named(folder, "mayfly-"));
  const found = new Set([...groups, ...named("/run", "mayfly-sandboxd.")]);
  return [...found].filter(isDead);
}

function named(folder: string, prefix: string): readonly Instance[] {
  return list(folder)
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length));
}

function isDead(instance: Instance): boolean {
  const [, namespace, pid, start] = /^([0-9]+)-([0-9]+)-([0-9]+)$/.exec(instance) ?? [];
  return namespace === pidNamespace() && startOf(Number(pid)) !== start;
}

function pidNamespace(): string {
  return readlinkSync("/proc/self/ns/pid").replaceAll(/[^0-9]/g, "");
}

/** Field 22 of /proc/PID/stat; the name in field 2 may hold spaces and brackets, hence the last bracket. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

function list(folder: string): readonly string[] {
  try {
    return statSync(folder).isDirectory() ? readdirSync(folder) : [];
  } catch {
    return [];
  }
}
