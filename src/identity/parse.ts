import { BrokerError } from "../errors.ts";
import type { Secret } from "../secret.ts";
import { isList, isObject, type Json, type JsonObject, JsonRefused, readJson } from "./json.ts";
import { type Algorithm, algorithms } from "./profile.ts";

/** A token as it is spelled. Nothing in it is believed yet. */
export interface ParsedToken {
  readonly header: TokenHeader;
  readonly claims: JsonObject;
  /** The first two parts: what the signature is over, and the same for every spelling of the signature. */
  readonly signingInput: string;
  readonly compact: string;
}

export interface TokenHeader {
  readonly alg: Algorithm;
  readonly kid: string;
  readonly typ: string | undefined;
  /** Names of the members beside these three; the profile says which it knows. */
  readonly others: readonly string[];
}

/** Above any profile's own limit; checked before anything else is looked at. */
export const largestToken = 16_384;
/** Commas, colons and opening brackets of one part; a job with two hundred groups has some three hundred. */
const mostPieces = 512;

/**
 * The compact serialisation of RFC 7515 section 7.1, and nothing else that a lenient reader would also take (hardening
 * B-01): one spelling of each part, and members that no other reader could understand differently. Throws `token-malformed`;
 * the reason is for the operator.
 */
export function parseToken(token: Secret): ParsedToken {
  if (token.length > largestToken) throw malformed("longer than 16 KiB");
  const compact = token.use((bytes) => bytes.toString("latin1"));
  const [header = "", payload = "", signature = "", ...rest] = compact.split(".", 4);
  if (rest.length > 0) throw malformed("not three parts");
  decoded(signature, "signature");
  return {
    header: headerOf(objectOf(header, "header")),
    claims: checkedClaims(objectOf(payload, "payload")),
    signingInput: compact.slice(0, header.length + 1 + payload.length),
    compact,
  };
}

function malformed(detail: string): BrokerError {
  return new BrokerError("token-malformed", undefined, { detail });
}

/** Canonical base64url only: else one token has several spellings (spare bits, padding, blanks, the other alphabet). */
function decoded(part: string, name: string): Buffer {
  const bytes = Buffer.from(part, "base64url");
  if (part === "" || bytes.toString("base64url") !== part) throw malformed(`the ${name} is not canonical base64url`);
  return bytes;
}

function objectOf(part: string, name: string): JsonObject {
  const value = jsonOf(decoded(part, name), name);
  if (!isObject(value)) throw malformed(`the ${name} is not an object`);
  return value;
}

function jsonOf(bytes: Buffer, name: string): Json {
  try {
    return readJson(bytes, mostPieces);
  } catch (error) {
    throw malformed(`the ${name} is not strict JSON: ${error instanceof JsonRefused ? error.message : "unreadable"}`);
  }
}

const known: readonly string[] = ["alg", "kid", "typ"];
const keyId = /^[\x21-\x7e]{1,256}$/;

function headerOf(header: JsonObject): TokenHeader {
  const { kid, typ } = header;
  const alg = algorithms.find((algorithm) => algorithm === header["alg"]);
  if (alg === undefined) throw malformed("an algorithm that is not known");
  if (typeof kid !== "string" || !keyId.test(kid)) throw malformed("no usable kid");
  if (typ !== undefined && typeof typ !== "string") throw malformed("a typ that is not text");
  return { alg, kid, typ, others: Object.keys(header).filter((name) => !known.includes(name)) };
}

/** RFC 7519 section 4.1, as far as types go: whether a claim must be there is the profile's word. */
function checkedClaims(claims: JsonObject): JsonObject {
  for (const [name, fits] of registered) {
    const value = claims[name];
    if (value !== undefined && !fits(value)) throw malformed(`${name} is not of its type`);
  }
  return claims;
}

const registered: readonly (readonly [name: string, fits: (value: Json) => boolean])[] = [
  ["iss", isFilled],
  ["sub", isFilled],
  ["jti", isFilled],
  ["exp", isSecond],
  ["nbf", isSecond],
  ["iat", isSecond],
  ["aud", isAudience],
];

function isAudience(value: Json): boolean {
  return isFilled(value) || (isList(value) && value.every(isFilled));
}

function isFilled(value: Json): boolean {
  return typeof value === "string" && value !== "";
}

/** Milliseconds (13 digits) are refused here too: no token of this millennium expires after the year 9999. */
function isSecond(value: Json): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 253_402_300_800;
}
