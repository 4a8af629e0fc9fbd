import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import type { DeliveredFile } from "../delivery/delivery.ts";
import { BrokerError } from "../errors.ts";
import type { MaskSet } from "../masking/masker.ts";
import type { Secret } from "../secret.ts";
import type { Duration } from "../time.ts";
import type { Host } from "./host.ts";
import { type Reservation, reserve } from "./reservation.ts";
import { complaintOf, startRun } from "./runtime.ts";
import type { Exit, SandboxPlan } from "./sandbox.ts";
import { JobPipes } from "./streams.ts";

/** Masked output on its way to `serve`; awaited, so that a slow reader slows the job and fills no buffer. */
export type Output = (stream: "stdout" | "stderr", chunk: Uint8Array) => Promise<void>;

/** Why a job was ended by us; the first reason stands. */
type Ended = "timeout" | "cancelled" | "killed";

/** What runtimes exit with when they fail themselves; with any other, a complaint was about cleaning up after the job. */
const runtimeCodes: ReadonlySet<number> = new Set([1, 125, 126, 127, 255]);

const cancelGrace: Duration = 500;

/** One sandbox, in sandboxd. Disposing of it kills, wipes and removes, whatever state it is in. */
export class Job implements AsyncDisposable {
  readonly #plan: SandboxPlan;
  readonly #host: Host;
  readonly #reservation: Reservation;
  readonly #secrets: MaskSet;
  readonly #over = new AbortController();
  #runtime: ChildProcess | undefined;
  #pipes: JobPipes | undefined;
  #exit: Promise<unknown> = Promise.resolve();
  #ended: Ended | undefined;
  #frozen = false;
  #removal: Promise<void> | undefined;

  private constructor(plan: SandboxPlan, host: Host, reservation: Reservation) {
    this.#plan = plan;
    this.#host = host;
    this.#reservation = reservation;
    this.#secrets = host.rooms.createMaskSet();
  }

  static async open(plan: SandboxPlan, host: Host): Promise<Job> {
    return new Job(plan, host, await reserve(plan, host));
  }

  get tolerated(): readonly string[] {
    return this.#reservation.tolerated;
  }

  arm(secrets: readonly Secret[]): void {
    this.#secrets.add(secrets);
  }

  deliver(files: readonly DeliveredFile[]): void {
    if (this.#frozen) throw new BrokerError("delivery-failed", "the sandbox is frozen, so nothing more is delivered to it");
    this.#reservation.credentials.deliver(files);
  }

  /** Throws at once where it cannot be started; resolves once the process ended and both of its streams were read to their end. */
  run(output: Output): Promise<Exit> {
    return this.#attend(this.#start(), output);
  }

  async #attend(pipes: JobPipes, output: Output): Promise<Exit> {
    const exit = exitOf(this.#runtime);
    this.#exit = exit;
    void this.#watchTimeout();
    const pumps = [this.#pump(pipes.stdout, "stdout", output), this.#pump(pipes.stderr, "stderr", output)];
    const code = await exit;
    this.#over.abort();
    await Promise.all(pumps);
    return this.#verdict(code);
  }

  /** The job's standard input; undefined before it started. */
  get stdin(): Socket | undefined {
    return this.#pipes?.stdin;
  }

  /** To the job's first process and its group, through the runtime and the init. */
  signal(name: NodeJS.Signals): void {
    this.#runtime?.kill(name);
  }

  cancel(): Promise<void> {
    return this.#end("cancelled", cancelGrace);
  }

  async freeze(): Promise<void> {
    this.#frozen = true;
    this.#ended ??= "killed";
    await this.#reservation.cgroup.freeze();
  }

  remove(): Promise<void> {
    this.#removal ??= this.#remove();
    return this.#removal;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }

  #start(): JobPipes {
    if (this.#runtime !== undefined || this.#frozen)
      throw new BrokerError("sandbox-failed", "the sandbox was started already, or is frozen");
    const { bundle, user } = this.#reservation;
    const pipes = new JobPipes(user);
    this.#pipes = pipes;
    const run = { id: this.#plan.id, bundle, state: `${bundle}/state`, log: `${bundle}/log`, stdio: pipes.inherited };
    this.#runtime = startRun(this.#host.runtime, run);
    pipes.closeInherited();
    return pipes;
  }

  async #pump(socket: Socket, stream: "stdout" | "stderr", output: Output): Promise<void> {
    const masker = this.#secrets.masker();
    for await (const chunk of chunksOf(socket)) await emit(masker.write(chunk), stream, output);
    if (this.#removal === undefined) await emit(masker.end(), stream, output);
  }

  async #watchTimeout(): Promise<void> {
    try {
      await this.#host.clock.sleep(this.#plan.isolation.timeout, this.#over.signal);
    } catch {
      return;
    }
    await this.#end("timeout", this.#host.config.grace);
  }

  /** TERM, and KILL after the grace. A frozen job hears no TERM, but the KILL reaches it. */
  async #end(why: Ended, grace: Duration): Promise<void> {
    this.#ended ??= why;
    this.signal("SIGTERM");
    try {
      await this.#host.clock.sleep(grace, this.#over.signal);
    } catch {
      return;
    }
    this.#kill();
  }

  #kill(): void {
    this.#reservation.cgroup.kill();
  }

  #verdict(code: number): Exit {
    if (this.#ended !== undefined) return { kind: this.#ended, code };
    if (code === 137 && this.#reservation.cgroup.ranOutOfMemory()) return { kind: "oom", code };
    const complaint = runtimeCodes.has(code) ? complaintOf(`${this.#reservation.bundle}/log`) : "";
    if (complaint !== "") throw new BrokerError("sandbox-failed", undefined, { detail: complaint });
    return { kind: "exited", code };
  }

  async #remove(): Promise<void> {
    this.#frozen = true;
    this.#ended ??= "killed";
    this.#kill();
    this.#reservation.credentials.wipe();
    this.#pipes?.destroy();
    await this.#awaitRuntime();
    this.#over.abort();
    this.#secrets.wipe();
    await this.#reservation[Symbol.asyncDispose]();
  }

  /** A runtime that is still setting up has no group yet, so the kill is repeated until it is gone; at last it goes itself. */
  async #awaitRuntime(): Promise<void> {
    const gone = this.#exit.then(() => true);
    for (let tries = 0; tries < 20; tries += 1) {
      if (await Promise.race([gone, this.#host.clock.sleep(20).then(() => false)])) return;
      this.#kill();
      if (tries > 5) this.#runtime?.kill("SIGKILL");
    }
  }
}

async function exitOf(child: ChildProcess | undefined): Promise<number> {
  if (child === undefined) return 1;
  const failed = once(child, "error").then(([error]) =>
    Promise.reject(new BrokerError("sandbox-failed", undefined, { detail: String(error) })),
  );
  failed.catch(() => undefined);
  const exited = once(child, "exit").then(([value]: unknown[]) => value);
  const code = await Promise.race([exited, failed]);
  return typeof code === "number" ? code : 137;
}

/** A stream that was destroyed by `remove` has ended; what it still held is not shown. */
async function* chunksOf(socket: Socket): AsyncGenerator<Uint8Array> {
  try {
    const chunks: AsyncIterable<Uint8Array> = socket;
    yield* chunks;
  } catch {
    socket.destroy();
  }
}

async function emit(chunk: Uint8Array, stream: "stdout" | "stderr", output: Output): Promise<void> {
  if (chunk.length > 0) await output(stream, chunk);
}
