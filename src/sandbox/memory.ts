import { tryRead } from "./cgroup-files.ts";
import { KernelError, mount, mountFlag } from "./kernel.ts";

/** Why what we write there cannot reach a disk; `swappable` where nothing keeps it from that. */
export type Unswappable = "noswap" | "cgroup" | "no-swap-device" | "swappable";

/**
 * Mounts the memory that holds every job's credentials, bundle and runtime state. 0711: a job's user can reach its own folder by
 * its name, and list nothing. tmpfs's `noswap` is Linux 6.4's, and needs the initial user namespace.
 */
export function mountPrivateMemory(at: string, size: number): Unswappable {
  const flags = mountFlag.noSuid | mountFlag.noDev | mountFlag.noExec;
  try {
    mount("tmpfs", at, flags, `mode=0711,size=${size},noswap`);
    return "noswap";
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
  mount("tmpfs", at, flags, `mode=0711,size=${size}`);
  return withoutNoswap(tryRead("/proc/self/cgroup"), tryRead("/proc/swaps"));
}

/** A tmpfs page counts to the group of whoever wrote it, here ours: where that may not swap, the page cannot. */
export function withoutNoswap(cgroup: string, swaps: string): Unswappable {
  const [, path] = /^0::(.*)$/m.exec(cgroup) ?? [];
  if (path !== undefined && tryRead(`/sys/fs/cgroup${path}/memory.swap.max`).trim() === "0") return "cgroup";
  return swaps.trim().split("\n").length <= 1 ? "no-swap-device" : "swappable";
}
