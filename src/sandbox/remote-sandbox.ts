import { OutputStream, type SandboxRequest, type SandboxResponse } from "../api/gen/sandbox/v1/sandbox_pb.ts";
import type { DeliveredFile } from "../delivery/delivery.ts";
import { asBrokerError, BrokerError } from "../errors.ts";
import { Secret } from "../secret.ts";
import { type Clock, type Duration, within } from "../time.ts";
import { Channel } from "./channel.ts";
import type { Line } from "./client.ts";
import { deferred } from "./deferred.ts";
import { errorOf, exitOf, openOf, request } from "./messages.ts";
import type { Exit, JobStreams, Sandbox, SandboxPlan } from "./sandbox.ts";

type Event = SandboxResponse["event"];
type Answer = "opened" | "armed" | "delivered" | "started" | "frozen" | "removed" | "stdinTaken";

interface Waiting {
  readonly answer: Answer;
  resolve(event: Event): void;
  reject(error: BrokerError): void;
}

const chunkSize = 65_536;

/** What a job still says once it was told to end is shown for so long; sandboxd kills it after half a second. */
const lastWords: Duration = 600;

/** One sandbox in sandboxd, through one stream. Answers come in the order of the commands. */
export class RemoteSandbox implements Sandbox {
  readonly #line: Line;
  readonly #clock: Clock;
  readonly #commands = new Channel<SandboxRequest>();
  readonly #waiting: Waiting[] = [];
  /** Resolved when nobody waits for output any more: then what still comes is read and dropped, so that answers get through. */
  readonly #quiet = deferred<void>();
  #isQuiet = false;
  readonly #exit = deferred<Exit>();
  #streams: JobStreams | undefined;
  #tolerated: readonly string[] = [];
  #broken: BrokerError | undefined;
  #removal: Promise<void> | undefined;

  constructor(line: Line, clock: Clock) {
    this.#line = line;
    this.#clock = clock;
    this.#exit.promise.catch(() => undefined);
    void this.#listen();
  }

  get tolerated(): readonly string[] {
    return this.#tolerated;
  }

  async open(plan: SandboxPlan): Promise<void> {
    const event = await this.#ask("opened", { case: "open", value: openOf(plan) });
    this.#tolerated = event.case === "opened" ? event.value.tolerated : [];
  }

  async arm(secrets: readonly Secret[]): Promise<void> {
    const values = secrets.map((secret) => secret.use((bytes) => Uint8Array.from(bytes)));
    await this.#ask("armed", { case: "arm", value: { values } }).finally(() => wipe(values));
  }

