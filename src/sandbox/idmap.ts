import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, writeFileSync } from "node:fs";
import type { Owner } from "./workspace.ts";

/**
 * User namespaces that say how a workspace's owner appears to a job: as the job's own user. A mount takes the mapping on
 * (mount_setattr(2), MOUNT_ATTR_IDMAP), so that what the job writes belongs to the owner on the host, whatever the runtime can do.
 * They hold no process, only a descriptor; one for each pair, kept as long as sandboxd lives.
 */
export class IdMaps {
  readonly #open = new Map<string, Promise<number>>();
  /** More pairs than any host has runners' users times slots; beyond it the oldest goes. */
  readonly #most = 256;
  #works: boolean | undefined;

  /** Whether the last workspace could be mounted mapped; undefined before the first. */
  get works(): boolean | undefined {
    return this.#works;
  }

  note(works: boolean): void {
    this.#works = works;
  }

  /** `appearsAs` is the job's user and group on the host. */
  async of(owner: Owner, appearsAs: Owner): Promise<number> {
    const key = `${owner.uid}:${owner.gid}>${appearsAs.uid}:${appearsAs.gid}`;
    const known = this.#open.get(key) ?? createMapped(owner, appearsAs);
    this.#open.set(key, known);
    this.#forgetOldest();
    try {
      return await known;
    } catch (error) {
      this.#open.delete(key);
      throw error;
    }
  }

  #forgetOldest(): void {
    const [oldest] = this.#open;
    if (this.#open.size <= this.#most || oldest === undefined) return;
    this.#open.delete(oldest[0]);
    void oldest[1].then(closeSync, () => undefined);
  }
}

/** A process makes the namespace, waits while we write its maps and open it, and goes. */
async function createMapped(owner: Owner, appearsAs: Owner): Promise<number> {
  const holder = spawn("unshare", ["--user", "--", "sh", "-c", "echo && read -r line"], { stdio: ["pipe", "pipe", "ignore"] });
  try {
    await firstByteOf(holder);
    writeFileSync(`/proc/${holder.pid}/uid_map`, `${owner.uid} ${appearsAs.uid} 1`);
    writeFileSync(`/proc/${holder.pid}/gid_map`, `${owner.gid} ${appearsAs.gid} 1`);
    return openSync(`/proc/${holder.pid}/ns/user`, "r");
  } finally {
    holder.stdin?.destroy();
    holder.kill("SIGKILL");
  }
}

async function firstByteOf(holder: ChildProcess): Promise<void> {
  const failed = once(holder, "exit").then(() => Promise.reject(new Error("no user namespace can be made")));
  failed.catch(() => undefined);
  if (holder.stdout !== null) await Promise.race([once(holder.stdout, "data"), failed]);
}
