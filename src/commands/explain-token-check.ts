import type { Check, Examination } from "../identity/examine.ts";
import type { Json } from "../identity/json.ts";
import type { ParsedToken } from "../identity/parse.ts";
import type { Profile } from "../identity/profile.ts";
import { momentText } from "./explain-claim.ts";

/** What a check was about, in the token's own values; never a part of its text. */
export function aboutCheck({ check }: Check, { parsed, profile }: Examination): string {
  if (parsed === undefined) return "";
  if (profile !== undefined) return abouts[check](parsed, profile);
  return check === "form" ? form(parsed) : `iss is ${shown(parsed.claims["iss"])}`;
}

const abouts: Readonly<Record<Check["check"], (parsed: ParsedToken, profile: Profile) => string>> = {
  form,
  issuer: ({ claims }, { name, preset }) => `iss is ${shown(claims["iss"])}: ${name}, preset ${preset}`,
  header: ({ header }) => `alg ${header.alg}, kid ${shown(header.kid)}, typ ${shown(header.typ)}`,
  keys,
  signature: ({ header }) => `${header.alg} by ${shown(header.kid)}`,
  audience: ({ claims }, { audience }) => `aud is ${shown(claims["aud"])}, wanted is ${shown(audience)} alone`,
  times: ({ claims }) => `issued ${moment(claims["iat"])}, valid from ${moment(claims["nbf"])} until ${moment(claims["exp"])}`,
  claims: (_, { required }) => `required are ${required.join(", ") || "none"}`,
};

function form({ compact }: ParsedToken): string {
  return `${compact.length} bytes`;
}

function keys(_: ParsedToken, { keys: { kind }, issuer, hold }: Profile): string {
  const held = hold === 0 ? "" : "; whether the broker holds this key back for now is not known here";
  return `${kind} of ${issuer}${held}`;
}

function shown(value: Json | undefined): string {
  if (value === undefined) return "absent";
  const text = JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

function moment(second: Json | undefined): string {
  return momentText(second) ?? shown(second);
}
