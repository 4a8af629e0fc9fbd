import type { Readable, Writable } from "node:stream";
import type { Clock } from "../time.ts";

/** Everything of the process that a command may touch; made once, by `main.ts`, so that a command can be run by a test as well. */
export interface Io {
  /** A copy of the environment; nobody else reads it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable;
  /** Data, and nothing else. */
  readonly stdout: Output;
  /** Progress, errors and everything that is said to a person. */
  readonly stderr: Output;
  readonly cwd: string;
  /** Who runs this process. */
  readonly uid: number;
  readonly clock: Clock;
  /** The signals that this process is sent; the listener is in force until `until` is aborted. */
  onSignal(name: NodeJS.Signals, listener: () => void, until: AbortSignal): void;
  /** Decides the exit code; the process ends once nothing is open any more. */
  exit(code: number): void;
}

export interface Output extends Writable {
  readonly isTTY?: boolean;
}
