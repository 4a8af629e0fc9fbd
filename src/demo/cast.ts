import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { BrokerError } from "../errors.ts";
import type { Clock, Duration } from "../time.ts";
import { actors, type Stage } from "./stage.ts";

export interface Spoken {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

const asUser = fileURLToPath(new URL(`./as-user${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url));

/** `mayfly ARGS` as the runner's own user, who is in the group of the sockets and in nothing else. */
export async function asRunner(stage: Stage, args: readonly string[]): Promise<Spoken> {
  const who = [actors.runner, actors.runner, actors.group].map(String);
  const env = { PATH: "/usr/local/bin:/usr/bin:/bin", MAYFLY_RUN: stage.run, CI: "true" };
  return hear(
    spawn(process.execPath, [asUser, ...who, ...args], { cwd: stage.workspace, env, stdio: ["ignore", "pipe", "pipe"] }),
  );
}

/** `mayfly ARGS` as root, who may open every socket. */
export async function asRoot(stage: Stage, main: string, args: readonly string[]): Promise<Spoken> {
  return hear(
    spawn(process.execPath, [main, ...args], {
      cwd: stage.workspace,
      env: { PATH: "/usr/bin:/bin", MAYFLY_RUN: stage.run },
      stdio: ["ignore", "pipe", "pipe"],
    }),
  );
}

async function hear(child: ChildProcessByStdio<null, Readable, Readable>): Promise<Spoken> {
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exitOf(child)]);
  return { stdout, stderr, code };
}

const startTime: Duration = 30_000;

/** `mayfly serve`, which starts sandboxd and gives up root; leaving its scope drains it. */
export async function startBroker(
  stage: Stage,
  main: string,
  clock: Clock,
): Promise<AsyncDisposable & { readonly pid: number }> {
  const child = spawn(process.execPath, [main, "serve", "--config", stage.config], {
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const log = text(child.stderr);
  const ended = exitOf(child);
  let over = false;
  void ended.then(() => (over = true));
  for (const deadline = clock.monotonic() + startTime; !existsSync(join(stage.run, "broker.sock")); await clock.sleep(20)) {
    if (over || clock.monotonic() > deadline) {
      child.kill("SIGKILL");
      throw new BrokerError("environment-unfit", `the broker did not start: ${(await log).trim()}`, {
        hint: "`mayfly doctor` says what this host lacks",
      });
    }
  }
  return {
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 128));
  });
}
