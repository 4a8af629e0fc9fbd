import { mkdirSync } from "node:fs";
import process from "node:process";
import { asBrokerError, BrokerError } from "../errors.ts";
import type { Clock } from "../time.ts";
import { cgroupMounts, findCgroups } from "./cgroup-find.ts";
import { closeThisProcess } from "./closed.ts";
import type { SandboxConfig } from "./config.ts";
import type { Host, Rooms } from "./host.ts";
import { IdMaps } from "./idmap.ts";
import { cgroupOf, homeOf, type Instance, isNestOf } from "./instance.ts";
import { Job } from "./job.ts";
import { limitOf, resource, unmount } from "./kernel.ts";
import { mountPrivateMemory } from "./memory.ts";
import { OutputWindow } from "./output-window.ts";
import { lackingOf } from "./reservation.ts";
import { buildRoot, showInit } from "./rootfs.ts";
import { findProgram, type Runtime, runtimeCandidates } from "./runtime.ts";
import type { SandboxPlan } from "./sandbox.ts";
import { seccompProfile } from "./seccomp.ts";
import { Slots } from "./slots.ts";

export interface Preparation {
  readonly config: SandboxConfig;
  readonly instance: Instance;
  readonly rooms: Rooms;
  readonly clock: Clock;
}

/** Makes this process and its private namespaces ready for jobs. Called once, inside the nest. */
export async function prepareHost({ config, instance, rooms, clock }: Preparation): Promise<Host> {
  if (!isNestOf(instance)) throw new BrokerError("usage", "sandboxd enters its namespaces itself; leave --nested out");
  closeThisProcess();
  const home = homeOf(instance);
  const memory = mountPrivateMemory(home, config.secrets);
  for (const folder of ["jobs", "work"]) mkdirSync(`${home}/${folder}`, { mode: 0o711 });
  unmountUnifiedOfHybrid();
  const host = {
    config,
    clock,
    rooms,
    home,
    memory,
    cgroups: findCgroups(cgroupOf(instance), clock),
    slots: new Slots(config.jobs, config.uids.first),
    maps: new IdMaps(),
    root: buildRoot(home, config.toolchain),
    init: showInit(home, findInit()),
    seccomp: seccompProfile(process.arch === "arm64" ? "arm64" : "x64"),
    limits: {
      core: Number(min(limitOf(resource.core).hard, 1n)),
      openFiles: Number(min(limitOf(resource.openFiles).hard, 65_536n)),
    },
  };
  return { ...host, runtime: await firstThatRuns(host) };
}

/**
 * Debian's crun 1.8 refuses a layout in which v1 and v2 both have controllers. In our own mount namespace we may do without v2's,
 * whose few controllers we do not use then.
 */
function unmountUnifiedOfHybrid(): void {
  const mounts = cgroupMounts();
  if (!mounts.some(({ type }) => type === "cgroup")) return;
  for (const { path, type } of mounts) if (type === "cgroup2") unmount(path);
}

/** A static one runs in every root; the other needs the host's C library, which /usr shows. */
export function findInit(): string {
  const found = findProgram("tini-static", "tini");
  if (found !== undefined) return found;
  throw new BrokerError("environment-unfit", "tini, the init of every sandbox, was not found", {
    hint: "install it: apt-get install tini",
  });
}

/** A runtime's version says little about whether it works in this layout of cgroups and namespaces: only a real run does. */
async function firstThatRuns(host: Omit<Host, "runtime">): Promise<Runtime> {
  const failures: string[] = [];
  for (const runtime of runtimeCandidates(host.config.runtime)) {
    const failure = await whyNot({ ...host, runtime });
    if (failure === undefined) return runtime;
    failures.push(`${runtime.path} (${runtime.version}): ${failure}`);
  }
  throw new BrokerError("environment-unfit", "no OCI runtime can run a job here", {
    hint: "mayfly doctor says what this host lacks",
    detail: failures.join("\n"),
  });
}

async function whyNot(host: Host): Promise<string | undefined> {
  const workspace = `${host.home}/trees/trial-workspace`;
  mkdirSync(workspace, { recursive: true });
  try {
    await using job = await Job.open(trialOf(host, workspace), {
      ...host,
      config: { ...host.config, workspaces: [host.home] },
    });
    const unread = new OutputWindow({ send: () => unread.taken(), end: () => undefined });
    const exit = await job.run(unread);
    return exit.code === 0 ? undefined : `a trivial job ended as ${exit.kind} ${exit.code}`;
  } catch (error) {
    const { message, detail } = asBrokerError(error);
    return detail ?? message;
  }
}

function trialOf(host: Host, path: string): SandboxPlan {
  const { memory, cpus, pids } = host.config;
  const tolerate = Object.fromEntries(lackingOf(host).map((name) => [name, "a trial of the runtime"]));
  const limits = { memory: Math.min(memory, 2 ** 28), cpus: Math.min(cpus, 1), pids: Math.min(pids, 64), timeout: 10_000 };
  return {
    id: "trial",
    owner: { uid: 0, gid: 0 },
    workspace: { path, mode: "rw" },
    command: ["true"],
    environment: {},
    isolation: { ...limits, environment: { pass: [] }, tolerate, image: undefined, runtimes: undefined },
    network: { kind: "none" },
  };
}

function min(one: bigint, other: bigint): bigint {
  return one < other ? one : other;
}
