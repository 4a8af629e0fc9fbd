import { isAscii, isUtf8 } from "node:buffer";

/** A JSON value, strictly read. Objects have no prototype: a member is there only if the text has it. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

export interface JsonObject {
  readonly [name: string]: Json;
}

/** The reason never quotes the text: it may come from anybody. */
export class JsonRefused extends Error {
  override readonly name = "JsonRefused";
}

const maxDepth = 16;
/** Of a key set, which has up to a hundred keys; a token's own limit is lower. */
const mostPieces = 16_384;

/**
 * Reads JSON (RFC 8259) more strictly than `JSON.parse`, so that no two readers of one token can understand it differently:
 * no duplicate members, no escape in a name but that of a slash, no `__proto__`, no number that a double would read back as another, no
 * control characters or lone surrogates even when escaped, at most 16 levels, and at most `most` commas, colons and opening
 * brackets. Linear. Throws `JsonRefused`.
 *
 * `JSON.parse` alone reads; what it is too lenient about is seen in the text before it and in the value after it. Of two
 * members with one name it keeps the last: then the value has fewer members than the text has colons.
 */
export function readJson(bytes: Uint8Array, most = mostPieces): Json {
  if (!isUtf8(bytes)) throw new JsonRefused("not UTF-8");
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  const members = membersIn(text, most);
  // Without these, no string needs another look: `JSON.parse` refuses the other control characters itself.
  const plain = isAscii(bytes) && !text.includes("\\") && !text.includes("\x7f");
  const value = parsed(text.includes("\\") ? withPlainNames(text) : text);
  if (!hasMembers(value, members, plain)) throw new JsonRefused("a member that is there twice");
  return value;
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const [quote, backslash, colon, comma, dot] = [0x22, 0x5c, 0x3a, 0x2c, 0x2e];
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * The colons outside of strings: one a member, in every text that is JSON at all. Depth and number are refused before anything
 * is built, since `JSON.parse` has no limits of its own and what it builds costs far more than its text.
 */
function membersIn(text: string, most: number): number {
  let [members, pieces, depth] = [0, 0, 0];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) at = endOfString(text, at);
    else if (code === dot || isExponent(code, text, at)) at = endOfExactNumber(text, at);
    else {
      members += code === colon ? 1 : 0;
      pieces += isPiece(code) ? 1 : 0;
      depth += step(code);
    }
    if (depth > maxDepth) throw new JsonRefused("nested too deeply");
    if (pieces > most) throw new JsonRefused("too many members or items");
  }
  return members;
}

function isPiece(code: number): boolean {
  return code === comma || code === colon || code === openList || code === openObject;
}

/** At the next quote that no backslash takes away. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (isTakenAway(text, end)) end = text.indexOf('"', end + 1);
  if (end < 0) throw notJson();
  return end;
}

function isTakenAway(text: string, end: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(end - backslashes - 1) === backslash) backslashes += 1;
  return backslashes % 2 === 1;
}

/** Not the `e` of `true` or `false`. */
function isExponent(code: number, text: string, at: number): boolean {
  return (code | 0x20) === 0x65 && isDigit(text.charCodeAt(at - 1));
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** More than any double needs: `-1.7976931348623157e+308`. */
const longestNumber = 32;

/**
 * Where the number ends that has a fraction or an exponent at this place. `20.00000000000000001` would be read as 20, and 1e-400 as 0: as
 * somebody else's id. Whole numbers without either are looked at once they are read.
 */
function endOfExactNumber(text: string, at: number): number {
  const found = /^[0-9.eE+-]+/.exec(text.slice(at, at + longestNumber))?.[0] ?? "";
  const before = /-?[0-9]*$/.exec(text.slice(Math.max(at - longestNumber, 0), at))?.[0] ?? "";
  const number = before + found;
  if (number.length >= longestNumber || decimal(number) !== decimal(String(Number(number))))
    throw new JsonRefused("a number that would be read as another");
  return at + found.length - 1;
}

/** The one spelling of a decimal number: its digits without zeros around them, and the power of ten that they are times. */
function decimal(number: string): string {
  const [, sign = "", whole = "", fraction = "", exponent = "0"] =
    /^(-?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?$/.exec(number) ?? [];
  const digits = `${whole}${fraction}`.replace(/^0+/, "");
  const significant = digits.replace(/0+$/, "");
  if (significant === "") return "0";
  return `${sign}${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`;
}

function step(code: number): number {
  if (code === openObject || code === openList) return 1;
  return code === closeObject || code === closeList ? -1 : 0;
}

/** Without its cause, whose message quotes the text. */
function notJson(): JsonRefused {
  return new JsonRefused("not JSON");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw notJson();
  }
}

/**
 * Names without an escape: that of a slash is taken back, and any other refused. Once anybody has made it read a name such as
 * `re\\`, V8 takes the name `re\u0066` for it (nodejs/node#63785); and no CI system writes `ref` like that.
 */
function withPlainNames(text: string): string {
  const written: string[] = [];
  let [done, start] = [0, 0];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      start = at;
      at = endOfString(text, at);
    } else if (code === colon) {
      written.push(text.slice(done, start), plainName(text.slice(start, at)));
      done = at;
      start = at;
    }
  }
  return written.join("") + text.slice(done);
}

function plainName(name: string): string {
  const plain = name.replaceAll("\\/", "/");
  if (plain.includes("\\")) throw new JsonRefused("an escape in a member's name");
  return plain;
}

const unprintable = /[\p{Cc}\p{Cs}]/u;
/** `JSON.parse` gives nothing that is not `Json`; whether that is the whole of its text is asked here. */
function hasMembers(value: unknown, members: number, plain: boolean): value is Json {
  return checked(value, plain) === members;
}

/** How many members there are in all. Takes the prototype from each object on the way. */
function checked(value: unknown, plain: boolean): number {
  if (typeof value === "string") return checkedString(value, plain);
  if (typeof value === "number") return checkedNumber(value);
  if (Array.isArray(value)) return checkedList(value, plain);
  return isRecord(value) ? checkedObject(value, plain) : 0;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function checkedString(text: string, plain: boolean): 0 {
  if (!plain && unprintable.test(text)) throw new JsonRefused("a control character or a lone surrogate");
  return 0;
}

function checkedName(name: string, plain: boolean): void {
  if (name === "__proto__") throw new JsonRefused("a member named __proto__");
  checkedString(name, plain);
}

/** A longer id would be rounded to that of somebody else. */
function checkedNumber(value: number): 0 {
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) throw new JsonRefused("a number too large to be held exactly");
  return 0;
}

function checkedList(items: readonly unknown[], plain: boolean): number {
  let members = 0;
  for (const item of items) members += checked(item, plain);
  return members;
}

function checkedObject(object: Readonly<Record<string, unknown>>, plain: boolean): number {
  let members = 0;
  for (const name in object) {
    checkedName(name, plain);
    members += 1 + checked(object[name], plain);
  }
  Object.setPrototypeOf(object, null);
  return members;
}