  async deliver(files: readonly DeliveredFile[]): Promise<void> {
    const copies = files.map((file) => ({ credential: file.credential, name: file.name, content: bytesOf(file.content) }));
    await this.#ask("delivered", { case: "deliver", value: { files: copies } }).finally(() =>
      wipe(copies.map((copy) => copy.content)),
    );
  }

  async run(streams: JobStreams): Promise<Exit> {
    this.#streams = streams;
    await this.#ask("started", { case: "start", value: {} });
    const over = new AbortController();
    const cancel = () => {
      this.#tell({ case: "cancel", value: {} });
      // A reader that has stalled must not keep a job that was ended, and with it its credentials, from its end.
      void this.#clock.sleep(lastWords, over.signal).then(
        () => this.#hush(),
        () => undefined,
      );
    };
    streams.signal.addEventListener("abort", cancel, { signal: over.signal, once: true });
    if (streams.signal.aborted) cancel();
    void this.#feedStdin(streams.stdin, over.signal);
    void this.#passSignals(streams.signals, over.signal);
    try {
      return await this.#exit.promise;
    } finally {
      over.abort();
    }
  }

  async freeze(): Promise<void> {
    this.#hush();
    await this.#ask("frozen", { case: "freeze", value: {} });
  }

  /** sandboxd itself ends what it cannot answer for in time: the stream's end says the same. */
  remove(): Promise<void> {
    this.#removal ??= this.#remove();
    return this.#removal;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }

  async #remove(): Promise<void> {
    this.#hush();
    const removed = this.#ask("removed", { case: "remove", value: {} }).catch(() => undefined);
    await within(this.#clock, 900, removed, () => undefined);
    this.#commands.end();
    this.#break(new BrokerError("sandbox-failed", "the sandbox was removed"));
    this.#line[Symbol.dispose]();
  }

  async #ask(answer: Answer, command: Parameters<typeof request>[0]): Promise<Event> {
    if (this.#broken !== undefined) throw this.#broken;
    const { promise, resolve, reject } = deferred<Event>();
    this.#waiting.push({ answer, resolve, reject });
    this.#tell(command);
    return promise;
  }

  #tell(command: Parameters<typeof request>[0]): void {
    void this.#commands.send(request(command));
  }

  async #listen(): Promise<void> {
    try {
      for await (const { event } of this.#line.client.sandbox(this.#commands)) await this.#hear(event);
      this.#break(new BrokerError("sandbox-failed", "sandboxd ended the sandbox"));
    } catch (cause) {
      this.#break(new BrokerError("sandbox-failed", "the connection to sandboxd broke", { detail: String(cause), cause }));
    }
  }

  async #hear(event: Event): Promise<void> {
    switch (event.case) {
      case "output":
        return this.#show(event.value.stream === OutputStream.STDERR ? "stderr" : "stdout", event.value.chunk);
      case "exited":
        return this.#exit.resolve(exitOf(event.value.kind, event.value.code));
      case "runFailure":
        return this.#exit.reject(errorOf(event.value));
      case "failure":
        return this.#refused(errorOf(event.value));
      case undefined:
        return undefined;
      default:
        return this.#answered(event);
    }
  }

  #answered(event: Event): void {
    const index = this.#waiting.findIndex(({ answer }) => answer === event.case);
    this.#waiting.splice(index, 1)[0]?.resolve(event);
  }

  /** Only a command that is answered in its turn can be refused; stdin is answered when the job took it. */
  #refused(error: BrokerError): void {
    const index = this.#waiting.findIndex(({ answer }) => answer !== "stdinTaken");
    this.#waiting.splice(index, 1)[0]?.reject(error);
  }

  /** A reader that fails, as one that went away does, is not waited for again. */
  async #show(stream: "stdout" | "stderr", chunk: Uint8Array): Promise<void> {
    if (this.#streams === undefined || this.#isQuiet) return;
    const shown = this.#streams.output(stream, chunk).catch(() => this.#hush());
    await Promise.race([shown, this.#quiet.promise]);
  }

  async #feedStdin(stdin: AsyncIterable<Uint8Array>, over: AbortSignal): Promise<void> {
    try {
      for await (const bytes of stdin) {
        for (let from = 0; from < bytes.length && !over.aborted; from += chunkSize) {
          await this.#ask("stdinTaken", { case: "stdin", value: bytes.slice(from, from + chunkSize) });
        }
        if (over.aborted) return;
      }
    } catch (error) {
      if (over.aborted || asBrokerError(error).code !== "internal") return;
    }
    this.#tell({ case: "stdinEnd", value: {} });
  }

  async #passSignals(signals: JobStreams["signals"], over: AbortSignal): Promise<void> {
    try {
      for await (const name of signals) {
        if (over.aborted) return;
        this.#tell({ case: "signal", value: { name } });
      }
    } catch {
      // The client is gone, which `streams.signal` says as well.
    }
  }

  #hush(): void {
    this.#isQuiet = true;
    this.#quiet.resolve();
  }

  #break(error: BrokerError): void {
    this.#broken ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.#exit.reject(error);
    this.#hush();
  }
}

function bytesOf(content: string | Secret): Uint8Array<ArrayBuffer> {
  return content instanceof Secret
    ? content.use((bytes) => Uint8Array.from(bytes))
    : Uint8Array.from(Buffer.from(content, "utf8"));
}

function wipe(copies: readonly Uint8Array[]): void {
  for (const copy of copies) copy.fill(0);
}
