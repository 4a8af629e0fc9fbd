import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** A real server of somebody else's, run for a test; stopped by its own pid, never by name. */
export interface ServerProcess extends AsyncDisposable {
  readonly pid: number;
  /** What it printed so far, for a failure's message. */
  output(): string;
  stop(): Promise<void>;
}

export interface Start {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Asked again and again until it holds; a throw means "not yet". */
  readonly ready: () => Promise<boolean>;
  /** Sent first; PostgreSQL wants SIGINT for a quick and clean end. */
  readonly stopSignal?: NodeJS.Signals;
  /** Milliseconds. */
  readonly patience?: number;
}

/** Resolves once the server answers, and rejects with its own last words when it does not. */
export async function startProcess(start: Start): Promise<ServerProcess> {
  const child = spawn(start.command, start.args, {
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...start.env },
    cwd: start.cwd ?? "/",
    stdio: ["ignore", "pipe", "pipe"],
  });
  const server = new Server(child, start.stopSignal ?? "SIGTERM");
  const deadline = Date.now() + (start.patience ?? 30_000);
  while (!(await answers(start.ready))) {
    if (server.ended || Date.now() > deadline) {
      await server.stop();
      throw new Error(`${start.command} did not come up: ${server.output().slice(-2_000)}`);
    }
    await sleep(50);
  }
  return server;
}

class Server implements ServerProcess {
  readonly #child: ChildProcess;
  readonly #signal: NodeJS.Signals;
  readonly #end: Promise<void>;
  #output = "";
  ended = false;

  constructor(child: ChildProcess, signal: NodeJS.Signals) {
    this.#child = child;
    this.#signal = signal;
    this.#end = new Promise((resolve) => {
      const over = (): void => {
        this.ended = true;
        resolve();
      };
      child.once("exit", over);
      child.once("error", (error) => {
        this.#output += String(error);
        over();
      });
    });
    const keep = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString("utf8")).slice(-64 * 1024);
    };
    child.stdout?.on("data", keep);
    child.stderr?.on("data", keep);
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  output(): string {
    return this.#output;
  }

  async stop(): Promise<void> {
    if (!this.ended) this.#child.kill(this.#signal);
    const killer = setTimeout(() => this.#child.kill("SIGKILL"), 5_000);
    await this.#end;
    clearTimeout(killer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function answers(ready: () => Promise<boolean>): Promise<boolean> {
  try {
    return await ready();
  } catch {
    return false;
  }
}

/**
 * A port that nobody listens on, from below those that the kernel gives to whoever asks for any (ip_local_port_range): between the look
 * and the server's own bind, another server of the tests would else be given it.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 50; tries += 1) {
    const port = randomInt(12_000, 32_000);
    if (await isFree(port)) return port;
  }
  throw new Error("no free port was found");
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  const listening = await new Promise<boolean>((resolve) => {
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => resolve(true));
  });
  if (listening) await new Promise((resolve) => probe.close(resolve));
  return listening;
}

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end; the caller judges the exit code. */
export function run(
  command: string,
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly input?: string } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...options.env },
      cwd: "/",
      stdio: ["pipe", "pipe", "pipe"],
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    child.once("error", reject);
    child.once("close", (code) =>
      resolve({ code, stdout: Buffer.concat(out).toString("utf8"), stderr: Buffer.concat(err).toString("utf8") }),
    );
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
  });
}

export async function must(
  command: string,
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly input?: string } = {},
): Promise<string> {
  const outcome = await run(command, args, options);
  if (outcome.code !== 0)
    throw new Error(`${command} ${args.join(" ")} ended with ${outcome.code}: ${outcome.stderr.slice(-2_000)}`);
  return outcome.stdout;
}
