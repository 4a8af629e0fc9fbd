import type { Shown } from "./rootfs.ts";
import type { SeccompProfile } from "./seccomp.ts";

/** The job's user inside; on the host it is `ids.first + 1000`, which owns nothing else. */
export const jobId = 1000;
export const rangeSize = 65_536;

export interface SpecFacts {
  readonly root: string;
  readonly shown: readonly Shown[];
  /** All three lie in sandboxd's private mount namespace: a static init, the credentials' folder, and the workspace as mounted. */
  readonly init: string;
  readonly credentials: string;
  readonly workspace: string;
  /** `workspaceOwner` is set where the workspace cannot be mounted idmapped: the job's user is then that one user and group of the host. */
  readonly ids: { readonly first: number; readonly workspaceOwner: { readonly uid: number; readonly gid: number } | undefined };
  readonly cgroup: string;
  readonly seccomp: SeccompProfile;
  readonly limits: { readonly core: number; readonly openFiles: number; readonly memory: number; readonly scratch: number };
  readonly environment: Readonly<Record<string, string>>;
  readonly command: readonly string[];
}

/**
 * Our isolation on one page: an OCI runtime's config.json from a plan and a few facts. Pure, and compared with a golden file.
 * No secret is ever in it, since runtimes copy it: credentials arrive by a mount.
 */
export function specOf(facts: SpecFacts): object {
  return {
    ociVersion: "1.0.2",
    hostname: "job",
    root: { path: facts.root, readonly: true },
    process: processOf(facts),
    mounts: [...kernelMounts, ...sizedMounts(facts), ...facts.shown.map(bind), ...ownMounts(facts)],
    linux: {
      namespaces: ["user", "pid", "ipc", "uts", "mount", "network", "cgroup"].map((type) => ({ type })),
      uidMappings: mappings(facts.ids.first, facts.ids.workspaceOwner?.uid),
      gidMappings: mappings(facts.ids.first, facts.ids.workspaceOwner?.gid),
      // Memory, pids and cpu are limited one level up, in a group of ours that outlives the runtime's.
      cgroupsPath: facts.cgroup,
      resources: { devices: [{ allow: false, access: "rwm" }] },
      seccomp: facts.seccomp,
      maskedPaths,
      readonlyPaths,
      rootfsPropagation: "private",
    },
  };
}

function processOf({ command, environment, limits }: SpecFacts): object {
  return {
    terminal: false,
    user: { uid: jobId, gid: jobId },
    // The kernel shields process 1 from signals that it does not handle, hence an init; -g passes them to the job's whole group.
    args: ["/run/mayfly/init", "-g", "--", ...command],
    env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    cwd: "/workspace",
    capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
    noNewPrivileges: true,
    oomScoreAdj: 500,
    rlimits: [
      // One, not zero: with a piped core_pattern the kernel still starts the handler at zero (core(5)).
      { type: "RLIMIT_CORE", soft: limits.core, hard: limits.core },
      { type: "RLIMIT_NOFILE", soft: limits.openFiles, hard: limits.openFiles },
    ],
  };
}

const kernelMounts = [
  { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
  { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"] },
  {
    destination: "/dev/pts",
    type: "devpts",
    source: "devpts",
    options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
  },
];

/** A full tmpfs counts as the job's memory, so together they stay below its limit: it sees ENOSPC before it is killed. */
function sizedMounts({ limits }: SpecFacts): readonly object[] {
  const quarter = Math.min(limits.scratch, Math.floor(limits.memory / 4));
  const sixteenth = Math.min(limits.scratch, Math.floor(limits.memory / 16));
  const sized = (destination: string, mode: string, size: number, extra: readonly string[] = []) => {
    return {
      destination,
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "nodev", `mode=${mode}`, `size=${size}`, ...extra],
    };
  };
  return [
    sized("/dev/shm", "1777", sixteenth, ["noexec"]),
    sized("/tmp", "1777", quarter),
    sized("/var/tmp", "1777", sixteenth),
    sized("/home/job", "0700", quarter, [`uid=${jobId}`, `gid=${jobId}`]),
  ];
}

/** Their flags (read-only, nosuid, nodev) are on the mounts that sandboxd made; a user namespace locks what it inherits. */
function bind({ source, at }: Shown): object {
  return { destination: at, type: "bind", source, options: ["rbind"] };
}

function ownMounts({ credentials, init, workspace }: SpecFacts): readonly object[] {
  return [
    {
      destination: "/run/mayfly/credentials",
      type: "bind",
      source: credentials,
      options: ["bind", "ro", "nosuid", "nodev", "noexec"],
    },
    bind({ source: init, at: "/run/mayfly/init" }),
    bind({ source: workspace, at: "/workspace" }),
  ];
}

/** A whole range of ids that nobody on the host has; where needed with a hole, in which the job's user is the workspace's owner. */
function mappings(first: number, owner: number | undefined): readonly object[] {
  if (owner === undefined) return [{ containerID: 0, hostID: first, size: rangeSize }];
  return [
    { containerID: 0, hostID: first, size: jobId },
    { containerID: jobId, hostID: owner, size: 1 },
    { containerID: jobId + 1, hostID: first + jobId + 1, size: rangeSize - jobId - 1 },
  ];
}

const maskedPaths = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kallsyms",
  "/proc/kcore",
  "/proc/key-users",
  "/proc/keys",
  "/proc/kmsg",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/swaps",
  "/proc/sysrq-trigger",
  "/proc/timer_list",
  "/proc/timer_stats",
];

const readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"];
