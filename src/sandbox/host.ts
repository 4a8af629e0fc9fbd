import type { DeliveredFile } from "../delivery/delivery.ts";
import type { MaskSet } from "../masking/masker.ts";
import type { Clock } from "../time.ts";
import type { Cgroups } from "./cgroup.ts";
import type { SandboxConfig } from "./config.ts";
import type { IdMaps } from "./idmap.ts";
import type { Unswappable } from "./memory.ts";
import type { Root } from "./rootfs.ts";
import type { Runtime } from "./runtime.ts";
import type { SeccompProfile } from "./seccomp.ts";
import type { Slots } from "./slots.ts";
import type { Owner } from "./workspace.ts";

/** A job's credentials in memory; what is shown to the job is `folder`. */
export interface CredentialFolder {
  deliver(files: readonly DeliveredFile[]): void;
  wipe(): void;
}

/** Handed in by the process's entry, so that this room knows no other's inside. */
export interface Rooms {
  createMaskSet(): MaskSet;
  openCredentials(folder: string, reader: Owner): CredentialFolder;
}

/** What one sandboxd has found and made, once, for all its jobs. */
export interface Host {
  readonly config: SandboxConfig;
  readonly clock: Clock;
  readonly rooms: Rooms;
  /** The private memory mount: bundles, the runtimes' state and credentials. */
  readonly home: string;
  readonly runtime: Runtime;
  readonly cgroups: Cgroups;
  readonly slots: Slots;
  readonly maps: IdMaps;
  readonly root: Root;
  readonly init: string;
  readonly seccomp: SeccompProfile;
  readonly limits: { readonly core: number; readonly openFiles: number };
  /** What keeps the private memory off every disk. */
  readonly memory: Unswappable;
}
