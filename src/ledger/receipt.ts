import { BrokerError } from "../errors.ts";
import { fromBase64, toBase64 } from "./base64.ts";
import { openCheckpoint } from "./checkpoint.ts";
import type { Entry } from "./entry.ts";
import { entryOf } from "./leaf.ts";
import { type Hash, hashLength, leafHash, verifyInclusion } from "./merkle.ts";
import { parseVerifierKey } from "./note.ts";

/**
 * A receipt proves, offline and with nothing but the log's verifier key, that an entry is in the log. It is a C2SP tlog-proof
 * (https://c2sp.org/tlog-proof) whose `extra` line is the entry's canonical bytes, so it also says what was recorded.
 */
export interface ReceiptParts {
  readonly leaf: Uint8Array;
  readonly index: number;
  readonly proof: readonly Hash[];
  /** A signed note. */
  readonly checkpoint: string;
}

export interface VerifiedReceipt {
  readonly entry: Entry;
  readonly origin: string;
  /** How many entries the log had when the receipt was written. */
  readonly size: number;
}

const header = "c2sp.org/tlog-proof@v1";
/** A tree of 2^53 leaves has no longer path. */
const longestProof = 53;

export function writeReceipt(parts: ReceiptParts): string {
  const proof = parts.proof.map((hash) => `${toBase64(hash)}\n`).join("");
  return `${header}\nextra ${toBase64(parts.leaf)}\nindex ${parts.index}\n${proof}\n${parts.checkpoint}`;
}

/** Throws `ledger-corrupt` with the first thing that does not hold, and `usage` for a verifier key that is none. */
export function verifyReceipt(text: string, vkey: string): VerifiedReceipt {
  const parts = parseReceipt(text);
  const checkpoint = openCheckpoint(parts.checkpoint, parseVerifierKey(vkey));
  const claim = {
    leaf: leafHash(parts.leaf),
    index: parts.index,
    size: checkpoint.size,
    proof: parts.proof,
    root: checkpoint.root,
  };
  if (!verifyInclusion(claim)) throw broken("the receipt's entry is not in the log of its checkpoint");
  const entry = entryOf(parts.leaf);
  if (entry.index !== parts.index) throw broken("the receipt's entry stands at another index");
  return { entry, origin: checkpoint.origin, size: checkpoint.size };
}

function parseReceipt(text: string): ReceiptParts {
  const blank = text.indexOf("\n\n");
  if (blank < 0) throw broken("the receipt has no checkpoint");
  const [first, extra = "", index = "", ...proof] = text.slice(0, blank).split("\n");
  if (first !== header) throw broken("the receipt is not a c2sp.org/tlog-proof@v1");
  if (proof.length > longestProof) throw broken("the receipt's proof is too long");
  return { leaf: leafLine(extra), index: indexLine(index), proof: proof.map(proofHash), checkpoint: text.slice(blank + 2) };
}

function leafLine(line: string): Buffer {
  const leaf = fromBase64(/^extra (\S+)$/.exec(line)?.[1] ?? "no leaf");
  if (leaf === undefined) throw broken("the receipt holds no entry");
  return leaf;
}

function indexLine(line: string): number {
  const index = /^index (0|[1-9][0-9]{0,15})$/.exec(line)?.[1];
  if (index === undefined) throw broken("the receipt's index is malformed");
  return Number(index);
}

function proofHash(line: string): Hash {
  const hash = fromBase64(line);
  if (hash?.length !== hashLength) throw broken("the receipt's proof is malformed");
  return hash;
}

const broken = (message: string): BrokerError => new BrokerError("ledger-corrupt", message);
