import { isPrivate } from "../keys/network.ts";
import { type PresetName, presets } from "../presets/presets.ts";

interface WrittenUrl {
  readonly preset: PresetName;
  readonly url?: string | undefined;
  readonly allow_private: boolean;
}

/** What `iss` must be: as written, else the preset's usual one. */
export function issuerUrl({ preset, url }: Pick<WrittenUrl, "preset" | "url">): string {
  return url ?? presets[preset].issuer.usual ?? "";
}

/** Why an issuer's `url` cannot be right; undefined where it can. */
export function urlFlaw({ preset, url, allow_private: allowPrivate }: WrittenUrl): string | undefined {
  const { usual, form, fits } = presets[preset].issuer;
  if (url === undefined) return usual === undefined ? `each has its own, which must be written here: ${form}` : undefined;
  const flaw = presets[preset].chosenBy === "iss" ? reachFlaw(url, allowPrivate) : undefined;
  if (flaw !== undefined) return flaw;
  // Plain http was allowed above: whoever runs an issuer so has made it himself, in whatever form.
  if (fits.test(url) || url.startsWith("http:")) return undefined;
  return preset === "generic" ? "write the issuer's URL exactly as its tokens have it in iss" : `the ${preset} form is ${form}`;
}

/** Why nothing may be fetched from this address, or be signed in its name. */
function reachFlaw(text: string, allowPrivate: boolean): string | undefined {
  if (!URL.canParse(text)) return "write the issuer's URL exactly as its tokens have it in iss";
  const { protocol, username, password, search, hash } = new URL(text);
  if ([username, password, search, hash].some((part) => part !== "")) return "an issuer's URL has no user, query or fragment";
  if (protocol !== "https:" && protocol !== "http:") return "an issuer is reached by https";
  return privacyFlaw(text, allowPrivate, "an issuer");
}

export function privacyFlaw(text: string, allowPrivate: boolean, what: string): string | undefined {
  if (allowPrivate) return undefined;
  const { protocol, hostname } = new URL(text);
  if (protocol === "http:") return "plain http needs allow_private: true";
  return isPrivate(hostname.replace(/^\[|\]$/g, "")) ? `${what} at a private address needs allow_private: true` : undefined;
}
