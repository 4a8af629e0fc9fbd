import process from "node:process";
import type { Readable, Writable } from "node:stream";
import { asBrokerError } from "../errors.ts";
import type { Clock } from "../time.ts";
import type { SandboxConfig } from "./config.ts";
import { hostFindings, sandboxdFindings } from "./findings.ts";
import type { Rooms } from "./host.ts";
import type { Instance } from "./instance.ts";
import { prepareHost } from "./prepare.ts";
import { listenForServe } from "./server.ts";

export interface SandboxdOptions {
  readonly config: SandboxConfig;
  readonly socket: string;
  readonly serveUid: number;
  readonly instance: Instance;
  readonly rooms: Rooms;
  readonly clock: Clock;
  /** The lifeline: its end is the order to stop. */
  readonly stdin: Readable;
  /** One line of JSON: `{"ready":…}` or `{"failed":…}`. */
  readonly stdout: Writable;
}

/** The privileged process, inside its nest; resolves with its exit code once everything is gone. */
export async function sandboxd(options: SandboxdOptions): Promise<number> {
  const stopped = endOf(options.stdin);
  try {
    const host = await prepareHost(options);
    const findings = () => [...hostFindings(), ...sandboxdFindings(host)];
    const server = await listenForServe({ host, findings, socket: options.socket, serveUid: options.serveUid });
    options.stdout.write(`${JSON.stringify({ ready: { runtime: host.runtime.name } })}\n`);
    await stopped;
    await server.close();
    return 0;
  } catch (error) {
    options.stdout.write(failedLine(error));
    return 1;
  }
}

/** To `serve`, which says it its own way. */
export function failedLine(error: unknown): string {
  const { code, message, hint, detail } = asBrokerError(error);
  return `${JSON.stringify({ failed: { code, message, hint: hint ?? "", detail: detail ?? "" } })}\n`;
}

/** Also on TERM, which an init sends to all alike. */
function endOf(stdin: Readable): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => resolve();
    stdin.on("end", stop).on("error", stop).on("close", stop).resume();
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, stop);
  });
}
