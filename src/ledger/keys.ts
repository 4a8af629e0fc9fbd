import { createPrivateKey, generateKeyPairSync, type KeyObject, randomUUID } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, link, open, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { BrokerError } from "../errors.ts";

/**
 * The ledger's Ed25519 signing key from its PEM file, made on the first start. Refuses with `config-invalid` a file that another
 * user owns or can read, a link, and anything but an Ed25519 key. A made key is durable before it is returned: a checkpoint
 * must never outlive the only key that vouches for it.
 */
export async function loadOrCreateSigningKey(path: string): Promise<KeyObject> {
  return (await load(path)) ?? (await create(path));
}

async function load(path: string): Promise<KeyObject | undefined> {
  const file = await openKey(path);
  if (file === undefined) return undefined;
  try {
    checkPrivate(path, await file.stat());
    return parse(path, await file.readFile("utf8"));
  } finally {
    await file.close();
  }
}

async function openKey(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return undefined;
    throw unfit(path, "cannot be read", cause);
  }
}

function checkPrivate(path: string, stats: Stats): void {
  if (!stats.isFile()) throw unfit(path, "is not a regular file");
  if (stats.uid !== process.geteuid?.()) throw unfit(path, "belongs to another user");
  if ((stats.mode & 0o077) !== 0) throw unfit(path, "can be read by others; its mode must be 0600");
}

function parse(path: string, pem: string): KeyObject {
  const key = privateKey(pem);
  if (key?.asymmetricKeyType !== "ed25519") throw unfit(path, "does not hold an Ed25519 private key in PEM");
  return key;
}

/** No cause is kept: OpenSSL's complaints may quote what they read. */
function privateKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

/** Written aside and linked into place: nobody ever sees half a key, and of two brokers that start at once one key wins. */
async function create(path: string): Promise<KeyObject> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await writeDurably(aside, generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }));
    await link(aside, path).catch(ignoreExisting);
    await unlink(aside);
    await syncFolder(dirname(path));
  } catch (cause) {
    throw unfit(path, "cannot be created", cause);
  }
  const key = await load(path);
  if (key === undefined) throw unfit(path, "vanished while it was created");
  return key;
}

async function writeDurably(path: string, text: string | Buffer): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function ignoreExisting(error: unknown): void {
  if (!hasCode(error, "EEXIST")) throw error;
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function unfit(path: string, why: string, cause?: unknown): BrokerError {
  return new BrokerError("config-invalid", `the ledger's signing key ${why}`, {
    hint: `check the owner and mode of ${path}`,
    cause,
  });
}
