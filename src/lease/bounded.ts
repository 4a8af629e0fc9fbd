import { BrokerError } from "../errors.ts";
import { type Clock, type Duration, within } from "../time.ts";

/** How long an aborted provider may take to say what became of its work; a certain answer is worth the wait. */
const grace: Duration = 200;

/**
 * What `work` gives within the span. When the span is over or the signal is aborted, `work` is told by its own signal, has a
 * moment to say how it stands, and is then left behind: this rejects with the signal's reason, or with `timeout`.
 */
export async function bounded<T>(
  clock: Clock,
  span: Duration,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const late = new AbortController();
  const either = AbortSignal.any([signal, late.signal]);
  // Node keeps a composite signal alive for as long as anybody listens to it: who is done must stop listening.
  const done = new AbortController();
  const over = new Promise<never>((_, reject) => {
    const giveUp = (): void => void clock.sleep(grace).then(() => reject(reasonOf(either)));
    either.addEventListener("abort", giveUp, { once: true, signal: done.signal });
  });
  const race = Promise.race([work(either), over]).finally(() => done.abort());
  return within(clock, span, race, () => {
    late.abort(new BrokerError("timeout", "the provider did not answer in time"));
    return race;
  });
}

function reasonOf({ reason }: AbortSignal): Error {
  return reason instanceof Error ? reason : new Error("aborted");
}
