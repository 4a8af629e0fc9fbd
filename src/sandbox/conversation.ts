import { z } from "zod";
import { OutputStream, type SandboxRequest, type SandboxResponse } from "../api/gen/sandbox/v1/sandbox_pb.ts";
import type { DeliveredFile } from "../delivery/delivery.ts";
import { BrokerError } from "../errors.ts";
import { Secret } from "../secret.ts";
import type { Channel } from "./channel.ts";
import type { Host } from "./host.ts";
import { Job } from "./job.ts";
import { exitedOf, failureOf, planOf, response } from "./messages.ts";
import { OutputWindow } from "./output-window.ts";

type Command = SandboxRequest["command"];
type Case<Name extends Command["case"]> = Extract<Command, { case: Name }>;

const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;
const fileName = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/);

/** One stream's side of the talk in sandboxd: commands in, answers out. Disposing of it removes its sandbox. */
export class Conversation implements AsyncDisposable {
  readonly #host: Host;
  readonly #events: Channel<SandboxResponse>;
  #job: Job | undefined;
  #output: OutputWindow | undefined;
  #lingering: Disposable | undefined;
  #feeding = false;

  constructor(host: Host, events: Channel<SandboxResponse>) {
    this.#host = host;
    this.#events = events;
  }

  /** Answers one command; whatever goes wrong is the answer, never an exception. */
  async handle(command: Command): Promise<void> {
    try {
      await this.#carryOut(command);
    } catch (error) {
      this.#answer({ case: "failure", value: failureOf(error) });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#job?.remove();
    this.#lingering?.[Symbol.dispose]();
  }

  async #carryOut(command: Command): Promise<void> {
    switch (command.case) {
      case "open":
        return this.#open(command);
      case "arm":
        return this.#arm(command);
      case "deliver":
        return this.#deliver(command);
      case "start":
        return this.#start();
      case "stdin":
        return this.#feed(command.value);
      case "freeze":
        await this.#opened.freeze();
        return this.#answer({ case: "frozen", value: {} });
      case "remove":
        return this.#remove();
      default:
        return this.#touch(command);
    }
  }

  /** What is not answered. */
  #touch(command: Case<"stdinEnd" | "signal" | "cancel" | "outputTaken" | undefined>): void {
    switch (command.case) {
      case "outputTaken":
        return this.#output?.taken();
      case "stdinEnd":
        this.#opened.stdin?.end();
        return;
      case "signal":
        return this.#opened.signal(z.enum(signals).parse(command.value.name));
      case "cancel":
        void this.#opened.cancel();
        return;
      case undefined:
        throw new BrokerError("usage", "a message without a command");
    }
  }

  get #opened(): Job {
    if (this.#job === undefined) throw new BrokerError("usage", "no sandbox was opened on this stream");
    return this.#job;
  }

  async #open({ value }: Case<"open">): Promise<void> {
    if (this.#job !== undefined) throw new BrokerError("usage", "a sandbox was opened on this stream already");
    this.#job = await Job.open(planOf(value), this.#host);
    this.#answer({ case: "opened", value: { tolerated: [...this.#job.tolerated] } });
  }

  #arm({ value }: Case<"arm">): void {
    const secrets = value.values.map(taken);
    try {
      this.#opened.arm(secrets);
    } finally {
      for (const secret of secrets) secret.wipe();
    }
    this.#answer({ case: "armed", value: {} });
  }

  #deliver({ value }: Case<"deliver">): void {
    const files = value.files.map(({ credential, name, content }): DeliveredFile => {
      if (fileName.safeParse(credential).success && fileName.safeParse(name).success)
        return { credential, name, content: taken(content) };
      throw new BrokerError("delivery-failed", "a credential or one of its files has a name that cannot be a file's");
    });
    try {
      this.#opened.deliver(files);
    } finally {
      for (const { content } of files) if (content instanceof Secret) content.wipe();
    }
    this.#answer({ case: "delivered", value: {} });
  }

  /** The job is gone; what it had printed may stay until the stream ends, and counts until then. */
  async #remove(): Promise<void> {
    await this.#job?.remove();
    if (this.#output !== undefined) this.#lingering ??= this.#host.slots.linger();
    this.#answer({ case: "removed", value: {} });
  }

  #start(): void {
    const output = new OutputWindow({
      send: (stream, chunk) => {
        const from = stream === "stdout" ? OutputStream.STDOUT : OutputStream.STDERR;
        this.#answer({ case: "output", value: { stream: from, chunk } });
      },
      end: () => this.#answer({ case: "outputEnded", value: {} }),
    });
    const run = this.#opened.run(output);
    this.#output = output;
    this.#answer({ case: "started", value: {} });
    void run.then(
      (exit) => this.#answer({ case: "exited", value: exitedOf(exit) }),
      (error: unknown) => this.#answer({ case: "runFailure", value: failureOf(error) }),
    );
  }

  /** Not awaited by the next command: a job that does not read its stdin holds up nothing but its stdin. */
  #feed(chunk: Uint8Array): void {
    if (this.#feeding || chunk.length > 65_536) throw new BrokerError("usage", "more was sent to stdin than was asked for");
    const stdin = this.#opened.stdin;
    this.#feeding = true;
    const done = () => {
      this.#feeding = false;
      this.#answer({ case: "stdinTaken", value: {} });
    };
    if (stdin?.writable === true) stdin.write(chunk, done);
    else done();
  }

  /** Not waited for: answers are small and few, and of output there is never more than its window. */
  #answer(event: Parameters<typeof response>[0]): void {
    void this.#events.send(response(event));
  }
}

/** Our own copy; what the message held is overwritten. */
function taken(bytes: Uint8Array): Secret {
  const secret = Secret.of(bytes);
  bytes.fill(0);
  return secret;
}
