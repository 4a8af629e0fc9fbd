import { chownSync, closeSync, existsSync, mkdirSync, rmdirSync } from "node:fs";
import type { IdMaps } from "./idmap.ts";
import {
  attachMount,
  cloneMount,
  KernelError,
  mapMount,
  mount,
  mountAttribute,
  mountFlag,
  setMountAttributes,
  unmount,
} from "./kernel.ts";
import type { SandboxPlan } from "./sandbox.ts";
import type { Owner } from "./workspace.ts";

export interface WorkspaceMount {
  readonly path: string;
  /** False where this file system knows no mapped mounts; the job's user must then be the owner (the hole in `spec.ts`). */
  readonly mapped: boolean;
}

export interface WorkspaceFacts {
  /** The opened folder. */
  readonly folder: number;
  readonly mode: SandboxPlan["workspace"]["mode"];
  readonly owner: Owner;
  /** The job's user on the host. */
  readonly job: Owner;
  /** An empty folder of ours; everything is mounted below it. */
  readonly below: string;
  /** Bytes that an overlay may hold. */
  readonly scratch: number;
}

/** Mounts the opened folder, never a path, where the runtime will find it. */
export async function mountWorkspace(facts: WorkspaceFacts, maps: IdMaps): Promise<WorkspaceMount> {
  const path = `${facts.below}/workspace`;
  mkdirSync(path);
  const mapped = await attach(facts, path, maps);
  return { path: facts.mode === "overlay" ? overlay(facts, path, mapped ? facts.job : facts.owner) : path, mapped };
}

async function attach({ folder, mode, owner, job }: WorkspaceFacts, path: string, maps: IdMaps): Promise<boolean> {
  const tree = cloneMount(folder, "alone");
  try {
    setMountAttributes(
      tree,
      mountAttribute.noSuid | mountAttribute.noDev | (mode === "rw" ? 0 : mountAttribute.readOnly),
      "alone",
    );
    const mapped = tryMap(tree, await maps.of(owner, job));
    maps.note(mapped);
    attachMount(tree, path);
    return mapped;
  } finally {
    closeSync(tree);
  }
}

function tryMap(tree: number, userNamespace: number): boolean {
  try {
    mapMount(tree, userNamespace);
    return true;
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}

/** What the job changes lies in memory and goes with it; the workspace below stays as it was. */
function overlay({ below, scratch }: WorkspaceFacts, lower: string, owner: Owner): string {
  const [layers, merged] = [`${below}/layers`, `${below}/merged`];
  for (const folder of [layers, merged]) mkdirSync(folder);
  mount("tmpfs", layers, mountFlag.noSuid | mountFlag.noDev, `mode=0755,size=${scratch}`);
  for (const folder of [`${layers}/upper`, `${layers}/work`]) mkdirSync(folder);
  chownSync(`${layers}/upper`, owner.uid, owner.gid);
  const layout = `lowerdir=${lower},upperdir=${layers}/upper,workdir=${layers}/work`;
  mount("overlay", merged, mountFlag.noSuid | mountFlag.noDev, layout);
  return merged;
}

/** Removes by rmdir alone: should a mount not have gone, nothing below it is touched. */
export function unmountWorkspace(below: string): void {
  for (const name of ["merged", "layers", "workspace"]) {
    if (!existsSync(`${below}/${name}`)) continue;
    detach(`${below}/${name}`);
    rmdirSync(`${below}/${name}`);
  }
  rmdirSync(below);
}

/** Not mounted, where making it failed half way, is no failure. */
function detach(path: string): void {
  try {
    unmount(path);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}
