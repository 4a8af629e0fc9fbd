import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readdir, readFile, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { calculateJwkThumbprint, exportJWK, type JWK } from "jose";
import { loadOrCreate, readPrivate, replaceDurably, unfit } from "./key-file.ts";
import { type Duration, hour, type Instant, minute } from "./time.ts";

export type Algorithm = "RS256" | "ES256";

/**
 * The issuers that the broker is, and how long what each has signed can be good for, two clocks' difference included: so long a key that
 * signs no more stays published.
 */
export const rings = {
  proofs: { algorithm: "RS256", keep: 15 * minute },
  jobs: { algorithm: "ES256", keep: 25 * hour },
} as const satisfies Readonly<Record<string, { readonly algorithm: Algorithm; readonly keep: Duration }>>;

export type RingName = keyof typeof rings;

export interface PublicKey {
  readonly pem: string;
  readonly jwk: JWK & { readonly kid: string };
}

export interface SigningKey extends PublicKey {
  readonly key: KeyObject;
}

/**
 * An issuer's keys as files: `proofs.key` signs. `proofs.next.key` is published and does not sign yet, so that everybody can have read it by
 * then. `proofs.old.KID.pem` is the public half of a key that signed until the file's time: what it signed is still verified with it.
 */
export class KeyRing {
  readonly #folder: string;
  readonly #name: RingName;

  constructor(folder: string, name: RingName) {
    this.#folder = folder;
    this.#name = name;
  }

  /** Made on the first start. Refuses with `config-invalid` a file that holds another kind, or that others can read. */
  async open(): Promise<SigningKey> {
    const path = this.#path("key");
    return signingKey(path, await loadOrCreate(path, () => Promise.resolve(generate(this.#algorithm))), this.#algorithm);
  }

  /** The one that signs comes first. Makes and changes nothing, and is also for root, who looks into another user's folder. */
  async published(now: Instant): Promise<readonly PublicKey[]> {
    const signing = await this.#publicHalf("key");
    const next = await this.#publicHalf("next.key").catch(ifAbsent);
    const all = [signing, ...(next === undefined ? [] : [next]), ...(await this.#old(now))];
    return [...new Map(all.map((key) => [key.jwk.kid, key])).values()];
  }

  /** The key that will sign next: published from now on. The same one again where there is one already. */
  async prepare(): Promise<PublicKey> {
    const path = this.#path("next.key");
    return signingKey(path, await loadOrCreate(path, () => Promise.resolve(generate(this.#algorithm))), this.#algorithm);
  }

  /**
   * The prepared key signs from now on, if there is one. The other's private half is gone, and its public half stays published until nothing
   * that it signed can be good any more; where it leaked, neither it nor any older one is published at all.
   */
  async turn(now: Instant, leaked: boolean): Promise<SigningKey | undefined> {
    const path = this.#path("next.key");
    const text = await readPrivate(path);
    if (text === undefined) return undefined;
    const next = await signingKey(path, text, this.#algorithm);
    const before = await this.open();
    // In this order: a crash in between leaves one key published twice, and never one that signs unpublished.
    if (!leaked) await replaceDurably(this.#path(`old.${before.jwk.kid}.pem`), before.pem, now);
    await rename(path, this.#path("key"));
    if (leaked) for (const file of await this.#oldFiles()) await unlink(file);
    return next;
  }

  get #algorithm(): Algorithm {
    return rings[this.#name].algorithm;
  }

  #path(what: string): string {
    return join(this.#folder, `${this.#name}.${what}`);
  }

  async #publicHalf(what: string): Promise<PublicKey> {
    const path = this.#path(what);
    return publicKey(createPublicKey(parse(path, await readFile(path, "utf8"), this.#algorithm)), this.#algorithm);
  }

  async #old(now: Instant): Promise<readonly PublicKey[]> {
    const kept: PublicKey[] = [];
    for (const file of await this.#oldFiles()) {
      const { mtimeMs } = await stat(file);
      if (now < mtimeMs + rings[this.#name].keep)
        kept.push(await publicKey(createPublicKey(await readFile(file, "utf8")), this.#algorithm));
    }
    return kept;
  }

  async #oldFiles(): Promise<readonly string[]> {
    const files = await readdir(this.#folder);
    return files
      .filter((file) => file.startsWith(`${this.#name}.old.`) && file.endsWith(".pem"))
      .map((file) => join(this.#folder, file));
  }
}

async function signingKey(path: string, pem: string, algorithm: Algorithm): Promise<SigningKey> {
  const key = parse(path, pem, algorithm);
  return { key, ...(await publicKey(createPublicKey(key), algorithm)) };
}

async function publicKey(key: KeyObject, algorithm: Algorithm): Promise<PublicKey> {
  const jwk = await exportJWK(key);
  return {
    pem: key.export({ type: "spki", format: "pem" }).toString(),
    jwk: { ...jwk, kid: await calculateJwkThumbprint(jwk), alg: algorithm, use: "sig" },
  };
}

function generate(algorithm: Algorithm): string {
  const pair =
    algorithm === "RS256"
      ? generateKeyPairSync("rsa", { modulusLength: 3072 })
      : generateKeyPairSync("ec", { namedCurve: "P-256" });
  return pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

function parse(path: string, pem: string, algorithm: Algorithm): KeyObject {
  const key = privateKey(pem);
  if (key?.asymmetricKeyType !== (algorithm === "RS256" ? "rsa" : "ec"))
    throw unfit(path, `does not hold a private key for ${algorithm} in PEM`);
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

function ifAbsent(error: unknown): undefined {
  if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
}
