import type { DatabaseSync, StatementSync } from "node:sqlite";
import { BrokerError } from "../../errors.ts";
import type { Instant } from "../../time.ts";
import { openCheckpoint, signCheckpoint } from "../checkpoint.ts";
import type { Entry, Event } from "../entry.ts";
import { entryOf, fit, sealEntry } from "../leaf.ts";
import { emptyRoot, Frontier, type Hash, inclusionProof, leafHash, verifyInclusion } from "../merkle.ts";
import { type NoteSigner, parseVerifierKey, verifierKey } from "../note.ts";
import { writeReceipt } from "../receipt.ts";
import { Row, rowOf } from "./row.ts";
import { schema, schemaVersion } from "./schema.ts";

/** An entry's place in a log that is not committed yet; `returnTo` forgets what came after. */
export interface LogMark {
  readonly frontier: Frontier;
  readonly time: Instant;
  readonly checkpoint: string;
}

/** The tables of a new database, and the checkpoint of the empty log. */
export function createLog(database: DatabaseSync, signer: NoteSigner): void {
  database.exec(schema);
  const note = signCheckpoint({ size: 0, root: emptyRoot }, signer);
  database.prepare("INSERT INTO meta VALUES (1, ?, ?, 0, ?)").run(schemaVersion, signer.name, note);
}

/**
 * Entries, tree and checkpoint. The checkpoint is signed over the tree in memory and written in the same transaction as its
 * entries: one fsync makes both durable, and a transaction that fails takes its signature, which nobody saw, with it.
 */
export class Log {
  readonly #signer: NoteSigner;
  readonly #insertEntry: StatementSync;
  readonly #insertNode: StatementSync;
  readonly #insertAbout: StatementSync;
  readonly #updateCheckpoint: StatementSync;
  readonly #readCheckpoint: StatementSync;
  readonly #readEntries: StatementSync;
  readonly #readNode: StatementSync;
  #frontier = new Frontier();
  #time: Instant = 0;
  #checkpoint = "";

  constructor(database: DatabaseSync, signer: NoteSigner) {
    this.#signer = signer;
    this.#insertEntry = database.prepare("INSERT INTO entry (idx, kind, leaf) VALUES (?, ?, ?)");
    this.#insertNode = database.prepare("INSERT INTO node (level, position, hash) VALUES (?, ?, ?)");
    this.#insertAbout = database.prepare("INSERT OR IGNORE INTO about (id, idx) VALUES (?, ?)");
    this.#updateCheckpoint = database.prepare("UPDATE meta SET checkpoint = ?");
    this.#readCheckpoint = database.prepare("SELECT version, origin, checkpoint FROM meta");
    this.#readEntries = database.prepare("SELECT idx, leaf FROM entry WHERE idx >= ? ORDER BY idx LIMIT ?");
    this.#readNode = database.prepare("SELECT hash FROM node WHERE level = ? AND position = ?");
  }

  get size(): number {
    return this.#frontier.size;
  }

  /** Throws `ledger-corrupt` unless the stored checkpoint is ours and was signed over exactly the stored rows. */
  load(): void {
    const note = this.#storedCheckpoint();
    const { size, root } = openCheckpoint(note, parseVerifierKey(verifierKey(this.#signer)));
    const frontier = new Frontier();
    let last: Uint8Array | undefined;
    for (const values of this.#readEntries.iterate(0, -1)) {
      const row = new Row(values);
      last = row.bytes("leaf");
      if (row.whole("idx") !== frontier.size) throw corrupt(`entry ${frontier.size} is missing`);
      frontier.append(leafHash(last));
    }
    if (frontier.size !== size) throw corrupt(`the checkpoint is of ${size} entries, the ledger has ${frontier.size}`);
    if (Buffer.compare(frontier.root(), root) !== 0) throw corrupt(this.#firstChanged());
    this.returnTo({ frontier, time: last === undefined ? 0 : entryOf(last).time, checkpoint: note });
  }

  /** Whether the stored log is the one in memory: after a failed commit nobody can say, until it has been read. */
  isCurrent(): boolean {
    return this.#storedCheckpoint() === this.#checkpoint;
  }

  mark(): LogMark {
    return { frontier: new Frontier(this.#frontier), time: this.#time, checkpoint: this.#checkpoint };
  }

  returnTo(mark: LogMark): void {
    this.#frontier = new Frontier(mark.frontier);
    this.#time = mark.time;
    this.#checkpoint = mark.checkpoint;
  }

  /** The log's time never goes back, whatever the clock does: the index is the order, and the time must not contradict it. */
  write(now: Instant, event: Event, about: readonly string[]): Entry {
    const { entry, leaf } = sealEntry({ v: 1, index: this.size, time: Math.max(now, this.#time), event: fit(event) });
    this.#insertEntry.run(entry.index, event.kind, leaf);
    for (const id of about) this.#insertAbout.run(id, entry.index);
    this.#frontier.append(leafHash(leaf), (level, position, hash) => this.#insertNode.run(level, position, hash));
    this.#time = entry.time;
    return entry;
  }

  /** The last write of a transaction. `since` is where it began. */
  seal(since: LogMark): void {
    if (since.frontier.size === this.size) return;
    this.#checkpoint = signCheckpoint({ size: this.size, root: this.#frontier.root() }, this.#signer);
    this.#updateCheckpoint.run(this.#checkpoint);
  }

  checkpoint(): string {
    return this.#checkpoint;
  }

  leaves(from: number, count: number): readonly Uint8Array[] {
    return this.#readEntries.all(from, count).map((values) => new Row(values).bytes("leaf"));
  }

  /** The proof is checked before it is given: a stored node that was changed must not become a receipt that fails later. */
  receipt(index: number): string {
    const [leaf] = Number.isSafeInteger(index) && index >= 0 ? this.leaves(index, 1) : [];
    if (leaf === undefined) throw new BrokerError("entry-unknown", `the ledger has no entry ${index}`);
    const proof = inclusionProof((level, position) => this.#node(level, position), index, this.size);
    const claim = { leaf: leafHash(leaf), index, size: this.size, proof, root: this.#frontier.root() };
    if (!verifyInclusion(claim)) throw corrupt(`the tree does not prove entry ${index}`);
    return writeReceipt({ leaf, index, proof, checkpoint: this.#checkpoint });
  }

  #storedCheckpoint(): string {
    const row = rowOf(this.#readCheckpoint.get());
    if (row?.whole("version") !== schemaVersion) throw corrupt(`its schema is not version ${schemaVersion}`);
    if (row.text("origin") !== this.#signer.name) throw corrupt("it is the ledger of another origin");
    return row.text("checkpoint");
  }

  #node(level: number, position: number): Hash {
    const row = rowOf(this.#readNode.get(level, position));
    if (row === undefined) throw corrupt(`node ${position} of level ${level} is missing`);
    return row.bytes("hash");
  }

  /** The stored leaf hashes only help to say where: it is the root that convicts. */
  #firstChanged(): string {
    for (const values of this.#readEntries.iterate(0, -1)) {
      const row = new Row(values);
      const index = row.whole("idx");
      const kept = rowOf(this.#readNode.get(0, index))?.bytes("hash");
      if (kept === undefined || Buffer.compare(kept, leafHash(row.bytes("leaf"))) !== 0) return `entry ${index} was changed`;
    }
    return "the entries are not those that the checkpoint was signed over";
  }
}

const corrupt = (why: string): BrokerError => new BrokerError("ledger-corrupt", `the ledger does not verify: ${why}`);
