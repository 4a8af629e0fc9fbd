import { closeSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { BrokerError } from "../errors.ts";
import type { JobCgroup } from "./cgroup.ts";
import { findCommand } from "./command.ts";
import { jobEnvironment } from "./environment.ts";
import type { CredentialFolder, Host } from "./host.ts";
import type { Tolerable } from "./isolation.ts";
import { lacksOf } from "./lacks.ts";
import type { SandboxPlan } from "./sandbox.ts";
import { jobId, specOf } from "./spec.ts";
import { type Owner, openWorkspace } from "./workspace.ts";
import { mountWorkspace, unmountWorkspace, type WorkspaceMount } from "./workspace-mount.ts";

/** Everything a job holds on this host before it starts. Leaving its scope gives it all back, last taken first. */
export interface Reservation extends AsyncDisposable {
  /** Holds config.json, and is where the runtime keeps its state. */
  readonly bundle: string;
  /** The job's user on the host. */
  readonly user: Owner;
  readonly cgroup: JobCgroup;
  readonly credentials: CredentialFolder;
  readonly tolerated: readonly string[];
}

/** Refuses whatever can be refused, before anything is minted. */
export async function reserve(plan: SandboxPlan, host: Host): Promise<Reservation> {
  checkKinds(plan, host);
  const tolerated = checkLimits(plan, host);
  await using stack = new AsyncDisposableStack();
  const slot = stack.adopt(host.slots.take(), (taken) => taken.release());
  const [bundle, outside] = [`${host.home}/jobs/${plan.id}`, `${host.home}/trees/${plan.id}`];
  makeFolders(stack, bundle, outside);
  const mapped = { uid: slot.first + jobId, gid: slot.first + jobId };
  const workspace = await prepareWorkspace({ plan, host, outside, mapped });
  findCommand(plan.command[0] ?? "", {
    root: host.root.path,
    shown: [...host.root.shown, { source: workspace.path, at: "/workspace" }],
  });
  const user = workspace.mapped ? mapped : plan.owner;
  const cgroup = host.cgroups.open(plan.id, plan.isolation);
  stack.defer(() => removeCgroup(cgroup, host));
  const credentials = stack.adopt(host.rooms.openCredentials(`${bundle}/credentials`, user), (folder) => folder.wipe());
  writeSpec({ plan, host, bundle, workspace, first: slot.first, cgroup });
  const held = stack.move();
  return { bundle, user, cgroup, credentials, tolerated, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** What this version of sandboxd cannot do at all is said before it takes anything. */
function checkKinds({ isolation, network }: SandboxPlan, { runtime }: Host): void {
  const { runtimes } = isolation;
  const [lack] = lacksOf({ isolation, network });
  if (lack !== undefined) throw unmet(lack.message, lack.hint);
  if (runtimes !== undefined && !runtimes.includes(runtime.name))
    throw unmet(
      `this host runs jobs by ${runtime.name}, the template only by ${runtimes.join(", ")}`,
      "set sandbox.runtime in mayfly.yaml, or sandbox.runtimes in the template",
    );
}

function unmet(message: string, hint: string): BrokerError {
  return new BrokerError("sandbox-unmet", message, { hint });
}

function checkLimits({ isolation }: SandboxPlan, host: Host): readonly string[] {
  for (const name of ["memory", "cpus", "pids", "timeout"] as const) {
    if (isolation[name] <= host.config[name]) continue;
    throw unmet(
      `the template asks for more ${name} than this host gives to one job`,
      `lower it, or raise sandbox.${name} in mayfly.yaml`,
    );
  }
  const lacking = lackingOf(host);
  const missing = lacking.filter((name) => !Object.hasOwn(isolation.tolerate, name));
  if (missing.length === 0) return lacking;
  throw unmet(
    `this host cannot give: ${missing.join(", ")}`,
    "mayfly doctor says what to do; a template may tolerate it, with a reason",
  );
}

/** What this host cannot give, by the names that a template tolerates. */
export function lackingOf({ cgroups, memory }: Pick<Host, "cgroups" | "memory">): readonly Tolerable[] {
  return memory === "swappable" ? [...cgroups.lacking, "unswappable-memory"] : cgroups.lacking;
}

/** `outside` holds mounts of folders that are not ours; `unmountWorkspace` takes care not to remove through them. */
function makeFolders(stack: AsyncDisposableStack, bundle: string, outside: string): void {
  mkdirSync(bundle, { mode: 0o711 });
  stack.defer(() => rmSync(bundle, { recursive: true, force: true }));
  mkdirSync(outside, { mode: 0o711 });
  stack.defer(() => unmountWorkspace(outside));
}

interface Preparing {
  readonly plan: SandboxPlan;
  readonly host: Host;
  readonly outside: string;
  readonly mapped: Owner;
}

async function prepareWorkspace({ plan, host, outside, mapped }: Preparing): Promise<WorkspaceMount> {
  const folder = openWorkspace(plan.workspace.path, plan.owner, host.config.workspaces);
  try {
    const scratch = Math.min(host.config.scratch, Math.floor(plan.isolation.memory / 4));
    return await mountWorkspace(
      { folder, mode: plan.workspace.mode, owner: plan.owner, job: mapped, below: outside, scratch },
      host.maps,
    );
  } catch (cause) {
    throw cause instanceof BrokerError
      ? cause
      : new BrokerError("sandbox-failed", "the workspace could not be mounted", { detail: String(cause), cause });
  } finally {
    closeSync(folder);
  }
}

/** A dying process may keep its group for a moment; the rest of the clean-up does not wait longer than this for it. */
async function removeCgroup(cgroup: JobCgroup, { clock }: Host): Promise<void> {
  const deadline = clock.monotonic() + 800;
  while (!cgroup.remove()) {
    if (clock.monotonic() > deadline) return;
    cgroup.kill();
    await clock.sleep(4);
  }
}

interface Written {
  readonly plan: SandboxPlan;
  readonly host: Host;
  readonly bundle: string;
  readonly workspace: WorkspaceMount;
  readonly first: number;
  readonly cgroup: JobCgroup;
}

function writeSpec({ plan, host, bundle, workspace, first, cgroup }: Written): void {
  const spec = specOf({
    root: host.root.path,
    shown: host.root.shown,
    init: host.init,
    credentials: `${bundle}/credentials`,
    workspace: workspace.path,
    ids: { first, workspaceOwner: workspace.mapped ? undefined : plan.owner },
    cgroup: cgroup.path,
    seccomp: host.seccomp,
    limits: { ...host.limits, memory: plan.isolation.memory, scratch: host.config.scratch },
    environment: jobEnvironment(plan.environment, plan.isolation.environment.pass),
    command: plan.command,
  });
  writeFileSync(`${bundle}/config.json`, JSON.stringify(spec), { mode: 0o600 });
}
