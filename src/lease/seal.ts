import { createCipheriv, createDecipheriv } from "node:crypto";
import { BrokerError } from "../errors.ts";
import { loadOrCreate, unfit } from "../key-file.ts";
import { Secret } from "../secret.ts";

export interface Seal {
  seal(secret: Secret): string;
  unseal(sealed: string): Secret;
}

/** AES-256-GCM (NIST SP 800-38D): 96 random bits of nonce, a tag of 128 bits; far fewer than 2^32 leases are sealed with one key. */
const algorithm = "aes-256-gcm";
const nonceLength = 12;
const tagLength = 16;

/**
 * Keeps secrets that a restarted broker needs to end a lease, where the upstream has no other name for them. The ledger holds the sealed
 * text, the key file stays beside the broker's others: whoever reads the ledger alone learns nothing.
 */
export async function openSeal(path: string, random: (bytes: number) => Buffer): Promise<Seal> {
  const text = await loadOrCreate(path, () => Promise.resolve(`${random(32).toString("base64")}\n`));
  const key = Buffer.from(text, "base64");
  if (key.length !== 32) throw unfit(path, "does not hold 32 bytes in base64");
  return {
    seal(secret) {
      const nonce = random(nonceLength);
      const cipher = createCipheriv(algorithm, key, nonce);
      const sealed = secret.use((bytes) => Buffer.concat([cipher.update(bytes), cipher.final()]));
      return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString("base64url");
    },
    unseal(text) {
      const whole = Buffer.from(text, "base64url");
      const opened = open(key, whole);
      if (opened === undefined)
        throw new BrokerError("internal", undefined, { detail: "a handle was not sealed by this broker" });
      const secret = Secret.of(opened);
      opened.fill(0);
      return secret;
    },
  };
}

function open(key: Buffer, whole: Buffer): Buffer | undefined {
  if (whole.length < nonceLength + tagLength) return undefined;
  const decipher = createDecipheriv(algorithm, key, whole.subarray(0, nonceLength), { authTagLength: tagLength });
  decipher.setAuthTag(whole.subarray(-tagLength));
  try {
    return Buffer.concat([decipher.update(whole.subarray(nonceLength, -tagLength)), decipher.final()]);
  } catch {
    return undefined;
  }
}
