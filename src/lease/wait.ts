import { BrokerError } from "../errors.ts";
import type { Clock, Duration } from "../time.ts";
import { NotAsked } from "./circuit.ts";

/** Between two questions, doubled after each; half of it is chance, so that jobs which wait together do not come back together. */
const shortestPause: Duration = 250;
const longestPause: Duration = 10_000;

/** A passing trouble is got over even where nobody may wait; more than this would be a burden for an upstream that is down. */
const mostTries = 3;

export interface Wait {
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
  /** How long one question is waited for; where nobody may wait, all of them together. */
  readonly patience: Duration;
}

/**
 * What `ask` gives, which is told how long it may take. A provider that is certainly down is asked again, at most three times within its
 * patience, and where there is a `wait` until that is over, the last time then. Anything else that goes wrong is thrown at once, since
 * something may have come into being. When the signal is aborted the last answer is thrown at once too.
 */
export async function whileDown<T>(
  { clock, random, patience }: Wait,
  { wait, signal }: { readonly wait: Duration; readonly signal: AbortSignal },
  ask: (span: Duration) => Promise<T>,
): Promise<T> {
  const began = clock.monotonic();
  const gone = (): Duration => clock.monotonic() - began;
  for (let tries = 0; ; tries += 1) {
    try {
      return await ask(wait === 0 ? patience - gone() : patience);
    } catch (error) {
      // Within the first half of its patience: a question with no time left for its answer would make a certain "no" uncertain.
      const left = Math.max(wait, isWorthAsking(error, tries) ? patience / 2 : 0) - gone();
      if (!isDown(error) || left <= 0) throw error;
      await clock.sleep(Math.min(pauseAfter(tries, random), left), signal).catch(() => undefined);
      if (signal.aborted) throw error;
    }
  }
}

function isDown(error: unknown): error is BrokerError {
  return error instanceof BrokerError && error.code === "provider-unavailable";
}

/** Where nobody was asked, since it has failed too often, a second question would not be asked either. */
function isWorthAsking(error: unknown, tries: number): boolean {
  return tries + 1 < mostTries && isDown(error) && !(error.cause instanceof NotAsked);
}

function pauseAfter(tries: number, random: Wait["random"]): Duration {
  const whole = Math.min(shortestPause * 2 ** tries, longestPause);
  return Math.ceil((whole / 2) * (1 + (random(1)[0] ?? 0) / 255));
}
