import { isObject, readJson } from "./json.ts";
import { type KeySet, readKeySet } from "./keyset.ts";
import type { Fetch, FetchOptions } from "./network.ts";
import type { Profile } from "./profile.ts";

const maxBytes = 256 * 1024;

/** The issuer's keys as they are now: from its file, else by OpenID Connect Discovery 1.0. Rejects with a plain error. */
export async function discoverKeys(profile: Profile, fetch: Fetch, signal: AbortSignal): Promise<KeySet> {
  const { keys } = profile;
  if (keys.kind === "file") return readKeySet(Buffer.from(keys.text), profile.algorithms);
  const options: FetchOptions = { signal, authority: keys.authority, allowPrivate: keys.allowPrivate, maxBytes };
  const document = readJson(await fetch(wellKnown(profile.issuer), options));
  if (!isObject(document)) throw new Error("the discovery document is not an object");
  // Section 4.3: else any page of a shared host could name the keys of another issuer.
  if (document["issuer"] !== profile.issuer) throw new Error("the discovery document speaks for another issuer");
  const address = document["jwks_uri"];
  if (typeof address !== "string" || !URL.canParse(address)) throw new Error("the discovery document names no keys");
  if (!keys.allowPrivate && !address.startsWith("https://"))
    throw new Error("the discovery document names keys that are not at https");
  return readKeySet(await fetch(address, options), profile.algorithms);
}

/** Section 4.1: appended after the issuer's path, its last slash removed. */
function wellKnown(issuer: string): string {
  return `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
}
