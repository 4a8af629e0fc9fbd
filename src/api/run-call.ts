import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { BrokerError } from "../errors.ts";
import type { Secret } from "../secret.ts";
import type { Instant } from "../time.ts";
import type { OpenClient } from "./client.ts";
import type {
  BrokerService,
  RunAccepted,
  RunRequestSchema,
  RunResponse,
  RunResult,
  RunStartSchema,
} from "./gen/mayfly/v1/broker_pb.ts";
import { limits } from "./limits.ts";
import { Outbox } from "./outbox.ts";
import type { JobSignal } from "./pending-signals.ts";
import { signals } from "./run-messages.ts";

type Request = MessageInitShape<typeof RunRequestSchema>;

/** The runner's side of a run. */
export interface Runner {
  readonly stdin: AsyncIterable<Uint8Array>;
  /** Hears of every signal that the runner is sent, until `stop` is aborted. */
  onSignal(send: (signal: JobSignal) => void, stop: AbortSignal): void;
  accepted(run: RunAccepted): void;
  /** Awaited before more is read, so that a slow reader slows the job. */
  output(stream: "stdout" | "stderr", chunk: Uint8Array): Promise<void>;
  /** Another identity token of the same CI job, needed by then. Rejects where there is none; the broker asks again. */
  freshToken(before: Instant): Promise<Secret>;
  /** Aborting it ends the job. */
  readonly signal: AbortSignal;
}

/** Stays well below the limit of one message. */
const chunkSize = 32 * 1024;

/** Starts the run and stays with it to its end. Rejects with what the broker refused it for. */
export async function callRun(
  client: OpenClient<typeof BrokerService>,
  start: MessageInitShape<typeof RunStartSchema>,
  runner: Runner,
): Promise<RunResult> {
  const over = new AbortController();
  const requests = new Outbox<Request>();
  const sending = new Sending(requests, runner);
  void requests.put({ message: { case: "start", value: start } });
  try {
    for await (const { message } of client.call.run(requests, { signal: runner.signal })) {
      if (message.case === "accepted") sending.begin(over.signal);
      if (message.case === "result") {
        await sending.written();
        return message.value;
      }
      await sending.hear(message);
    }
  } finally {
    over.abort();
    requests.drop();
    requests.close();
  }
  throw new BrokerError("broker-unreachable", "the broker ended the run without a result");
}

/** What the runner sends once its run stands: stdin within the window, and signals past it. */
class Sending {
  readonly #requests: Outbox<Request>;
  readonly #runner: Runner;
  #underway = 0;
  #writing: Promise<void> = Promise.resolve();
  #unwritten = 0;
  #room: () => void = () => undefined;

  constructor(requests: Outbox<Request>, runner: Runner) {
    this.#requests = requests;
    this.#runner = runner;
  }

  begin(stop: AbortSignal): void {
    this.#runner.onSignal((signal) => void this.#requests.put({ message: { case: "signal", value: signals[signal] } }), stop);
    stop.addEventListener("abort", () => this.#room(), { once: true });
    // Where our own stdin breaks, or is closed because the run is over, the job's ends as well.
    this.#stdin(stop).catch(() => undefined);
  }

  async hear(message: RunResponse["message"]): Promise<void> {
    switch (message.case) {
      case "accepted":
        return this.#runner.accepted(message.value);
      case "stdout":
      case "stderr":
        return this.#write(message.case, message.value);
      case "stdinTaken":
        this.#underway -= message.value;
        return this.#room();
      case "tokenNeeded":
        // Not awaited: output goes on meanwhile.
        return void this.#renew(message.value.before === undefined ? 0 : timestampMs(message.value.before));
      case "result":
      case undefined:
        return undefined;
    }
  }

  /** Resolves when all output that was heard is written. */
  async written(): Promise<void> {
    await this.#writing;
  }

  /** What is read ahead of a slow reader is bounded, so that it slows the job; a question of the broker's still gets through to us. */
  async #write(stream: "stdout" | "stderr", chunk: Uint8Array): Promise<void> {
    this.#unwritten += chunk.length;
    this.#writing = this.#writing
      .then(() => this.#runner.output(stream, chunk))
      .finally(() => (this.#unwritten -= chunk.length));
    if (this.#unwritten > limits.readAhead) await this.#writing;
  }

  async #renew(before: Instant): Promise<void> {
    const none = "";
    const value = await this.#runner.freshToken(before).then(
      (token) => token.use(String),
      () => none,
    );
    void this.#requests.put({ message: { case: "freshToken", value } });
  }

  async #stdin(stop: AbortSignal): Promise<void> {
    try {
      for await (const chunk of this.#runner.stdin) {
        for (let from = 0; from < chunk.length && !stop.aborted; from += chunkSize)
          await this.#send(chunk.subarray(from, from + chunkSize), stop);
        if (stop.aborted) return;
      }
    } finally {
      void this.#requests.put({ message: { case: "stdinEnd", value: {} } });
    }
  }

  async #send(chunk: Uint8Array, stop: AbortSignal): Promise<void> {
    while (this.#underway + chunk.length > limits.stdinWindow && !stop.aborted)
      await new Promise<void>((resolve) => (this.#room = resolve));
    this.#underway += chunk.length;
    await this.#requests.put({ message: { case: "stdin", value: chunk } });
  }
}
