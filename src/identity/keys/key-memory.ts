import type { Clock, Duration, Instant } from "../../time.ts";
import { allowance } from "./allowance.ts";
import type { KeyHistory } from "./key-history.ts";
import { keyName } from "./key-name.ts";
import type { KeyRecord, KeysChanged } from "./key-record.ts";
import type { KnownKey } from "./keyset.ts";
import type { Trouble } from "./trouble.ts";

export interface MemoryParts {
  readonly issuer: string;
  /** How long a never-seen key is held back once the issuer's first set is known; 0: not at all. */
  readonly hold: Duration;
  readonly history: KeyHistory;
  readonly clock: Clock;
}

/**
 * An issuer that changes its mind all day does not fill the ledger: so many entries at once, and how long until one more; and so many keys
 * in one. What is not recorded for now is part of the next difference. Only the first set, which comes once, is recorded whole.
 */
const entries = { count: 20, every: 600_000 } as const;
const keysInOne = 8;

/**
 * Puts on record what happens to one issuer's keys. Whoever can add a key to the set can forge every token, so each change is recorded,
 * and a never-seen key can be held back until somebody had the time to look: its hold begins when it is on record, and begins anew when it
 * was taken away meanwhile. A kid whose key was replaced is treated like an added key and not refused for good: some issuers have one
 * fixed kid, and a person would have to act at each of their rotations.
 */
export class KeyMemory {
  readonly #parts: MemoryParts;
  readonly #past: KeyRecord;
  readonly #mayTellKeys: () => boolean;
  readonly #mayTellTrouble: () => boolean;
  #timesAway = 0;

  constructor(parts: MemoryParts) {
    this.#parts = parts;
    this.#past = parts.history.recordOf(parts.issuer);
    this.#mayTellKeys = allowance(parts.clock, entries);
    this.#mayTellTrouble = allowance(parts.clock, entries);
  }

  /** A set was read and is usable. */
  learn(set: readonly KnownKey[]): void {
    const keys = set.map(({ kid, thumbprint }) => ({ kid, thumbprint }));
    this.#timesAway = 0;
    if (this.#past.trouble !== undefined && this.#mayTellTrouble()) this.#record("reachable", [], null);
    const { keys: before } = this.#past;
    if (before === undefined) this.#record("first", keys, null);
    else this.#compare(before, new Map(keys.map((key) => [key.kid, key])));
  }

  /** No usable set could be read. A refused one is told at once, for each new reason; an absent issuer only when it stays away. */
  suffer(trouble: Trouble): void {
    this.#timesAway = trouble.kind === "unreachable" ? this.#timesAway + 1 : 0;
    const before = this.#past.trouble;
    const told = before?.kind === trouble.kind && (trouble.kind === "unreachable" || before.why === trouble.why);
    if (!told && this.#timesAway !== 1 && this.#mayTellTrouble()) this.#record(trouble.kind, [], trouble.why);
  }

  /** Until when the key is not used; undefined for one that may be. */
  heldUntil(key: KnownKey): Instant | undefined {
    const { issuer, hold, clock } = this.#parts;
    if (hold === 0) return undefined;
    const until = this.#past.endOfHold(keyName(issuer, key), hold, clock.now());
    return until > clock.now() ? until : undefined;
  }

  /** By the key's name: an operator looked at it. */
  accept(name: string): void {
    this.#past.accept(name);
  }
  #compare(before: Keys, current: Keys): void {
    const { added, replaced, gone } = differences(before, current);
    if (added.length + replaced.length + gone.length === 0) return;
    const most = this.#mayTellKeys() ? keysInOne : 0;
    this.#recordFirst("added", added, most);
    this.#recordFirst("replaced", replaced, most);
    const left = replaced.slice(most).flatMap(({ kid }) => before.get(kid) ?? []);
    // Whatever may be told, and in any number: else such a key would wait for the end of its hold on record, and nowhere to be seen.
    const held = [...gone, ...left].filter((key) => this.heldUntil(key) !== undefined);
    this.#recordFirst("withdrawn", [...held, ...gone.filter((key) => !held.includes(key))], Math.max(held.length, most));
  }

  #recordFirst(change: KeysChanged["change"], keys: readonly KnownKey[], most: number): void {
    const more = keys.length - most;
    if (most > 0 && keys.length > 0)
      this.#record(change, keys.slice(0, most), more > 0 ? `${more} more are not recorded yet` : null);
  }

  #record(change: KeysChanged["change"], keys: readonly KnownKey[], why: string | null): void {
    const changed: KeysChanged = { issuer: this.#parts.issuer, change, keys, why };
    this.#past.apply(changed, this.#parts.clock.now());
    this.#parts.history.record(changed);
  }
}

type Keys = ReadonlyMap<string, KnownKey>;

function differences(before: Keys, current: Keys): Readonly<Record<"added" | "replaced" | "gone", readonly KnownKey[]>> {
  const now = [...current.values()];
  return {
    added: now.filter(({ kid }) => !before.has(kid)),
    replaced: now.filter(({ kid, thumbprint }) => before.has(kid) && before.get(kid)?.thumbprint !== thumbprint),
    gone: [...before.values()].filter(({ kid }) => !current.has(kid)),
  };
}
