import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import type { DeliveredFile } from "../delivery/delivery.ts";
import { BrokerError } from "../errors.ts";
import type { MaskSet } from "../masking/masker.ts";
import type { Secret } from "../secret.ts";
import { type Duration, within } from "../time.ts";
import type { Host } from "./host.ts";
import type { OutputWindow } from "./output-window.ts";
import { type Reservation, reserve } from "./reservation.ts";
import { complaintOf, startRun } from "./runtime.ts";
import type { Exit, SandboxPlan } from "./sandbox.ts";
import { JobPipes } from "./streams.ts";

/** Why a job was ended by us; the first reason stands. */
type Ended = "timeout" | "cancelled" | "killed";

/** What runtimes exit with when they fail themselves; with any other, a complaint was about cleaning up after the job. */
const runtimeCodes: ReadonlySet<number> = new Set([1, 125, 126, 127, 255]);

const cancelGrace: Duration = 500;

/** For what the pipes of a dead job still hold, which takes a moment; longer only where a process outside keeps one open. */
const lastRead: Duration = 400;

const runtimeWatch: Duration = 200;

/** How long a runtime may outlive its job: to clean up, and to tell the exit code where that matters. */
const runtimePatience: { readonly exit: Duration; readonly end: Duration } = { exit: 5_000, end: 500 };

/** One sandbox, in sandboxd. Disposing of it kills, wipes and removes, whatever state it is in. */
export class Job implements AsyncDisposable {
  readonly #plan: SandboxPlan;
  readonly #host: Host;
  readonly #reservation: Reservation;
  readonly #secrets: MaskSet;
  readonly #over = new AbortController();
  #runtime: ChildProcess | undefined;
  #pipes: JobPipes | undefined;
  #output: OutputWindow | undefined;
  #exit: Promise<unknown> = Promise.resolve();
  #pumping: Promise<void> = Promise.resolve();
  #unmasked: BrokerError | undefined;
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

  /** Throws at once where it cannot be started; resolves as soon as the process ended, whatever of its output is still under way. */
  run(output: OutputWindow): Promise<Exit> {
    return this.#attend(this.#start(), output);
  }

  async #attend(pipes: JobPipes, output: OutputWindow): Promise<Exit> {
    const exit = exitOf(this.#runtime);
    this.#exit = exit;
    this.#output = output;
    this.#pumping = this.#pumpBoth(pipes, output);
    void this.#watchTimeout();
    void this.#watchRuntime(output);
    try {
      return this.#verdict(await exit);
    } finally {
      this.#over.abort();
      output.release();
    }
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

  async #pumpBoth(pipes: JobPipes, output: OutputWindow): Promise<void> {
    await Promise.all([this.#pump(pipes.stdout, "stdout", output), this.#pump(pipes.stderr, "stderr", output)]);
    output.end();
  }

  /** What cannot be masked is not shown, and a job that still runs is ended for it. */
  async #pump(socket: Socket, stream: "stdout" | "stderr", output: OutputWindow): Promise<void> {
    try {
      const masker = this.#secrets.masker();
      for await (const chunk of chunksOf(socket)) await output.put(stream, masker.write(chunk));
      await output.put(stream, masker.end());
    } catch (cause) {
      socket.destroy();
      this.#unmasked ??= new BrokerError("sandbox-failed", undefined, { detail: String(cause), cause });
      if (this.#removal === undefined) this.#kill();
    }
  }

  async #watchTimeout(): Promise<void> {
    try {
      await this.#host.clock.sleep(this.#plan.isolation.timeout, this.#over.signal);
    } catch {
      return;
    }
    await this.#end("timeout", this.#host.config.grace);
  }

  /**
   * runc copies a job's output itself and ends only once it is all read: where nothing of the job is left but runc, it is read. A
   * process outside that was handed the job's end of that pipe would keep runc for ever.
   */
  async #watchRuntime(output: OutputWindow): Promise<void> {
    const { clock } = this.#host;
    for (let lived: Duration | undefined; !this.#over.signal.aborted; ) {
      const isEmpty = this.#reservation.cgroup.isEmpty();
      if (isEmpty && output.isFull) output.release();
      lived = isEmpty ? (lived ?? this.#endedAt) : clock.monotonic();
      if (lived !== undefined && clock.monotonic() - lived > this.#runtimePatience) this.#runtime?.kill("SIGKILL");
      await clock.sleep(runtimeWatch, this.#over.signal).catch(() => undefined);
    }
  }

  /** A job that was ended may have been too short to be seen alive. */
  get #endedAt(): Duration | undefined {
    return this.#ended === undefined ? undefined : this.#host.clock.monotonic();
  }

  get #runtimePatience(): Duration {
    return this.#ended === undefined ? runtimePatience.exit : runtimePatience.end;
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
    if (this.#unmasked !== undefined) throw this.#unmasked;
    const { cgroup } = this.#reservation;
    const exit = { code, peakMemory: cgroup.peakMemory() };
    if (this.#ended !== undefined) return { kind: this.#ended, ...exit };
    if (code === 137 && cgroup.ranOutOfMemory()) return { kind: "oom", ...exit };
    const complaint = runtimeCodes.has(code) ? complaintOf(`${this.#reservation.bundle}/log`) : "";
    if (complaint !== "") throw new BrokerError("sandbox-failed", undefined, { detail: complaint });
    return { kind: "exited", ...exit };
  }

  async #remove(): Promise<void> {
    this.#frozen = true;
    this.#ended ??= "killed";
    this.#kill();
    this.#reservation.credentials.wipe();
    this.#output?.release();
    await this.#awaitRuntime();
    this.#over.abort();
    await within(this.#host.clock, lastRead, this.#pumping, () => undefined);
    this.#pipes?.destroy();
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
