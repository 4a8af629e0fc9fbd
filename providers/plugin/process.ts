import { type ChildProcessByStdio, spawn } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { toJson } from "@bufbuild/protobuf";
import { type Start, StartSchema } from "../../src/api/gen/mayfly/provider/v1/provider_pb.ts";
import { BrokerError } from "../../src/errors.ts";
import type { Lodging } from "../../src/lease/provider.ts";
import type { Clock, Duration } from "../../src/time.ts";
import { type Command, launchOf } from "./binary.ts";
import type { Output } from "./output.ts";

/** The pause before it is started again doubles with each death; one that lived longer than the longest pause starts anew. */
const shortestPause: Duration = 100;
const longestPause: Duration = 30_000;

/** How long it may take to end once its standard input did; then it is killed. */
const grace: Duration = 2_000;

/** `sun_path` of unix(7), without its closing zero. */
const longestSocket = 107;

export interface ProcessParts {
  readonly command: Command;
  /** What it is told at its start, but for what is known here. */
  readonly start: Omit<Start, "$typeName" | "socket" | "provider">;
  readonly lodging: Lodging;
  readonly output: Output;
  readonly clock: Clock;
}

interface Child {
  readonly process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly startedAt: number;
}

/**
 * The plug-in's process, started when somebody first asks for it, and again when it has died: at the next question, and not before a
 * pause that grows with each death. It ends with the broker, in three ways: its input ends, its group is killed, and where the broker
 * was killed itself, the kernel kills it.
 */
export class PluginProcess {
  readonly #parts: ProcessParts;
  readonly #socket: string;
  #child: Child | undefined;
  #deaths = 0;
  #lastDeath = "";
  /** By the monotonic clock. */
  #mayStartAt = 0;

  constructor(parts: ProcessParts) {
    this.#parts = parts;
    const { folder, ends } = parts.lodging;
    this.#socket = join(folder, "socket");
    if (Buffer.byteLength(this.#socket) > longestSocket)
      throw new BrokerError("config-invalid", `${this.#socket} is too long for a socket's path`, {
        hint: "move `run` in mayfly.yaml",
      });
    // What a broker left that was killed: this one holds the ledger, so that one is gone.
    rmSync(folder, { recursive: true, force: true });
    ends.addEventListener("abort", () => this.#end(), { once: true });
  }

  /** Where a living process listens, or soon will. Rejects with `provider-unavailable` where there is none, and none can be started in time. */
  async socket(patience: Duration, signal: AbortSignal): Promise<string> {
    await this.#awaitTurn(patience, signal);
    const { ends } = this.#parts.lodging;
    if (signal.aborted || ends.aborted) throw unreached(ends.aborted ? "the broker ends" : "told to stop");
    this.#child ??= this.#start();
    return this.#socket;
  }

  async #awaitTurn(patience: Duration, signal: AbortSignal): Promise<void> {
    if (this.#child !== undefined) return;
    const { clock } = this.#parts;
    const pause = this.#mayStartAt - clock.monotonic();
    if (pause > patience)
      throw unreached(
        `it died ${this.#deaths} times in a row, last with ${this.#lastDeath}, and is started again in ${Math.ceil(pause / 1_000)} s`,
      );
    if (pause > 0) await clock.sleep(pause, signal).catch(() => undefined);
  }

  #start(): Child {
    const { output, clock } = this.#parts;
    const process = this.#spawn();
    const child = { process, startedAt: clock.monotonic() };
    process.once("error", (error) => this.#died(child, error.message));
    process.once("exit", (code, signal) => this.#died(child, code === null ? String(signal) : `exit code ${code}`));
    // It may be dead before it has read a word.
    process.stdin.on("error", () => undefined);
    process.stdin.write(`${JSON.stringify(this.#greeting())}\n`);
    output.listen("stdout", process.stdout);
    output.listen("stderr", process.stderr);
    return child;
  }

  #spawn(): Child["process"] {
    const { command, lodging } = this.#parts;
    try {
      const { file, args, options } = launchOf(command, "serve");
      rmSync(lodging.folder, { recursive: true, force: true });
      mkdirSync(lodging.folder, { recursive: true, mode: 0o700 });
      return spawn(file, args, { ...options, stdio: ["pipe", "pipe", "pipe"] });
    } catch (error) {
      throw unreached(error instanceof Error ? error.message : "it could not be started");
    }
  }

  #greeting(): unknown {
    const { start, lodging } = this.#parts;
    return toJson(StartSchema, { $typeName: StartSchema.typeName, ...start, provider: lodging.name, socket: this.#socket });
  }

  #died(child: Child, how: string): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    endGroup(child.process.pid);
    const { lodging, clock } = this.#parts;
    rmSync(lodging.folder, { recursive: true, force: true });
    const lived = clock.monotonic() - child.startedAt;
    if (lodging.ends.aborted) return;
    this.#lastDeath = how;
    const pause = this.#pauseAfter(lived);
    lodging.log.warn({ provider: lodging.name, how, lived, pause, deaths: this.#deaths }, "a provider's process died");
  }

  #pauseAfter(lived: Duration): Duration {
    this.#deaths = lived > longestPause ? 1 : this.#deaths + 1;
    const pause = Math.min(shortestPause * 2 ** (this.#deaths - 1), longestPause);
    this.#mayStartAt = this.#parts.clock.monotonic() + pause;
    return pause;
  }

  #end(): void {
    const child = this.#child;
    if (child === undefined) return;
    child.process.stdin.end();
    const over = new AbortController();
    child.process.once("exit", () => over.abort());
    void this.#parts.clock.sleep(grace, over.signal).then(
      () => endGroup(child.process.pid),
      () => undefined,
    );
  }
}

/** Certainly nothing happened, and waiting does not help. */
export function unreached(why: string): BrokerError {
  return new BrokerError("provider-unavailable", undefined, {
    detail: `the provider's process was not reached: ${why}`,
    hint: "the broker's log has what it printed",
  });
}

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // Nothing of it is left.
  }
}
