import { isPrivate } from "../keys/addresses.ts";
import { type PresetName, presetNames, presets } from "../presets/presets.ts";

interface WrittenUrl {
  readonly preset: PresetName;
  readonly url?: string | undefined;
  /** Where its keys are; only `discovery` asks the issuer itself. */
  readonly jwks: unknown;
  readonly allow_private: boolean;
}

const exactly = "write the issuer's URL exactly as its tokens have it in iss";

/** What `iss` must be: as written, else the preset's usual one. */
export function issuerUrl({ preset, url }: Pick<WrittenUrl, "preset" | "url">): string {
  return url ?? presets[preset].issuer.usual ?? "";
}

/** Why an issuer's `url` cannot be right; undefined where it can. */
export function urlFlaw({ preset, url, ...written }: WrittenUrl): string | undefined {
  const { usual, form } = presets[preset].issuer;
  if (url === undefined) return usual === undefined ? `each has its own, which must be written here: ${form}` : undefined;
  if (presets[preset].chosenBy === "trust-domain") return formFlaw(preset, url);
  return addressFlaw(url, written) ?? ownerFlaw(preset, url) ?? formFlaw(preset, url);
}

function addressFlaw(text: string, { jwks, allow_private: allowPrivate }: Omit<WrittenUrl, "preset" | "url">) {
  if (!URL.canParse(text)) return exactly;
  const { protocol, username, password, search, hash, href } = new URL(text);
  if ([username, password, search, hash].some((part) => part !== "")) return "an issuer's URL has no user, query or fragment";
  if (protocol !== "https:" && protocol !== "http:") return "an issuer is reached by https";
  // Nobody goes to an issuer whose keys are elsewhere.
  const flaw = privacyFlaw(text, allowPrivate || jwks !== "discovery", "an issuer");
  return flaw ?? (href === text || href === `${text}/` ? undefined : exactly);
}

/** A preset knows what its own vendor's tokens cannot prove; read by another's rules, they would say more. */
function ownerFlaw(preset: PresetName, url: string): string | undefined {
  const owner = presetNames.find((name) => presets[name].issuer.vendors?.test(url) === true);
  return owner === undefined || owner === preset ? undefined : `tokens from there are read by the preset ${owner}`;
}

function formFlaw(preset: PresetName, url: string): string | undefined {
  const { form, fits, path } = presets[preset].issuer;
  const plain = url.startsWith("http:") && presets[preset].chosenBy === "iss";
  if ((plain || fits.test(url)) && path?.test(url) !== false) return undefined;
  return preset === "generic" ? exactly : `the ${preset} form is ${form}`;
}

/** Why nothing may be fetched from this address, or be signed in its name. */
export function privacyFlaw(text: string, allowPrivate: boolean, what: string): string | undefined {
  const { protocol, hostname } = new URL(text);
  const nearby = isPrivate(hostname.replace(/^\[|\]$/g, ""));
  // A name would be whoever answers for it.
  if (protocol === "http:" && !nearby) return "plain http is for localhost and private addresses alone";
  return nearby && !allowPrivate ? `${what} at a private address needs allow_private: true` : undefined;
}
