import { readFileSync } from "node:fs";

/**
 * The control group of the process that this pidfd stands for, as this broker sees it; undefined where that is not certain. A pid alone
 * proves nothing: its process may have ended, and another one have been given its number. So the pidfd is looked at again after the
 * read: while its process lives nobody else has the number (pidfd_open(2)), and the text was its own.
 */
export function cgroupOf(pidfd: number): string | undefined {
  try {
    const pid = pidOf(pidfd);
    if (pid === undefined) return undefined;
    const text = readFileSync(`/proc/${pid}/cgroup`, "utf8");
    return pidOf(pidfd) === pid ? cgroupIn(text) : undefined;
  } catch {
    // `hidepid`, or no /proc at all: it cannot be read, so it is not known.
    return undefined;
  }
}

/** -1 for a process that has ended, 0 for one that this pid namespace does not know. */
function pidOf(pidfd: number): number | undefined {
  const [, pid = "-1"] = /^Pid:\t(-?[0-9]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${pidfd}`, "latin1")) ?? [];
  return Number(pid) > 0 ? Number(pid) : undefined;
}

/**
 * One path of /proc/PID/cgroup (cgroups(7)). Under version 2 and wherever processes are in the unified tree, it is that tree's; on a hybrid
 * or version 1 host it is systemd's, which has the same paths. What lies outside of this broker's cgroup namespace begins with `/..`. The
 * root says nothing, in either version: everybody is beneath it, and version 1 shows it for every process that is about to end.
 */
export function cgroupIn(text: string): string | undefined {
  return [pathOf(text, ""), pathOf(text, "name=systemd")].find((path) => path !== undefined && path !== "/");
}

/** Users may name groups of their own: what is endless, or would move a terminal's cursor, is as good as unknown. */
const plain = /^\/\P{Cc}{0,1023}$/u;

/** Each line is `number:controllers:path`; a group that was removed around its last, ended process is marked. */
function pathOf(text: string, controllers: string): string | undefined {
  const [path] = text.split("\n").flatMap((line) => {
    const [, found, rest] = /^[0-9]+:([^:]*):(.*)$/s.exec(line) ?? [];
    return found === controllers && rest !== undefined ? [rest] : [];
  });
  return path !== undefined && plain.test(path) && !path.endsWith(" (deleted)") ? path : undefined;
}
