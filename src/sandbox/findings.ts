import { statSync } from "node:fs";
import { release } from "node:os";
import process from "node:process";
import { tryRead } from "./cgroup-files.ts";
import type { Host } from "./host.ts";
import { limitOf, resource } from "./kernel.ts";
import { findProgram, type Runtime } from "./runtime.ts";
import type { Finding } from "./sandbox.ts";

/** What any process can see of this host; pure reads. */
export function hostFindings(): readonly Finding[] {
  return [
    node(),
    kernel(),
    init(),
    userNamespaces(),
    coreDumps(tryRead("/proc/sys/kernel/core_pattern").trim(), limitOf(resource.core).hard),
    devNull(),
  ];
}

/** What only sandboxd knows, since it has tried: a job ran before these are true. */
export function sandboxdFindings(host: Host): readonly Finding[] {
  const { cgroups, runtime, maps } = host;
  return [
    runtimeFinding(runtime),
    cgroups.lacking.length === 0
      ? good("limits", `memory, pids and cpu by cgroup ${cgroups.version}`)
      : lacking(
          "limits",
          `cgroup ${cgroups.version} gives no ${cgroups.lacking.join(", ")}`,
          "enable these controllers (systemd: Delegate=cpu memory pids), or let a template tolerate it, with a reason",
        ),
    host.memory === "swappable"
      ? lacking(
          "secret memory",
          "could be swapped out",
          "Linux 6.4 has tmpfs noswap; else MemorySwapMax=0 for the unit, or swapoff -a",
        )
      : good("secret memory", `never swapped (${host.memory})`),
    maps.works === false
      ? lacking(
          "workspace ids",
          "the last workspace's file system knows no mapped mounts",
          "jobs run as the workspace's owner there; ext4, xfs, btrfs and tmpfs (6.3) have mapped mounts",
        )
      : good("workspace ids", "mapped mounts: what a job writes belongs to the runner's user"),
    good("seccomp", "our own profile was in force in the trial job"),
    good("peer credentials", "SO_PEERCRED"),
  ];
}

function node(): Finding {
  const major = Number(process.versions.node.split(".")[0]);
  return major >= 24 ? good("node", process.version) : bad("node", process.version, "Mayfly needs Node 24 or newer");
}

/** openat2 and mapped mounts: 5.12; what older ones lack we do not work around. */
function kernel(): Finding {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const enough = major > 5 || (major === 5 && minor >= 12);
  return enough ? good("kernel", release()) : bad("kernel", release(), "Mayfly needs Linux 5.12 or newer");
}

function init(): Finding {
  const found = findProgram("tini-static", "tini");
  return found === undefined ? bad("init", "tini was not found", "apt-get install tini") : good("init", found);
}

function userNamespaces(): Finding {
  const most = Number(tryRead("/proc/sys/user/max_user_namespaces"));
  return most > 0
    ? good("user namespaces", `up to ${most}`)
    : bad("user namespaces", "none allowed", "sysctl user.max_user_namespaces=15000");
}

/** core(5): a handler behind a pipe is started even at a limit of zero, with the job's memory as its input; at one it is not. */
export function coreDumps(pattern: string, hardLimit: bigint): Finding {
  if (pattern.startsWith("|") && hardLimit < 1n)
    return bad(
      "core dumps",
      `${pattern.split(" ")[0]} would be handed the memory of a job that crashes`,
      "start sandboxd with LimitCORE=1",
    );
  return good("core dumps", "none: the limit of a job is 1");
}

/** crun before 1.24 gives the job's user whatever is on stdin, the host's /dev/null too (containers/crun#1845). */
function devNull(): Finding {
  const { uid, mode, rdev } = statSync("/dev/null");
  if (uid === 0 && (mode & 0o777) === 0o666 && rdev === 0x103) return good("/dev/null", "belongs to root, mode 0666");
  return bad(
    "/dev/null",
    `belongs to uid ${uid}, mode 0${(mode & 0o7777).toString(8)}`,
    "another tool's container took it: chown root:root /dev/null && chmod 666 /dev/null",
  );
}

interface Fix {
  /** The first release of each branch that has it. */
  readonly releases: readonly string[];
  readonly against: string;
}

/** What a runtime should have by now, and why its lack is bearable here. */
const fixes: Readonly<Record<string, Fix>> = {
  runc: {
    releases: ["1.2.8", "1.3.3", "1.4.0"],
    against:
      "the path races of November 2025 (CVE-2025-31133, -52565, -52881); bearable since every job is in a user namespace",
  },
  crun: {
    releases: ["1.24.0"],
    against: "giving a job the owner of its stdin (containers/crun#1845); bearable since stdin is always a pipe",
  },
};

export function runtimeFinding({ name, version }: Runtime): Finding {
  const fix = fixes[name];
  if (fix === undefined || hasFix(version, fix.releases)) return good("runtime", `${name} ${version}`);
  return lacking(
    "runtime",
    `${name} ${version} lacks the fix against ${fix.against}`,
    `${name} ${fix.releases.join(", ")} or newer`,
  );
}

/** A branch has it from its own release on; a branch newer than all that are listed has it from the start. */
function hasFix(version: string, releases: readonly string[]): boolean {
  const [major, minor, patch] = numbersOf(version);
  const branches = releases.map(numbersOf);
  const own = branches.find((fix) => fix[0] === major && fix[1] === minor);
  if (own !== undefined) return patch >= own[2];
  return branches.every((fix) => major > fix[0] || (major === fix[0] && minor > fix[1]));
}

function numbersOf(version: string): readonly [number, number, number] {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.+~-]/).map(Number);
  return [major, minor, patch];
}

export function good(name: string, found: string): Finding {
  return { name, state: "good", found, remedy: null };
}

export function lacking(name: string, found: string, remedy: string): Finding {
  return { name, state: "lacking", found, remedy };
}

export function bad(name: string, found: string, remedy: string): Finding {
  return { name, state: "bad", found, remedy };
}
