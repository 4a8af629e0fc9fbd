import type { KeyHistory } from "./identity/keys/key-history.ts";
import { issuerIn } from "./identity/keys/key-name.ts";
import { KeyRecord, type KeysChanged } from "./identity/keys/key-record.ts";
import type { Entry } from "./ledger/entry.ts";
import type { Ledger } from "./ledger/ledger.ts";
import type { Log } from "./log.ts";
import { type Clock, type Duration, within } from "./time.ts";

export interface RecordParts {
  readonly ledger: Pick<Ledger, "append" | "entries">;
  readonly log: Log;
  readonly clock: Clock;
}

/** Entries in one read of the past. */
const page = 1_000;
/** Changes that may wait for a ledger that cannot be written; `KeyMemory` has a few dozen of one issuer at once, and then a few an hour. */
const mostWaiting = 200;
const pause: Duration = 5_000;
/** At shutdown, for what still waits. */
const lastPatience: Duration = 2_000;

/** What the ledger knows of issuers' keys, and whatever happens to them from now on. Written one after the other, in the background. */
export class KeysOnRecord implements KeyHistory, AsyncDisposable {
  readonly #parts: RecordParts;
  /** By the issuer's name. */
  readonly #records = new Map<string, KeyRecord>();
  readonly #stop = new AbortController();
  #waiting: readonly KeysChanged[] = [];
  #writing: Promise<void> | undefined;

  private constructor(parts: RecordParts) {
    this.#parts = parts;
  }

  /** Page by page: of the past only what it amounts to is kept. */
  static async load(parts: RecordParts): Promise<KeysOnRecord> {
    const loaded = new KeysOnRecord(parts);
    for (let from = 0, left = true; left; ) {
      const entries = await parts.ledger.entries({ from, limit: page, kinds: ["issuer-keys", "operated"] });
      for (const entry of entries) loaded.#recall(entry);
      from = (entries.at(-1)?.index ?? 0) + 1;
      left = entries.length === page;
    }
    return loaded;
  }

  recordOf(issuer: string): KeyRecord {
    const record = this.#records.get(issuer) ?? new KeyRecord();
    this.#records.set(issuer, record);
    return record;
  }

  record(changed: KeysChanged): void {
    this.#parts.log.warn({ ...changed }, "an issuer's keys, or whether they can be read, changed");
    if (this.#waiting.length >= mostWaiting) {
      this.#parts.log.error(
        { issuer: changed.issuer },
        "a change of an issuer's keys is in this log only: the ledger is behind",
      );
      return;
    }
    this.#waiting = [...this.#waiting, changed];
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await within(this.#parts.clock, lastPatience, this.#writing ?? Promise.resolve(), () => undefined);
  }

  /** In order, each until it is durable; once the broker shuts down, each is tried once. */
  async #writeAll(): Promise<void> {
    for (let [next] = this.#waiting; next !== undefined; [next] = this.#waiting) {
      const written = await this.#write(next);
      if (written || this.#stop.signal.aborted) this.#waiting = this.#waiting.slice(1);
      else await this.#parts.clock.sleep(pause, this.#stop.signal).catch(() => undefined);
    }
  }

  async #write(changed: KeysChanged): Promise<boolean> {
    try {
      await this.#parts.ledger.append([{ kind: "issuer-keys", ...changed }]);
      return true;
    } catch (error) {
      this.#parts.log.warn({ error, issuer: changed.issuer }, "a change of an issuer's keys could not be recorded yet");
      return false;
    }
  }

  #recall({ time, event }: Entry): void {
    if (event.kind === "operated" && event.verb === "accept-key") this.recordOf(issuerIn(event.about)).accept(event.about);
    if (event.kind === "issuer-keys") this.recordOf(event.issuer).apply(event, time);
  }
}
