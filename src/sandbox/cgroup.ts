import type { Tolerable } from "./isolation.ts";

/** What one job may use. Bytes, cores, processes and threads. */
export interface Limits {
  readonly memory: number;
  readonly cpus: number;
  readonly pids: number;
}

/**
 * One job's group, made by us around the one that the runtime makes: limits hold for both, and it still tells of memory
 * exhaustion when the runtime has removed its own.
 */
export interface JobCgroup {
  /** What the runtime is told, below every hierarchy's mount. */
  readonly path: string;
  /** Resolves once every process stands still; at the latest after a quarter of a second, since one may hang in the kernel. */
  freeze(): Promise<void>;
  /** Kills every process, frozen ones too; those that were frozen run none of their own code before they die. */
  kill(): void;
  /** Whether no process is in it: before the job started, and once its last process is dead. */
  isEmpty(): boolean;
  /** Whether the kernel killed a process of this job for want of memory. */
  ranOutOfMemory(): boolean;
  /** The most memory that it had at one moment, in bytes; undefined where this kernel does not say. */
  peakMemory(): number | undefined;
  /** True once the group is gone. False while a process in it still dies: try again. */
  remove(): boolean;
}

export interface Cgroups {
  readonly version: "v1" | "v2" | "none";
  /** What this host cannot limit. */
  readonly lacking: readonly Tolerable[];
  open(job: string, limits: Limits): JobCgroup;
}

export interface CgroupMount {
  readonly path: string;
  readonly type: "cgroup" | "cgroup2";
  readonly controllers: readonly string[];
}
