import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { z } from "zod";
import { BrokerError, isCode } from "../errors.ts";
import { type Clock, within } from "../time.ts";
import { connectSandboxes } from "./client.ts";
import type { Sandboxes } from "./sandbox.ts";

export interface SandboxdChild {
  readonly sandboxes: Sandboxes;
  /** Its exit code, once it has gone: at the latest three seconds after `stop`. */
  readonly ended: Promise<number>;
  readonly pid: number;
  /** Ends its lifeline. Needs no privilege, so it works after `serve` has given up its own. */
  stop(): Promise<void>;
}

export interface SandboxdCommand {
  /** How this program is called again: `[process.execPath, "src/main.ts"]`. */
  readonly program: readonly string[];
  readonly config: string;
  readonly socket: string;
  readonly serveUid: number;
  readonly clock: Clock;
}

/** Starts sandboxd, as root, and waits until it serves. Its own errors (`environment-unfit`, …) are thrown as they are. */
export async function startSandboxd({ program, config, socket, serveUid, clock }: SandboxdCommand): Promise<SandboxdChild> {
  const [command = "", ...first] = program;
  const args = [...first, "sandboxd", "--config", config, "--socket", socket, "--serve-uid", String(serveUid)];
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  // A lifeline that broke because the other end died is no error of ours.
  child.stdin.on("error", () => undefined);
  const ended = codeOf(child);
  const line = await within(clock, 30_000, Promise.race([firstLineOf(child), ended.then(() => undefined)]), () => undefined);
  const failure = failureIn(line);
  if (failure !== undefined) {
    child.stdin.end();
    throw failure;
  }
  return { sandboxes: connectSandboxes(socket, clock), ended, pid: child.pid ?? 0, stop: () => stop(child, ended, clock) };
}

async function stop(child: ChildProcess, ended: Promise<number>, clock: Clock): Promise<void> {
  child.stdin?.end();
  await within(clock, 3_000, ended, () => child.kill("SIGKILL"));
}

async function codeOf(child: ChildProcess): Promise<number> {
  const failed = once(child, "error").then(() => 127);
  failed.catch(() => undefined);
  const exited = once(child, "exit").then(([code]) => (typeof code === "number" ? code : 137));
  return Promise.race([exited, failed]);
}

async function firstLineOf(child: ChildProcess): Promise<string | undefined> {
  if (child.stdout === null) return undefined;
  for await (const line of createInterface({ input: child.stdout })) return line;
  return undefined;
}

const word = z.union([
  z.object({ ready: z.object({ runtime: z.string() }) }),
  z.object({ failed: z.object({ code: z.string(), message: z.string(), hint: z.string(), detail: z.string() }) }),
]);

function failureIn(line: string | undefined): BrokerError | undefined {
  const said = word.safeParse(line === undefined ? undefined : JSON.parse(line));
  if (!said.success) return new BrokerError("environment-unfit", "sandboxd did not start");
  if ("ready" in said.data) return undefined;
  const { code, message, hint, detail } = said.data.failed;
  return new BrokerError(isCode(code) ? code : "internal", message, { hint, detail });
}
