import { BrokerError } from "../errors.ts";
import { type Duration, hour, type Instant, minute } from "../time.ts";
import { bounded } from "./bounded.ts";
import { asFailure } from "./failure.ts";
import type { LeaseRoom } from "./lease.ts";

export interface Rotating extends LeaseRoom {
  /** `rotate_every` of mayfly.yaml, by the provider's name there. */
  readonly every: ReadonlyMap<string, Duration>;
  /** What could not be replaced, for the operator; it is tried again where it is replaced regularly. */
  readonly report: (error: BrokerError, what: string) => void;
}

/** A secret that its provider can replace, and how it stands. */
export interface RotationState {
  readonly provider: string;
  readonly name: string;
  /** Undefined where this broker never replaced it: then its age is not known here. */
  readonly rotatedAt: Instant | undefined;
  /** Undefined where it is replaced when somebody asks for it, and not regularly. */
  readonly next: Instant | undefined;
  readonly trouble: string | undefined;
}

/** Who asks for it, and why: on record before anything is asked of an upstream. */
export interface RotationAsk {
  readonly provider: string;
  /** Undefined: everything that this provider can replace. */
  readonly name: string | undefined;
  readonly who: string;
  readonly why: string;
}

interface Named {
  readonly provider: string;
  readonly name: string;
}

/** A replacement takes several requests upstream, and a database may be slow to drop who is logged in. */
const patiences = 4;

/** Between two looks, and between two attempts after failures, doubled up to the longest. */
const interval: Duration = minute;
const longestPause: Duration = hour;

/** Has providers replace what their upstreams store, regularly or when asked. The ledger knows when each was last replaced. */
export class Rotator implements AsyncDisposable {
  readonly #room: Rotating;
  readonly #stop = new AbortController();
  readonly #underWay = new Set<string>();
  readonly #failures = new Map<string, { readonly count: number; readonly at: Instant; readonly why: string }>();
  #loop: Promise<void> | undefined;

  constructor(room: Rotating) {
    this.#room = room;
  }

  /** Nothing is looked at where mayfly.yaml asks for no regular replacement. */
  start(): void {
    if (this.#room.every.size > 0) this.#loop ??= this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.look().catch((error: unknown) => this.#room.report(asFailure("the ledger", error), "rotation"));
      await this.#room.clock.sleep(interval, this.#stop.signal).catch(() => undefined);
    }
  }

  /** Replaces what is due, one after the other. One that this broker never replaced is due at once. */
  async look(): Promise<void> {
    const now = this.#room.clock.now();
    for (const { provider, name, next } of await this.states()) {
      if (this.#stop.signal.aborted || next === undefined || now < next || this.#pauses({ provider, name }, now)) continue;
      const ask = { provider, name, who: "mayfly", why: "rotate_every" };
      await this.#replace(ask).catch((error: unknown) =>
        this.#room.report(asFailure(provider, error), textOf({ provider, name })),
      );
    }
  }

  #pauses(what: Named, now: Instant): boolean {
    const failure = this.#failures.get(textOf(what));
    if (failure === undefined) return false;
    return now < failure.at + Math.min(minute * 2 ** (failure.count - 1), longestPause);
  }

  async states(): Promise<readonly RotationState[]> {
    const all = [...this.#room.providers].flatMap(([provider, { rotation }]) =>
      (rotation?.names ?? []).map((name) => ({ provider, name })),
    );
    return Promise.all(all.map((what) => this.#stateOf(what)));
  }

  async #stateOf(what: Named): Promise<RotationState> {
    const { ledger, every } = this.#room;
    const [last] = await ledger.entries({ kinds: ["rotated"], about: aboutOf(what), newestFirst: true, limit: 1 });
    const span = every.get(what.provider);
    return {
      ...what,
      rotatedAt: last?.time,
      next: span === undefined ? undefined : (last?.time ?? 0) + span,
      trouble: this.#failures.get(textOf(what))?.why,
    };
  }

  /** Now, and one after the other; rejects with the first that could not be replaced. */
  async rotate({ provider, name, ...reason }: RotationAsk): Promise<readonly RotationState[]> {
    const names = this.#namesOf(provider, name);
    for (const one of names) await this.#replace({ provider, name: one, ...reason });
    return Promise.all(names.map((one) => this.#stateOf({ provider, name: one })));
  }

  #namesOf(provider: string, name: string | undefined): readonly string[] {
    const found = this.#room.providers.get(provider);
    if (found === undefined) throw new BrokerError("provider-unknown", `no provider is called ${provider}`);
    const names = found.rotation?.names ?? [];
    if (names.length === 0)
      throw new BrokerError("usage", `the provider ${provider} holds nothing that it can replace`, {
        hint: "`mayfly status --full` lists what can be",
      });
    if (name === undefined) return names;
    if (names.includes(name)) return [name];
    throw new BrokerError("usage", `the provider ${provider} can replace nothing called ${name}`, {
      hint: `it can replace ${names.join(", ")}`,
    });
  }

  /** On record before and after: a broker that dies in between leaves word that it had begun. */
  async #replace({ provider, name, who, why }: Named & Pick<RotationAsk, "who" | "why">): Promise<void> {
    const what = textOf({ provider, name });
    if (this.#underWay.has(what)) throw new BrokerError("busy", `${what} is being replaced just now`);
    this.#underWay.add(what);
    try {
      const { ledger } = this.#room;
      await ledger.append([{ kind: "operated", verb: "rotate", about: aboutOf({ provider, name }), who, why }]);
      await this.#ask({ provider, name });
      this.#failures.delete(what);
      await ledger.append([{ kind: "rotated", provider, name }]);
    } finally {
      this.#underWay.delete(what);
    }
  }

  async #ask({ provider, name }: Named): Promise<void> {
    const { clock, patience, proofs, providers, ledger } = this.#room;
    try {
      await bounded(clock, patiences * patience, this.#stop.signal, async (signal) =>
        providers.get(provider)?.rotation?.rotate(name, { proof: proofs.rotate(textOf({ provider, name })), signal }),
      );
    } catch (thrown) {
      const error = failureOf(provider, thrown);
      const count = (this.#failures.get(textOf({ provider, name }))?.count ?? 0) + 1;
      this.#failures.set(textOf({ provider, name }), { count, at: clock.now(), why: error.message });
      await ledger.append([{ kind: "rotation-failed", provider, name, code: error.code }]);
      throw error;
    }
  }

  /** What is under way is told to stop; the ledger says that it had begun. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new BrokerError("draining"));
    await this.#loop;
  }
}

/** A lost answer is no certainty here either: which of the two is in force, only the upstream knows. */
function failureOf(provider: string, thrown: unknown): BrokerError {
  if (thrown instanceof BrokerError && thrown.code !== "timeout") return thrown;
  const { code, message, detail = provider } = asFailure(provider, thrown);
  const hint = "the old one or the new one may be in force upstream: ask for it again";
  return new BrokerError(code, message, { hint, detail, cause: thrown });
}

function textOf({ provider, name }: Named): string {
  return `${provider}/${name}`;
}

/** What the ledger's entries of it are found by. */
function aboutOf(what: Named): string {
  return `rotation:${textOf(what)}`;
}
