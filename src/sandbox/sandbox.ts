import type { DeliveredFile } from "../delivery/delivery.ts";
import type { Secret } from "../secret.ts";
import type { Duration } from "../time.ts";

/**
 * One job's isolation, from the first reservation to the last trace. Leaving its scope ends everything in it: processes,
 * mounts, cgroup, files. `run` is called at most once, and nothing is delivered after `freeze`.
 */
export interface Sandbox extends AsyncDisposable {
  /** What this host could not give and the template tolerates, by name; recorded. */
  readonly tolerated: readonly string[];
  /** Arms the masker; resolves before any of these values can be printed. */
  arm(secrets: readonly Secret[]): Promise<void>;
  deliver(files: readonly DeliveredFile[]): Promise<void>;
  /** Resolves as soon as the process has ended, however slow its reader is: the end of a job never queues behind its output. */
  run(streams: JobStreams): Promise<Exit>;
  /**
   * Resolves once the reader took all that the job had written, before or after `remove`. It is given up half a second after
   * `streams.signal` was aborted, and where it took nothing for five minutes; what it has not taken by then is dropped.
   */
  drained(): Promise<void>;
  /** Stops every process of the job where it stands, so that nothing uses a credential while it is being revoked. */
  freeze(): Promise<void>;
  /** Kill, wipe, unmount, remove. Calling it again is harmless; disposal calls it. */
  remove(): Promise<void>;
}

export interface Sandboxes {
  /**
   * Reserves a place (else `busy`), opens the workspace (else `workspace-…`), finds the command (else `command-not-found`) and
   * checks what the host can give (else `sandbox-unmet`): whatever can be refused is refused here, before anything is minted.
   */
  open(plan: SandboxPlan, signal: AbortSignal): Promise<Sandbox>;
  /** Why `open` would refuse such a run whatever the host, before anybody asks it to. */
  lacks(plan: Pick<SandboxPlan, "isolation" | "network">): readonly string[];
  status(): Promise<SandboxStatus>;
}

export interface SandboxPlan {
  readonly id: string;
  readonly owner: { readonly uid: number; readonly gid: number };
  readonly workspace: { readonly path: string; readonly mode: "read-only" | "overlay" | "rw" };
  readonly command: readonly string[];
  /** Already reduced to the names that the template lets pass; sandboxd applies the deny set once more. */
  readonly environment: Readonly<Record<string, string>>;
  readonly isolation: Isolation;
  readonly network: Network;
}

/** Where a job may go. `only`: what is listed. `observed`: anywhere, and what is not listed is recorded. */
export type Network =
  | { readonly kind: "none" }
  | {
      readonly kind: "only" | "observed";
      readonly endpoints: readonly { readonly host: string; readonly port: number }[];
    };

/** The template's `sandbox` part, parsed. Bytes, cores, counts, milliseconds. */
export interface Isolation {
  readonly memory: number;
  readonly cpus: number;
  readonly pids: number;
  readonly timeout: Duration;
  readonly environment: { readonly pass: readonly string[] };
  readonly tolerate: Readonly<Record<string, string>>;
  /** `registry.example/ci/node@sha256:…`; undefined: the host's toolchain, read-only. */
  readonly image: string | undefined;
  /** The runtimes that may run the job; undefined: whichever the host has chosen. */
  readonly runtimes: readonly string[] | undefined;
}

export interface JobStreams {
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly signals: AsyncIterable<"SIGINT" | "SIGTERM" | "SIGHUP" | "SIGQUIT" | "SIGUSR1" | "SIGUSR2">;
  /** Masked output, one chunk at a time. Awaited: a slow reader slows the job, never fills a buffer. */
  output(stream: "stdout" | "stderr", chunk: Uint8Array): Promise<void>;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

export interface Exit {
  readonly kind: "exited" | "timeout" | "oom" | "cancelled" | "killed";
  readonly code: number;
  /** The most memory that the job had at one moment, in bytes; undefined where the host does not say. */
  readonly peakMemory: number | undefined;
}

export interface SandboxStatus {
  readonly runtime: string;
  readonly running: number;
  readonly capacity: number;
  readonly findings: readonly Finding[];
}

/** One fact of this host that isolation rests on: what `doctor` prints. */
export interface Finding {
  readonly name: string;
  readonly state: "good" | "lacking" | "bad";
  readonly found: string;
  /** What to do about it, where it is not good. */
  readonly remedy: string | null;
}
