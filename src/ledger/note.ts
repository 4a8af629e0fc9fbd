import { createHash, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { BrokerError } from "../errors.ts";
import { fromBase64, toBase64 } from "./base64.ts";

/**
 * Signed notes (https://c2sp.org/signed-note), Ed25519 only: a text that ends in a newline, a blank line, then one line for
 * each signature. Go's own `sumdb/note` reads the same.
 */
export interface NoteSigner {
  readonly name: string;
  readonly id: string;
  readonly key: KeyObject;
}

export interface NoteVerifier {
  readonly name: string;
  readonly id: string;
  readonly key: KeyObject;
}

const ed25519 = 0x01;
const keyLength = 32;
const signatureLength = 64;
const dash = "\u2014 ";
/** A note is read before anything in it is trusted, so its work is bounded; the spec asks for at least 16. */
const mostSignatures = 100;

export function noteSigner(name: string, key: KeyObject): NoteSigner {
  return { name: checkName(name), id: keyId(name, rawPublicKey(key)), key };
}

/** The public half as others configure it: `NAME+KEYID+BASE64`. */
export function verifierKey(signer: NoteSigner): string {
  return `${signer.name}+${signer.id}+${toBase64(Buffer.concat([Buffer.of(ed25519), rawPublicKey(signer.key)]))}`;
}

/** Throws `usage` for anything but an Ed25519 key whose id is its own. */
export function parseVerifierKey(text: string): NoteVerifier {
  const [, name, id, encoded] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/su.exec(text) ?? [];
  const bytes = fromBase64(encoded ?? "");
  if (name === undefined || id === undefined || bytes === undefined) throw badKey("the verifier key is not NAME+ID+BASE64");
  if (bytes.length !== 1 + keyLength || bytes[0] !== ed25519) throw badKey("the verifier key is not an Ed25519 key");
  const raw = bytes.subarray(1);
  if (keyId(checkName(name), raw) !== id) throw badKey("the verifier key's id is not the id of its key");
  const jwk = { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") };
  return { name, id, key: createPublicKey({ key: jwk, format: "jwk" }) };
}

/** Throws on a text that no note can hold. */
export function signNote(text: string, signer: NoteSigner): string {
  if (!isNoteText(text))
    throw new BrokerError("internal", undefined, { detail: "a note's text has control characters or no final newline" });
  const signature = sign(null, Buffer.from(text, "utf8"), signer.key);
  return `${text}\n${dash}${signer.name} ${toBase64(Buffer.concat([Buffer.from(signer.id, "hex"), signature]))}\n`;
}

/**
 * The text, once a signature of `verifier` over it was checked. Signatures of others are ignored; one that claims to be by
 * `verifier` and is not makes the whole note worthless. Throws `ledger-corrupt`.
 */
export function openNote(note: string, verifier: NoteVerifier): string {
  const blank = note.lastIndexOf("\n\n");
  const text = note.slice(0, blank + 1);
  if (blank < 0 || !isNoteText(text)) throw broken("the signed note is malformed");
  const ours = signatureLines(note.slice(blank + 2)).filter((line) => line.name === verifier.name && line.id === verifier.id);
  if (ours.length === 0) throw broken("the signed note has no signature by the expected key");
  const message = Buffer.from(text, "utf8");
  const genuine = ours.every(
    (line) => line.signature.length === signatureLength && verify(null, message, verifier.key, line.signature),
  );
  if (!genuine) throw broken("the signed note's signature does not verify");
  return text;
}

interface SignatureLine {
  readonly name: string;
  readonly id: string;
  readonly signature: Buffer;
}

function signatureLines(block: string): readonly SignatureLine[] {
  if (!block.endsWith("\n")) throw broken("the signed note does not end in a newline");
  const lines = block.slice(0, -1).split("\n");
  if (lines.length > mostSignatures) throw broken("the signed note has too many signatures");
  return lines.map(signatureLine);
}

function signatureLine(line: string): SignatureLine {
  const [, name, encoded] = /^\u2014 (\S+) (\S+)$/u.exec(line) ?? [];
  const bytes = fromBase64(encoded ?? "");
  if (name === undefined || !isName(name) || bytes === undefined || bytes.length < 5)
    throw broken("the signed note has a malformed signature line");
  return { name, id: bytes.subarray(0, 4).toString("hex"), signature: bytes.subarray(4) };
}

function keyId(name: string, raw: Uint8Array): string {
  const hash = createHash("sha256").update(name).update(Buffer.of(0x0a, ed25519)).update(raw);
  return hash.digest().subarray(0, 4).toString("hex");
}

function rawPublicKey(key: KeyObject): Buffer {
  const { crv, x } = createPublicKey(key).export({ format: "jwk" });
  if (crv !== "Ed25519" || x === undefined) throw badKey("the ledger's key is not an Ed25519 key");
  return Buffer.from(x, "base64url");
}

/** A little stricter than the specification, which forbids only the controls below U+0020. */
function isNoteText(text: string): boolean {
  return text.endsWith("\n") && !/[\p{Cc}\p{Cs}]/u.test(text.replaceAll("\n", ""));
}

function isName(name: string): boolean {
  return /^[^+\p{White_Space}\p{Cc}\p{Cs}]+$/u.test(name);
}

function checkName(name: string): string {
  if (!isName(name)) throw badKey("a ledger's name must not be empty, nor hold a space or a plus sign");
  return name;
}

const badKey = (message: string): BrokerError => new BrokerError("usage", message);
const broken = (message: string): BrokerError => new BrokerError("ledger-corrupt", message);
