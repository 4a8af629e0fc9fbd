import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { loadOrCreate, unfit } from "../key-file.ts";
import { Secret } from "../secret.ts";
import type { Clock, Duration, Instant } from "../time.ts";
import type { Authority, SshCertificateRequest } from "./provider.ts";
import { text, texts, uint32, uint64 } from "./ssh-wire.ts";

const keyType = "ssh-ed25519";
const certificateType = "ssh-ed25519-cert-v01@openssh.com";

/** `SSH_CERT_TYPE_USER` (OpenSSH, PROTOCOL.certkeys): never a host. */
const user = 1;

/** Two hosts' clocks may differ by this much without a fresh certificate being "not yet valid". */
const skew: Duration = 60_000;

export interface SshAuthority {
  /** One line: what a server puts into the file that its `TrustedUserCAKeys` names. */
  readonly publicKey: string;
  issue: Authority["issueSshCertificate"];
}

/** The broker's own CA for SSH user certificates, its Ed25519 key in a PEM file that is made on the first start. */
export async function openSshAuthority(path: string, clock: Clock, random: (bytes: number) => Buffer): Promise<SshAuthority> {
  const key = parse(path, await loadOrCreate(path, () => Promise.resolve(generate())));
  return {
    publicKey: sshPublicKey(key),
    issue: async (request) => {
      const pair = generateKeyPairSync("ed25519");
      const nonce = random(32);
      const certificate = certify(key, { ...request, nonce, now: clock.now(), publicKey: rawOf(pair.publicKey) });
      return { certificate, privateKey: privateKeyFile(pair.privateKey, request.keyId, random(4)) };
    },
  };
}

/** As `authorized_keys` and `TrustedUserCAKeys` spell it. */
export function sshPublicKey(key: KeyObject): string {
  return `${keyType} ${publicBlob(rawOf(key)).toString("base64")} mayfly`;
}

interface Certifying extends SshCertificateRequest {
  readonly nonce: Buffer;
  readonly now: Instant;
  /** The job's. */
  readonly publicKey: Buffer;
}

/** OpenSSH, PROTOCOL.certkeys: every field in this order, the signature over all that stands before it. */
function certify(key: KeyObject, request: Certifying): string {
  const { serial, keyId, principals, notAfter, criticalOptions, extensions, nonce, now, publicKey } = request;
  // A certificate without principals is good for every user of a server.
  if (principals.length === 0 || principals.includes("")) throw new Error("an SSH certificate needs principals");
  const unsigned = Buffer.concat([
    text(certificateType),
    text(nonce),
    text(publicKey),
    uint64(serial),
    uint32(user),
    text(keyId),
    texts(principals),
    uint64(seconds(now - skew)),
    uint64(seconds(notAfter)),
    options(criticalOptions),
    options(Object.fromEntries(extensions.map((name) => [name, undefined]))),
    text(""),
    text(publicBlob(rawOf(key))),
  ]);
  const signature = Buffer.concat([text(keyType), text(sign(null, unsigned, key))]);
  return `${certificateType} ${Buffer.concat([unsigned, text(signature)]).toString("base64")} ${keyId}\n`;
}

/** Names in lexical order, each value a string inside a string; an extension's is empty. */
function options(named: Readonly<Record<string, string | undefined>>): Buffer {
  const sorted = Object.entries(named).sort(([one], [other]) => (one < other ? -1 : 1));
  const packed = sorted.flatMap(([name, value]) => [text(name), text(value === undefined ? "" : text(value))]);
  return text(Buffer.concat(packed));
}

/**
 * OpenSSH's own format, unencrypted (OpenSSH, PROTOCOL.key): its older versions read no other for Ed25519. The two check
 * numbers only tell a right passphrase from a wrong one.
 */
function privateKeyFile(key: KeyObject, comment: string, check: Buffer): Secret {
  const [raw, seed] = [rawOf(key), seedOf(key)];
  const whole = Buffer.concat([seed, raw]);
  const inner = Buffer.concat([check, check, text(keyType), text(raw), text(whole), text(comment)]);
  const pad = Buffer.from(Array.from({ length: (8 - (inner.length % 8)) % 8 }, (_, index) => index + 1));
  const file = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    text("none"),
    text("none"),
    text(""),
    uint32(1),
    text(publicBlob(raw)),
    text(Buffer.concat([inner, pad])),
  ]);
  try {
    const lines = file.toString("base64").replaceAll(/.{1,70}/g, "$&\n");
    return Secret.of(`-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}-----END OPENSSH PRIVATE KEY-----\n`);
  } finally {
    for (const bytes of [seed, whole, inner, file]) bytes.fill(0);
  }
}

function publicBlob(raw: Buffer): Buffer {
  return Buffer.concat([text(keyType), text(raw)]);
}

/** The 32 bytes of an Ed25519 public key; they are the last ones of its DER (RFC 8410 section 4). */
function rawOf(key: KeyObject): Buffer {
  const half = key.type === "private" ? createPublicKey(key) : key;
  return half.export({ type: "spki", format: "der" }).subarray(-32);
}

/** RFC 8410 section 7: the last ones of the private key's too. */
function seedOf(key: KeyObject): Buffer {
  const der = key.export({ type: "pkcs8", format: "der" });
  try {
    return Buffer.from(der.subarray(-32));
  } finally {
    der.fill(0);
  }
}

function seconds(instant: Instant): bigint {
  return BigInt(Math.floor(instant / 1_000));
}

function generate(): string {
  return generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

function parse(path: string, pem: string): KeyObject {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch {
    // OpenSSL's complaint may quote what it read.
  }
  throw unfit(path, "does not hold an Ed25519 key in PEM");
}
