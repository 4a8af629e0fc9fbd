import { type CryptoKey, calculateJwkThumbprint, importJWK, type JWK } from "jose";
import { BrokerError } from "../../errors.ts";
import { isList, isObject, type Json, readJson } from "../json.ts";
import type { Algorithm } from "../profile.ts";
import { fittingAlgorithms, inspectKey, type KeyRules } from "./hygiene.ts";
import { refused } from "./trouble.ts";

/** What a token's header says of its key. */
export interface KeyQuery {
  readonly alg: string;
  readonly kid: string;
}

/** A key as it is told from every other: its id, and its RFC 7638 thumbprint (SHA-256, base64url). */
export interface KnownKey {
  readonly kid: string;
  readonly thumbprint: string;
}

/** A key that may verify, imported once for each algorithm that it may be used with. */
export interface VerifyingKey extends KnownKey {
  readonly byAlgorithm: ReadonlyMap<string, CryptoKey>;
}

/** The keys of one issuer that may verify; never empty. */
export interface KeySet {
  readonly byKid: ReadonlyMap<string, VerifyingKey>;
  /** Why keys that were meant to verify are not in it; for the operator. */
  readonly unfit: readonly string[];
  /** Throws `token-signature` where there is none for this algorithm. */
  find(query: KeyQuery): CryptoKey;
}

const maxKeys = 100;

/** Rejects where nothing usable is left, and where two usable keys share a kid: which one speaks would be chance. */
export async function readKeySet(bytes: Uint8Array, rules: KeyRules): Promise<KeySet> {
  const set = readJson(bytes);
  const keys = isObject(set) ? set["keys"] : undefined;
  if (!isList(keys)) throw refused("not a key set");
  if (keys.length > maxKeys) throw refused(`more than ${maxKeys} keys`);
  const read = await Promise.all(keys.map((key) => readKey(key, rules)));
  const usable = read.flatMap((one) => (one.kind === "usable" ? [one.key] : []));
  const byKid = new Map(usable.map((key) => [key.kid, key]));
  if (byKid.size === 0) throw refused(`no usable key: ${reasons(read) || "the set is empty"}`);
  if (byKid.size !== usable.length) throw refused("two keys with the same kid");
  const unfit = read.flatMap((one) => (one.kind === "unfit" ? [one.why] : []));
  return { byKid, unfit, find: (query) => keyIn(byKid, query) };
}

type Read =
  | { readonly kind: "usable"; readonly key: VerifyingKey }
  | { readonly kind: "foreign" | "unfit"; readonly why: string };

function reasons(read: readonly Read[]): string {
  return [...new Set(read.flatMap((one) => (one.kind === "usable" ? [] : [one.why])))].join(", ");
}

function keyIn(byKid: KeySet["byKid"], { alg, kid }: KeyQuery): CryptoKey {
  const key = byKid.get(kid)?.byAlgorithm.get(alg);
  if (key === undefined) throw new BrokerError("token-signature", undefined, { detail: "its issuer has no such key" });
  return key;
}

async function readKey(json: Json, rules: KeyRules): Promise<Read> {
  const inspected = inspectKey(json, rules);
  if (inspected.kind !== "usable") return inspected;
  const { kid, jwk } = inspected;
  // OpenSSL's own checks: a point off its curve does not import.
  const imported = await importedKeys(jwk, fittingAlgorithms(jwk, rules.algorithms)).catch(() => undefined);
  if (imported === undefined) return { kind: "unfit", why: "a key that does not import" };
  return { kind: "usable", key: { kid, thumbprint: await calculateJwkThumbprint(jwk), byAlgorithm: imported } };
}

async function importedKeys(jwk: JWK, algorithms: readonly Algorithm[]): Promise<ReadonlyMap<string, CryptoKey>> {
  const imported = new Map<string, CryptoKey>();
  for (const algorithm of algorithms) {
    const key = await importJWK({ ...jwk, alg: algorithm }, algorithm);
    if (key instanceof Uint8Array) throw refused("a symmetric key");
    imported.set(algorithm, key);
  }
  return imported;
}
