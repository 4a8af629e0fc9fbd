import { Secret } from "../../secret.ts";
import { isObject, readJson } from "../json.ts";
import type { Profile, Reach } from "../profile.ts";
import type { ReadFile } from "./file.ts";
import { type KeySet, readKeySet } from "./keyset.ts";
import type { Fetch } from "./network.ts";
import { refused, unreachable } from "./trouble.ts";

/** How the outside is read; handed in. */
export interface Reading {
  readonly fetch: Fetch;
  readonly readFile: ReadFile;
}

const maxBytes = 256 * 1024;
const maxBearerBytes = 16 * 1024;

/** The issuer's keys as they are now. Rejects with what `troubleOf` understands. */
export async function discoverKeys(profile: Profile, reading: Reading, signal: AbortSignal): Promise<KeySet> {
  return readKeySet(await keysOf(profile, reading, signal), profile);
}

async function keysOf({ keys, issuer }: Profile, reading: Reading, signal: AbortSignal): Promise<Uint8Array> {
  switch (keys.kind) {
    case "inline":
      return Buffer.from(keys.text);
    case "file":
      return reading.readFile(keys.path, maxBytes);
    case "url":
      return (await reach(keys, keys.url, { reading, signal }))(keys.url);
    case "discovery": {
      const get = await reach(keys, issuer, { reading, signal });
      return get(keysAddress(await get(wellKnown(issuer)), issuer));
    }
  }
}

/** OpenID Connect Discovery 1.0: the document at the issuer's own URL, and of it only where the keys are. */
function keysAddress(bytes: Uint8Array, issuer: string): string {
  const document = readJson(bytes);
  if (!isObject(document)) throw refused("the discovery document is not an object");
  // Section 4.3: else any page of a shared host could name the keys of another issuer.
  if (document["issuer"] !== issuer) throw refused("the discovery document speaks for another issuer");
  const address = document["jwks_uri"];
  if (typeof address !== "string" || !URL.canParse(address)) throw refused("the discovery document names no keys");
  // Whoever is on the way to plain http could add a key of its own.
  if (issuer.startsWith("https://") && !address.startsWith("https://"))
    throw refused("the discovery document names keys that are not at https");
  return address;
}

/** Section 4.1: appended after the issuer's path, its last slash removed. */
function wellKnown(issuer: string): string {
  return `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
}

/**
 * A way to get pages, for which the configured server is not like any other: it alone is shown the bearer token, and it alone may be
 * private. Else a document could send the broker to any page of the network that it stands in.
 */
async function reach(
  { authority, allowPrivate, bearer: path }: Reach,
  home: string,
  { reading, signal }: { readonly reading: Reading; readonly signal: AbortSignal },
): Promise<(url: string) => Promise<Uint8Array>> {
  const bearer = path === undefined ? undefined : await bearerIn(path, reading.readFile);
  return (url) => {
    const atHome = new URL(url).origin === new URL(home).origin;
    const trusted = atHome ? { allowPrivate, bearer } : { allowPrivate: false, bearer: undefined };
    return reading.fetch(url, { signal, authority, maxBytes, ...trusted });
  };
}

async function bearerIn(path: string, readFile: ReadFile): Promise<Secret> {
  const bytes = await readFile(path, maxBearerBytes).catch(() => {
    throw unreachable("the bearer token's file cannot be read");
  });
  const token = Buffer.from(bytes).toString("latin1").trim();
  // RFC 6750 section 2.1; a line break would begin another header.
  if (!/^[A-Za-z0-9._~+/-]+=*$/.test(token)) throw unreachable("the bearer token's file holds no bearer token");
  return Secret.of(token);
}
