import { asBrokerError } from "../errors.ts";
import type { Instant } from "../time.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
import type { Entry } from "./entry.ts";
import { entryOf } from "./leaf.ts";
import type { LeaseState } from "./ledger.ts";
import { Frontier, leafHash } from "./merkle.ts";
import { parseVerifierKey } from "./note.ts";
import { type Impossibility, Replay } from "./replay.ts";

export interface VerifyRequest {
  /** Every leaf from index 0, as `Ledger.leaves` gives them. */
  readonly leaves: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** The newest signed checkpoint, fetched before the leaves. */
  readonly checkpoint: string;
  /** From a place that the log's keeper cannot change. */
  readonly vkey: string;
  /**
   * Checkpoints of this log that were kept elsewhere (a receipt ends in one). Without any, a log that was cut and signed
   * again by the holder of its key cannot be told from a shorter one.
   */
  readonly earlier?: readonly string[];
  /** The verifier's own clock: an entry more than five minutes ahead of it is a finding. */
  readonly now?: Instant;
}

export type FindingName =
  | Impossibility
  | "leaf-malformed"
  | "index-gap"
  | "time-ahead"
  | "checkpoint-invalid"
  | "size-mismatch"
  | "root-mismatch"
  | "earlier-invalid"
  | "earlier-mismatch";

export interface Finding {
  readonly name: FindingName;
  /** The place in the log, counted from 0, whatever the entry there claims; undefined when it is about the whole. */
  readonly index: number | undefined;
  readonly message: string;
}

export interface VerifyReport {
  readonly ok: boolean;
  /** At most 100, in the order of the log; `found` counts all. */
  readonly findings: readonly Finding[];
  readonly found: number;
  readonly size: number;
  readonly root: string;
  readonly leases: Readonly<Partial<Record<LeaseState, number>>>;
}

const mostFindings = 100;
const clockTolerance = 300_000;

/** Recomputes everything from the raw leaves and believes nothing else. Never throws for what the log holds: it reports. */
export async function verifyLog(request: VerifyRequest): Promise<VerifyReport> {
  const verification = new Verification(request);
  for await (const leaf of request.leaves) verification.add(leaf);
  return verification.finish();
}

/** Leaves in pages, as a client on the audit socket reads them. Ends early when the log gives fewer than it promised. */
export async function* pagesOf(
  read: (from: number, count: number) => Promise<readonly Uint8Array[]>,
  size: number,
  page = 1_000,
): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < size; ) {
    const leaves = await read(from, Math.min(page, size - from));
    if (leaves.length === 0) return;
    yield* leaves;
    from += leaves.length;
  }
}

class Verification {
  readonly #tree = new Frontier();
  readonly #replay = new Replay();
  readonly #checkpoint: Checkpoint | undefined;
  readonly #earlier: readonly Checkpoint[];
  readonly #now: Instant;
  readonly #findings: Finding[] = [];
  #found = 0;

  constructor(request: VerifyRequest) {
    const open = (name: FindingName) => (note: string) => {
      try {
        return openCheckpoint(note, parseVerifierKey(request.vkey));
      } catch (error) {
        this.#note(name, undefined, asBrokerError(error).message);
        return undefined;
      }
    };
    this.#checkpoint = open("checkpoint-invalid")(request.checkpoint);
    this.#earlier = (request.earlier ?? []).map(open("earlier-invalid")).filter((checkpoint) => checkpoint !== undefined);
    this.#now = request.now ?? Number.POSITIVE_INFINITY;
    this.#compareEarlier();
  }

  add(leaf: Uint8Array): void {
    const index = this.#tree.size;
    const entry = this.#parse(leaf, index);
    if (entry !== undefined) this.#check(entry, index);
    this.#tree.append(leafHash(leaf));
    this.#compareEarlier();
  }

  finish(): VerifyReport {
    const size = this.#tree.size;
    this.#compareNewest(size);
    for (const { size: held } of this.#earlier.filter((checkpoint) => checkpoint.size > size)) {
      this.#note(
        "earlier-mismatch",
        undefined,
        `an earlier checkpoint was of ${held} entries, the log has ${size}: its end was cut`,
      );
    }
    const root = Buffer.from(this.#tree.root()).toString("base64");
    return { ok: this.#found === 0, findings: this.#findings, found: this.#found, size, root, leases: this.#replay.leases() };
  }

  #parse(leaf: Uint8Array, index: number): Entry | undefined {
    try {
      return entryOf(leaf);
    } catch (error) {
      this.#note("leaf-malformed", index, asBrokerError(error).message);
      return undefined;
    }
  }

  #check(entry: Entry, index: number): void {
    if (entry.index !== index) this.#note("index-gap", index, `the entry at ${index} says it is number ${entry.index}`);
    if (entry.time > this.#now + clockTolerance) this.#note("time-ahead", index, `entry ${index} is of a time to come`);
    for (const name of this.#replay.apply(entry)) {
      this.#note(name, index, `entry ${index} (${entry.event.kind}) cannot follow those before it`);
    }
  }

  #compareNewest(size: number): void {
    const checkpoint = this.#checkpoint;
    if (checkpoint === undefined) return;
    if (checkpoint.size !== size) {
      this.#note("size-mismatch", undefined, `the checkpoint is of ${checkpoint.size} entries, the log has ${size}`);
    } else if (Buffer.compare(checkpoint.root, this.#tree.root()) !== 0) {
      this.#note("root-mismatch", undefined, "the entries are not those that the checkpoint was signed over");
    }
  }

  #compareEarlier(): void {
    for (const earlier of this.#earlier.filter((checkpoint) => checkpoint.size === this.#tree.size)) {
      if (Buffer.compare(earlier.root, this.#tree.root()) === 0) continue;
      this.#note("earlier-mismatch", undefined, `the first ${earlier.size} entries are not those of an earlier checkpoint`);
    }
  }

  #note(name: FindingName, index: number | undefined, message: string): void {
    this.#found += 1;
    if (this.#findings.length < mostFindings) this.#findings.push({ name, index, message });
  }
}
