import { createLocalJWKSet, importJWK, type JWK, type LocalJWKSet } from "jose";
import { fitsType, inspectKey } from "./hygiene.ts";
import { isList, isObject, readJson } from "./json.ts";
import type { Algorithm } from "./profile.ts";

/** The keys of one issuer that may verify; never empty. */
export interface KeySet {
  readonly kids: ReadonlySet<string>;
  readonly find: LocalJWKSet;
  /** Why the others of the set are not in it; for the operator. */
  readonly unfit: readonly string[];
}

const maxKeys = 100;

/** Rejects where nothing usable is left, and where two usable keys share a kid: which one speaks would be chance. */
export async function readKeySet(bytes: Uint8Array, allowed: readonly Algorithm[]): Promise<KeySet> {
  const set = readJson(bytes);
  const keys = isObject(set) ? set["keys"] : undefined;
  if (!isList(keys)) throw new Error("not a key set");
  if (keys.length > maxKeys) throw new Error(`more than ${maxKeys} keys`);
  const usable: JWK[] = [];
  const unfit: string[] = [];
  for (const key of keys) {
    const inspected = inspectKey(key, allowed);
    const why = inspected.kind === "unfit" ? inspected.why : await importFlaw(inspected.jwk, allowed);
    if (inspected.kind === "usable" && why === undefined) usable.push(inspected.jwk);
    else unfit.push(why ?? "");
  }
  return { ...named(usable, unfit), unfit };
}

function named(usable: readonly JWK[], unfit: readonly string[]): Pick<KeySet, "kids" | "find"> {
  const kids = new Set(usable.map((key) => key.kid ?? ""));
  if (kids.size === 0) throw new Error(`no usable key: ${[...new Set(unfit)].join(", ") || "the set is empty"}`);
  if (kids.size !== usable.length) throw new Error("two keys with the same kid");
  return { kids, find: createLocalJWKSet({ keys: [...usable] }) };
}

/** OpenSSL's own checks: a point off its curve does not import. */
async function importFlaw(jwk: JWK, allowed: readonly Algorithm[]): Promise<string | undefined> {
  const algorithm = jwk.alg ?? allowed.find((candidate) => fitsType(jwk, candidate));
  try {
    await importJWK(jwk, algorithm);
    return undefined;
  } catch {
    return "a key that does not import";
  }
}
