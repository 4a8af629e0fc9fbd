import { BrokerError } from "../errors.ts";
import { fromBase64, toBase64 } from "./base64.ts";
import { type Hash, hashLength } from "./merkle.ts";
import { type NoteSigner, type NoteVerifier, openNote, signNote } from "./note.ts";

/** A signed tree head (https://c2sp.org/tlog-checkpoint): this log, of this many entries, has this root. */
export interface Checkpoint {
  /** A schema-less URL that names the log; ours always equals the name of its key. */
  readonly origin: string;
  readonly size: number;
  readonly root: Hash;
}

export function signCheckpoint(tree: Omit<Checkpoint, "origin">, signer: NoteSigner): string {
  return signNote(`${signer.name}\n${tree.size}\n${toBase64(tree.root)}\n`, signer);
}

/** Throws `ledger-corrupt` unless the note is signed by `verifier` and is a checkpoint of the log of that name. */
export function openCheckpoint(note: string, verifier: NoteVerifier): Checkpoint {
  const checkpoint = parseCheckpoint(openNote(note, verifier));
  if (checkpoint.origin !== verifier.name) throw malformed("the checkpoint is of another log than its key");
  return checkpoint;
}

/** Extension lines are allowed and ignored, as the specification asks. */
function parseCheckpoint(text: string): Checkpoint {
  const [origin = "", size = "", root = "", ...extensions] = text.slice(0, -1).split("\n");
  if (origin === "") throw malformed("the checkpoint names no origin");
  if (!/^(0|[1-9][0-9]{0,15})$/.test(size) || !Number.isSafeInteger(Number(size)))
    throw malformed("the checkpoint's size is malformed");
  const hash = fromBase64(root);
  if (hash?.length !== hashLength) throw malformed("the checkpoint's root is malformed");
  if (extensions.includes("")) throw malformed("the checkpoint has an empty extension line");
  return { origin, size: Number(size), root: hash };
}

const malformed = (message: string): BrokerError => new BrokerError("ledger-corrupt", message);
