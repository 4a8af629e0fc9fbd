import { BrokerError } from "../errors.ts";
import { Secret } from "../secret.ts";
import type { RunRequest } from "./gen/mayfly/v1/broker_pb.ts";
import { PendingSignals } from "./pending-signals.ts";
import { signalNames } from "./run-messages.ts";
import { StdinWindow } from "./stdin-window.ts";

/** What a runner sends after its start, sorted by what it is for. */
export class RunInput {
  readonly stdin: StdinWindow;
  readonly signals = new PendingSignals();
  #asked: PromiseWithResolvers<Secret> | undefined;
  #over = false;

  constructor(taken: (bytes: number) => Promise<void>) {
    this.stdin = new StdinWindow(taken);
  }

  /** Reads until the runner's side ends. Rejects where the stream breaks or says what makes no sense. */
  async read(incoming: AsyncIterator<RunRequest>): Promise<void> {
    for (let next = await incoming.next(); next.done !== true; next = await incoming.next()) await this.#sort(next.value);
    this.stdin.end();
    this.#over = true;
    this.#asked?.reject(none());
  }

  /** The next token that the runner sends. Rejects where none can come: it says that it has none, or it has said its last. */
  async nextToken(): Promise<Secret> {
    if (this.#over) throw none();
    this.#asked = Promise.withResolvers();
    return this.#asked.promise;
  }

  end(): void {
    this.stdin.end();
    this.signals.end();
  }

  #answer(token: string): void {
    if (token === "") this.#asked?.reject(none());
    else this.#asked?.resolve(Secret.of(token));
  }

  async #sort({ message }: RunRequest): Promise<void> {
    switch (message.case) {
      case "stdin":
        return this.stdin.add(message.value);
      case "stdinEnd":
        return this.stdin.end();
      case "freshToken":
        return this.#answer(message.value);
      case "signal": {
        const name = signalNames.get(message.value);
        if (name === undefined) throw new BrokerError("usage", "this signal cannot be sent to a job");
        return this.signals.add(name);
      }
      case "start":
        throw new BrokerError("usage", "a run starts once");
      case undefined:
        throw new BrokerError("usage", "a message of a run says one thing, and this one says nothing that this broker knows");
    }
  }
}

function none(): BrokerError {
  return new BrokerError("token-missing", "the runner has no fresh token");
}
