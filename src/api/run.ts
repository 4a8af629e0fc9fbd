import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Broker, Client, Peer, RunAsk } from "../contract.ts";
import { BrokerError } from "../errors.ts";
import { type Clock, within } from "../time.ts";
import type { Calls } from "./calls.ts";
import type { RunRequest, RunResponseSchema } from "./gen/mayfly/v1/broker_pb.ts";
import { limits } from "./limits.ts";
import { Outbox } from "./outbox.ts";
import { RunInput } from "./run-input.ts";
import { askFrom, resultMessage } from "./run-messages.ts";

type Answer = MessageInitShape<typeof RunResponseSchema>;

interface RunParts {
  readonly broker: Broker;
  readonly calls: Calls;
  readonly clock: Clock;
}

interface Caller {
  readonly peer: Peer;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

/**
 * One run over one stream. Whatever ends the stream ends the job, and the call counts until the broker has ended all of it, so that a
 * shutdown waits even for what its client has already left.
 */
export async function* serveRun(parts: RunParts, requests: AsyncIterable<RunRequest>, from: Caller): AsyncGenerator<Answer> {
  parts.calls.admit();
  using _call = parts.calls.begin();
  const incoming = requests[Symbol.asyncIterator]();
  const ask = await firstMessage(parts.clock, incoming, from.peer);
  // The wait was up to ten seconds: a shutdown may have begun since.
  parts.calls.admit();
  await using run = new RunStream(parts.broker, ask, incoming);
  run.endWith(from.signal, () => new BrokerError("cancelled"));
  run.endWith(parts.calls.signal, (reason) => reason);
  yield* run.answers;
}

async function firstMessage(clock: Clock, incoming: AsyncIterator<RunRequest>, peer: Peer): Promise<RunAsk> {
  const late = (): never => {
    throw new BrokerError("usage", `a run's first message comes within ${limits.body / 1_000} seconds`);
  };
  const first = await within(clock, limits.body, incoming.next(), late);
  const message = first.done === true ? undefined : first.value.message;
  if (message?.case !== "start") throw new BrokerError("usage", "a run's first message is its start");
  return askFrom(message.value, peer);
}

/** The broker's run on one side, the client's stream on the other. */
class RunStream implements AsyncDisposable {
  readonly answers = new Outbox<Answer>();
  readonly #input: RunInput;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(broker: Broker, ask: RunAsk, incoming: AsyncIterator<RunRequest>) {
    this.#input = new RunInput((bytes) => this.answers.put({ message: { case: "stdinTaken", value: bytes } }));
    this.#stop.signal.addEventListener("abort", () => this.answers.drop(), { once: true });
    this.#input.read(incoming).catch((error: unknown) => this.#stop.abort(error));
    this.#running = broker.run(ask, this.#client()).then(
      (result) => this.#end({ case: "result", value: resultMessage(result) }),
      (error: unknown) => this.answers.fail(this.#stop.signal.aborted ? this.#stop.signal.reason : error),
    );
  }

  endWith(signal: AbortSignal, why: (reason: unknown) => unknown): void {
    const end = (): void => this.#stop.abort(why(signal.reason));
    if (signal.aborted) end();
    // The shutdown's signal outlives every run, so a run that is over must not stay among its listeners.
    else signal.addEventListener("abort", end, { once: true, signal: this.#stop.signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new BrokerError("cancelled"));
    this.#input.end();
    await this.#running;
  }

  async #end(message: Answer["message"] & object): Promise<void> {
    if (this.#stop.signal.aborted) return this.answers.fail(this.#stop.signal.reason);
    await this.answers.put({ message });
    this.answers.close();
  }

  #client(): Client {
    const { answers } = this;
    return {
      stdin: this.#input.stdin,
      signals: this.#input.signals,
      signal: this.#stop.signal,
      output: (stream, chunk) => answers.put({ message: { case: stream, value: chunk } }),
      accepted: ({ handle, missing, ...run }) => {
        const opened = handle === undefined ? {} : { sessionHandle: handle.use(String) };
        void answers.putFirst({ message: { case: "accepted", value: { ...run, ...opened, missing: [...missing] } } });
      },
      freshToken: async (before) => {
        const token = this.#input.nextToken();
        void answers.putFirst({ message: { case: "tokenNeeded", value: { before: timestampFromMs(before) } } });
        return token;
      },
    };
  }
}
