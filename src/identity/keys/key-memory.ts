import type { Clock, Duration, Instant } from "../../time.ts";
import { allowance } from "./allowance.ts";
import { type KeyFact, type KeyHistory, type KeysChanged, keyName } from "./key-history.ts";
import type { KnownKey } from "./keyset.ts";
import type { Trouble } from "./trouble.ts";

export interface MemoryParts {
  readonly issuer: string;
  /** How long a never-seen key is held back once the issuer's first set is known; 0: not at all. */
  readonly hold: Duration;
  readonly history: KeyHistory;
  readonly clock: Clock;
}

/** An issuer that changes its mind all day fills neither our memory nor the ledger. */
const maxSeen = 1_000;
/** At once, and how long until one more; what is not recorded for now is part of the next difference. */
const entries = { count: 20, every: 600_000 } as const;

/** The first set is believed as it is; a key of it was seen before all time. */
const always: Instant = 0;

/**
 * What is known of one issuer's keys over its whole life. Whoever can add a key to the set can forge every token, so each change is
 * recorded, and a never-seen key can be held back until somebody had the time to look. A kid whose key was replaced is treated like an
 * added key and not refused for good: some issuers have one fixed kid, and a person would have to act at each of their rotations.
 */
export class KeyMemory {
  readonly #parts: MemoryParts;
  readonly #mayTellKeys: () => boolean;
  readonly #mayTellTrouble: () => boolean;
  /** When each key was first seen, by its name. */
  readonly #seen = new Map<string, Instant>();
  /** The set as the record has it, thumbprints by kid. */
  #recorded: ReadonlyMap<string, string> | undefined;
  /** The trouble that was recorded and is not over. */
  #told: Trouble | undefined;
  #timesAway = 0;

  constructor(parts: MemoryParts) {
    this.#parts = parts;
    this.#mayTellKeys = allowance(parts.clock, entries);
    this.#mayTellTrouble = allowance(parts.clock, entries);
    for (const fact of parts.history.past) this.#recall(fact);
  }

  /** A set was read and is usable. */
  learn(keys: readonly KnownKey[]): void {
    const now = this.#parts.clock.now();
    const current = new Map(keys.map(({ kid, thumbprint }) => [kid, thumbprint]));
    this.#see(keys, this.#recorded === undefined ? always : now);
    this.#forget(current, now);
    this.#timesAway = 0;
    if (this.#told !== undefined && this.#mayTellTrouble()) {
      this.#told = undefined;
      this.#record("reachable", [], null);
    }
    const changes = differences(this.#recorded, current);
    if (changes.length === 0 || !this.#mayTellKeys()) return;
    this.#recorded = current;
    for (const { change, keys: changed } of changes) this.#record(change, changed, null);
  }

  /** No usable set could be read. A refused one is told at once, for each new reason; an absent issuer only when it stays away. */
  suffer(trouble: Trouble): void {
    this.#timesAway = trouble.kind === "unreachable" ? this.#timesAway + 1 : 0;
    const told = this.#told?.kind === trouble.kind && (trouble.kind === "unreachable" || this.#told.why === trouble.why);
    if (told || this.#timesAway === 1 || !this.#mayTellTrouble()) return;
    this.#told = trouble;
    this.#record(trouble.kind, [], trouble.why);
  }

  /** Until when the key is not used; undefined for one that may be. By the wall clock, since the hold outlives a restart. */
  heldUntil(key: KnownKey): Instant | undefined {
    if (this.#parts.hold === 0) return undefined;
    const until = this.#endOfHold(keyName(this.#parts.issuer, key));
    return until > this.#parts.clock.now() ? until : undefined;
  }

  /** By the key's name: an operator looked at it. */
  accept(name: string): void {
    this.#seen.set(name, always);
  }

  #recall(fact: KeyFact): void {
    const { issuer } = this.#parts;
    if (fact.kind === "accepted") {
      if (fact.key.startsWith(`${issuer} `)) this.accept(fact.key);
    } else if (fact.changed.issuer === issuer) {
      if (fact.changed.keys.length === 0) this.#recallTrouble(fact.changed);
      else this.#recallKeys(fact.changed, fact.at);
    }
  }

  #recallTrouble({ change, why }: KeysChanged): void {
    this.#told = change === "refused" || change === "unreachable" ? { kind: change, why: why ?? "" } : undefined;
  }

  #recallKeys({ change, keys }: KeysChanged, at: Instant): void {
    const current = new Map(this.#recorded);
    for (const { kid, thumbprint } of keys)
      if (change === "withdrawn") current.delete(kid);
      else current.set(kid, thumbprint);
    if (change !== "withdrawn") this.#see(keys, change === "first" ? always : at);
    this.#forget(current, at);
    this.#recorded = current;
  }

  #see(keys: readonly KnownKey[], at: Instant): void {
    for (const key of keys) {
      const name = keyName(this.#parts.issuer, key);
      if (!this.#seen.has(name)) this.#seen.set(name, at);
    }
  }

  /** A held key that is gone is forgotten, so that it cannot wait for the end of its hold where nobody sees it. */
  #forget(current: ReadonlyMap<string, string>, now: Instant): void {
    const names = new Set([...current].map(([kid, thumbprint]) => keyName(this.#parts.issuer, { kid, thumbprint })));
    for (const name of this.#seen.keys())
      if (!names.has(name) && (this.#seen.size > maxSeen || this.#endOfHold(name) > now)) this.#seen.delete(name);
  }

  #endOfHold(name: string): Instant {
    const since = this.#seen.get(name);
    return since === undefined || since === always ? always : since + this.#parts.hold;
  }

  #record(change: KeysChanged["change"], keys: readonly KnownKey[], why: string | null): void {
    this.#parts.history.record({ issuer: this.#parts.issuer, change, keys, why });
  }
}

type Difference = Pick<KeysChanged, "change" | "keys">;

function differences(
  before: ReadonlyMap<string, string> | undefined,
  current: ReadonlyMap<string, string>,
): readonly Difference[] {
  const keysOf = (entries: readonly (readonly [string, string])[]) => entries.map(([kid, thumbprint]) => ({ kid, thumbprint }));
  if (before === undefined) return [{ change: "first", keys: keysOf([...current]) }];
  const all: readonly Difference[] = [
    { change: "added", keys: keysOf([...current].filter(([kid]) => !before.has(kid))) },
    {
      change: "replaced",
      keys: keysOf([...current].filter(([kid, thumbprint]) => before.has(kid) && before.get(kid) !== thumbprint)),
    },
    { change: "withdrawn", keys: keysOf([...before].filter(([kid]) => !current.has(kid))) },
  ];
  return all.filter(({ keys }) => keys.length > 0);
}
