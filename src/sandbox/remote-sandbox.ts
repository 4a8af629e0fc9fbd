import { type Output, OutputStream, type SandboxRequest, type SandboxResponse } from "../api/gen/sandbox/v1/sandbox_pb.ts";
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

/** What a job had still said is shown for so long to a reader who has gone, or whose job was contained. */
const lastWords: Duration = 500;

/** A reader who takes nothing of a dead job's output for so long is taken for gone. */
const patience: Duration = 300_000;

/** One sandbox in sandboxd, through one stream. Answers come in the order of the commands. */
export class RemoteSandbox implements Sandbox {
  readonly #line: Line;
  readonly #clock: Clock;
  readonly #commands = new Channel<SandboxRequest>();
  readonly #waiting: Waiting[] = [];
  readonly #exit = deferred<Exit>();
  readonly #outputEnded = deferred<void>();
  /** Resolves when what came so far was shown. */
  #shown: Promise<void> = Promise.resolve();
  #shownCount = 0;
  #isUnread = false;
  #drained: Promise<void> | undefined;
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
    const cancel = () => this.#tell({ case: "cancel", value: {} });
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

  drained(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async freeze(): Promise<void> {
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
    const asked = this.#ask("removed", { case: "remove", value: {} }).then(
      () => true,
      () => false,
    );
    const answered = await within(this.#clock, 900, asked, () => false);
    this.#break(new BrokerError("sandbox-failed", "the sandbox was removed"));
    if (answered && this.#streams !== undefined) void this.drained().then(() => this.#close());
    else this.#close();
  }

  #close(): void {
    this.#isUnread = true;
    this.#commands.end();
    this.#line[Symbol.dispose]();
  }

  async #drain(): Promise<void> {
    const done = new AbortController();
    const all = this.#outputEnded.promise.then(() => this.#shown);
    await Promise.race([all, this.#abandoned(done.signal)]);
    this.#isUnread = true;
    done.abort();
  }

  /** Resolves when nobody can be expected to read any more, or it is `done`. */
  async #abandoned(done: AbortSignal): Promise<void> {
    const gone = this.#streams?.signal ?? AbortSignal.abort();
    const either = AbortSignal.any([gone, done]);
    for (let seen = -1; !either.aborted && seen !== this.#shownCount; ) {
      seen = this.#shownCount;
      await this.#clock.sleep(patience, either).catch(() => undefined);
    }
    if (gone.aborted) await this.#clock.sleep(lastWords, done).catch(() => undefined);
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
      for await (const { event } of this.#line.client.sandbox(this.#commands)) this.#hear(event);
      this.#break(new BrokerError("sandbox-failed", "sandboxd ended the sandbox"));
    } catch (cause) {
      this.#break(new BrokerError("sandbox-failed", "the connection to sandboxd broke", { detail: String(cause), cause }));
    } finally {
      this.#outputEnded.resolve();
    }
  }

  #hear(event: Event): void {
    switch (event.case) {
      case "output":
        return this.#print(event.value);
      case "outputEnded":
        return this.#outputEnded.resolve();
      case "exited":
        return this.#exit.resolve(exitOf(event.value));
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

  /** What comes after it is heard meanwhile; sandboxd sends few messages that were not acknowledged, so few are held here. */
  #print(output: Output): void {
    this.#shown = this.#shown.then(() => this.#show(output));
  }

  /** A reader that fails, as one that went away does, is not waited for again. */
  async #show({ stream, chunk }: Output): Promise<void> {
    try {
      if (!this.#isUnread) await this.#streams?.output(stream === OutputStream.STDERR ? "stderr" : "stdout", chunk);
    } catch {
      this.#isUnread = true;
    }
    this.#shownCount += 1;
    this.#tell({ case: "outputTaken", value: {} });
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

  #break(error: BrokerError): void {
    this.#broken ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.#exit.reject(error);
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
