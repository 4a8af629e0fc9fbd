import { BrokerError } from "../errors.ts";
import type { Clock, Duration } from "../time.ts";

/** Between two questions, doubled after each; half of it is chance, so that jobs which wait together do not come back together. */
const shortestPause: Duration = 250;
const longestPause: Duration = 10_000;

export interface Wait {
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
}

/**
 * What `ask` gives. A provider that is certainly down is asked again, the last time when `wait` is over; anything else that goes wrong is
 * thrown at once, since something may have come into being. When the signal is aborted the last answer is thrown at once too.
 */
export async function whileDown<T>(
  { clock, random }: Wait,
  { wait, signal }: { readonly wait: Duration; readonly signal: AbortSignal },
  ask: () => Promise<T>,
): Promise<T> {
  const deadline = clock.monotonic() + wait;
  for (let tries = 0; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      const left = deadline - clock.monotonic();
      if (!isDown(error) || left <= 0) throw error;
      await clock.sleep(Math.min(pauseAfter(tries, random), left), signal).catch(() => undefined);
      if (signal.aborted) throw error;
    }
  }
}

function isDown(error: unknown): boolean {
  return error instanceof BrokerError && error.code === "provider-unavailable";
}

function pauseAfter(tries: number, random: Wait["random"]): Duration {
  const whole = Math.min(shortestPause * 2 ** tries, longestPause);
  return Math.ceil((whole / 2) * (1 + (random(1)[0] ?? 0) / 255));
}
