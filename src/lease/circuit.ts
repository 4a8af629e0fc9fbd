import { BrokerError } from "../errors.ts";
import type { Clock, Duration, Instant } from "../time.ts";

/** So many failures in a row, and nobody is asked any more. */
const threshold = 5;

/** The pause before somebody is let through again doubles up to this: service is back within half a minute after the upstream is. */
const shortestPause: Duration = 1_000;
const longestPause: Duration = 10_000;

export interface CircuitParts {
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
}

/** How a question ended for the upstream: `answered`, whatever the answer was; `failed`; or nobody knows, since the asker went away. */
export type Outcome = "answered" | "failed" | "left";

/** A provider that is not asked just now, for the operator. */
export interface OpenCircuit {
  readonly provider: string;
  /** In a row. */
  readonly failures: number;
  readonly since: Instant;
}

/** Why nobody was asked: certainly nothing came into being, and to ask again at once is of no use. */
export class NotAsked extends Error {
  override readonly name = "NotAsked";
}

/** One circuit for each configured provider, made when it is first asked. */
export class Circuits {
  readonly #parts: CircuitParts;
  readonly #all = new Map<string, Circuit>();

  constructor(parts: CircuitParts) {
    this.#parts = parts;
  }

  of(provider: string): Circuit {
    const circuit = this.#all.get(provider) ?? new Circuit(provider, this.#parts);
    this.#all.set(provider, circuit);
    return circuit;
  }

  open(): readonly OpenCircuit[] {
    return [...this.#all.values()].flatMap((circuit) => circuit.standing ?? []);
  }
}

/**
 * Spares an upstream that does not answer, and its callers the wait. Only minting is held back: what must be ended is always tried, at the
 * sweeper's own pace. What fails for one may be well for another (one database behind a healthy Vault), so whoever has not failed since the
 * last answer is still let through: one team's broken upstream stands in nobody else's way.
 */
export class Circuit {
  readonly #provider: string;
  readonly #parts: CircuitParts;
  readonly #failed = new Set<string>();
  #failures = 0;
  #since: Instant = 0;
  #pause: Duration = 0;
  #next: Duration = 0;
  #probing = false;

  constructor(provider: string, parts: CircuitParts) {
    this.#provider = provider;
    this.#parts = parts;
  }

  get standing(): OpenCircuit | undefined {
    return this.#isOpen ? { provider: this.#provider, failures: this.#failures, since: this.#since } : undefined;
  }

  get #isOpen(): boolean {
    return this.#failures >= threshold;
  }

  /** Call what is returned once, when the answer is there or is given up. Throws `provider-unavailable` where nobody may ask now. */
  enter(who: string): (outcome: Outcome) => void {
    const isProbe = this.#isOpen && this.#failed.has(who);
    if (isProbe && (this.#probing || this.#parts.clock.monotonic() < this.#next)) throw this.#refusal();
    if (isProbe) this.#probing = true;
    return (outcome) => {
      if (isProbe) this.#probing = false;
      if (outcome === "answered") this.#close();
      if (outcome === "failed") this.#fail(who, isProbe);
    };
  }

  #close(): void {
    this.#failed.clear();
    this.#failures = 0;
    this.#pause = 0;
  }

  #fail(who: string, isProbe: boolean): void {
    if (this.#failures === 0) this.#since = this.#parts.clock.now();
    this.#failures += 1;
    this.#failed.add(who);
    // Those that were under way when it opened, and neighbours who are let through once, say nothing new.
    if (this.#failures === threshold || isProbe) this.#rest();
  }

  #rest(): void {
    const { clock, random } = this.#parts;
    this.#pause = Math.min(Math.max(shortestPause, this.#pause * 2), longestPause);
    // Half of it is chance: several brokers do not come back together.
    this.#next = clock.monotonic() + (this.#pause / 2) * (1 + (random(1)[0] ?? 0) / 255);
  }

  #refusal(): BrokerError {
    return new BrokerError("provider-unavailable", undefined, {
      hint: "it failed several times in a row, so it was not asked; try again in a few seconds",
      detail: `${this.#provider}: ${this.#failures} failures in a row`,
      cause: new NotAsked(),
    });
  }
}
