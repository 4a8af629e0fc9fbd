import type { Duration, Instant } from "../../time.ts";
import { keyName } from "./key-name.ts";
import type { KnownKey } from "./keyset.ts";
import type { Trouble } from "./trouble.ts";

/** What happened to one issuer's keys, as it is recorded. */
export interface KeysChanged {
  /** The issuer's name in mayfly.yaml. */
  readonly issuer: string;
  /**
   * `first`: the issuer's first set. `added`, `withdrawn`, `replaced` (the same kid, another key): against what was recorded before.
   * `refused`: a set that is not believed, so the old one stays. `unreachable`: twice in a row. `reachable`: either is over.
   */
  readonly change: "first" | "added" | "withdrawn" | "replaced" | "refused" | "unreachable" | "reachable";
  readonly keys: readonly KnownKey[];
  /** In our words, never the issuer's: why it is not believed or not reached, or that more keys changed than this entry names. */
  readonly why: string | null;
}

/** How long a key was in its issuer's set, as far as that is on record. */
interface Stay {
  /** Since when it is there; undefined for one that was withdrawn. */
  readonly since: Instant | undefined;
  /** The longest time that it was there in one piece; infinite for a key that needs no hold at all. */
  readonly longest: Duration;
}

/** An issuer that changes its mind all day does not fill our memory. What is forgotten counts as new. */
const mostStays = 1_000;

/**
 * What is on record of one issuer's keys: a fold over its changes and nothing else. So a broker that was restarted knows what one that
 * went on knows, and what is not recorded has not happened. Bounded, however long the past is.
 */
export class KeyRecord {
  /** By name, in the order in which they were first seen. */
  readonly #stays = new Map<string, Stay>();
  /** The set as the record has it, by kid. */
  #keys: ReadonlyMap<string, KnownKey> | undefined;
  #trouble: Trouble | undefined;

  /** Undefined before the issuer's first set. */
  get keys(): ReadonlyMap<string, KnownKey> | undefined {
    return this.#keys;
  }

  /** That was recorded and is not over. */
  get trouble(): Trouble | undefined {
    return this.#trouble;
  }

  /** The next change. Times are by the wall clock, since a record outlives its broker. */
  apply({ issuer, change, keys, why }: KeysChanged, at: Instant): void {
    switch (change) {
      case "first":
        // Believed as it is.
        for (const key of keys) this.accept(keyName(issuer, key));
        return this.#put(issuer, keys, at);
      case "added":
      case "replaced":
        return this.#put(issuer, keys, at);
      case "withdrawn":
        return this.#withdraw(issuer, keys, at);
      case "refused":
      case "unreachable":
        this.#trouble = { kind: change, why: why ?? "" };
        return;
      case "reachable":
        this.#trouble = undefined;
    }
  }

  /** By the key's name: an operator looked at it. */
  accept(name: string): void {
    this.#stays.set(name, { since: this.#stays.get(name)?.since, longest: Number.POSITIVE_INFINITY });
  }

  /** When a key will have been there for `hold` in one piece: it must wait until somebody had the time to look, and so be there to be seen. */
  endOfHold(name: string, hold: Duration, now: Instant): Instant {
    const { since, longest } = this.#stays.get(name) ?? { since: undefined, longest: 0 };
    return longest >= hold ? Number.NEGATIVE_INFINITY : (since ?? now) + hold;
  }

  #put(issuer: string, keys: readonly KnownKey[], at: Instant): void {
    const all = new Map(this.#keys);
    for (const key of keys) {
      this.#leave(issuer, all.get(key.kid), at);
      all.set(key.kid, key);
      const name = keyName(issuer, key);
      this.#stays.set(name, { since: at, longest: this.#stays.get(name)?.longest ?? 0 });
    }
    this.#keys = all;
    this.#forget(issuer);
  }

  #withdraw(issuer: string, keys: readonly KnownKey[], at: Instant): void {
    const all = new Map(this.#keys);
    for (const { kid } of keys) {
      this.#leave(issuer, all.get(kid), at);
      all.delete(kid);
    }
    this.#keys = all;
  }

  #leave(issuer: string, key: KnownKey | undefined, at: Instant): void {
    const name = key === undefined ? "" : keyName(issuer, key);
    const stay = this.#stays.get(name);
    if (stay?.since === undefined) return;
    this.#stays.set(name, { since: undefined, longest: Math.max(stay.longest, at - stay.since) });
  }

  #forget(issuer: string): void {
    const here = new Set([...(this.#keys?.values() ?? [])].map((key) => keyName(issuer, key)));
    for (const name of this.#stays.keys()) if (this.#stays.size > mostStays && !here.has(name)) this.#stays.delete(name);
  }
}
