import type { KeyObject } from "node:crypto";

/** What a user certificate says, as far as its scope goes (OpenSSH, PROTOCOL.certkeys). */
export interface Certificate {
  /** As in an authorized_keys file, without a comment. */
  readonly publicKey: string;
  readonly isUser: boolean;
  readonly keyId: string;
  readonly principals: readonly string[];
  readonly validBefore: bigint;
  readonly critical: ReadonlyMap<string, string>;
  readonly extensions: readonly string[];
}

const keyType = "ecdsa-sha2-nistp256";
const certificateType = `${keyType}-cert-v01@openssh.com`;

/** The line of a P-256 key (RFC 5656 section 3.1): the only kind that we make. */
export function publicKeyLine(key: KeyObject): string {
  const { x = "", y = "" } = key.export({ format: "jwk" });
  return lineOf(Buffer.concat([Buffer.of(4), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]));
}

function lineOf(point: Buffer): string {
  const parts = [Buffer.from(keyType), Buffer.from("nistp256"), point];
  return `${keyType} ${Buffer.concat(parts.map(sized)).toString("base64")}`;
}

function sized(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** Undefined for what is no such certificate. The signature is not checked: it came from the one who makes it. */
export function parseCertificate(line: string): Certificate | undefined {
  const [type, blob = ""] = line.split(" ");
  if (type !== certificateType) return undefined;
  try {
    return read(new Reader(Buffer.from(blob, "base64")));
  } catch {
    return undefined;
  }
}

function read(reader: Reader): Certificate | undefined {
  const [type] = [reader.text(), reader.bytes()];
  const [curve, point] = [reader.text(), reader.bytes()];
  if (type !== certificateType || curve !== "nistp256") return undefined;
  reader.long();
  const isUser = reader.int() === 1;
  const keyId = reader.text();
  const principals = new Reader(reader.bytes()).texts();
  reader.long();
  const validBefore = reader.long();
  const critical = pairs(reader.bytes());
  const extensions = [...pairs(reader.bytes()).keys()];
  return { publicKey: lineOf(point), isUser, keyId, principals, validBefore, critical, extensions };
}

/** Names and values; a value is a string inside a string, or nothing. */
function pairs(bytes: Buffer): ReadonlyMap<string, string> {
  const reader = new Reader(bytes);
  const found = new Map<string, string>();
  while (!reader.isDone) {
    const name = reader.text();
    const value = reader.bytes();
    found.set(name, value.length === 0 ? "" : new Reader(value).text());
  }
  return found;
}

/** SSH's own spelling of data (RFC 4251 section 5). Throws a RangeError past the end. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isDone(): boolean {
    return this.#at >= this.#bytes.length;
  }

  int(): number {
    const value = this.#bytes.readUInt32BE(this.#at);
    this.#at += 4;
    return value;
  }

  long(): bigint {
    const value = this.#bytes.readBigUInt64BE(this.#at);
    this.#at += 8;
    return value;
  }

  bytes(): Buffer {
    const length = this.int();
    if (this.#at + length > this.#bytes.length) throw new RangeError("it ends in the middle");
    const value = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return value;
  }

  text(): string {
    return this.bytes().toString("utf8");
  }

  texts(): readonly string[] {
    const found: string[] = [];
    while (!this.isDone) found.push(this.text());
    return found;
  }
}
