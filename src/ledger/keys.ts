import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { loadOrCreate, unfit } from "../key-file.ts";

/**
 * The ledger's Ed25519 signing key from its PEM file, made on the first start. Refuses with `config-invalid` a file that another
 * user owns or can read, a link, and anything but an Ed25519 key. A made key is durable before it is returned: a checkpoint
 * must never outlive the only key that vouches for it.
 */
export async function loadOrCreateSigningKey(path: string): Promise<KeyObject> {
  const pem = await loadOrCreate(path, () => Promise.resolve(newKey()));
  const key = privateKey(pem);
  if (key?.asymmetricKeyType !== "ed25519") throw unfit(path, "does not hold an Ed25519 private key in PEM");
  return key;
}

function newKey(): string {
  return generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }).toString();
}

/** No cause is kept: OpenSSL's complaints may quote what they read. */
function privateKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}
