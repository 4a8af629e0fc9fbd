import { bare } from "../../src/identity/bare.ts";
import type { Json, JsonObject } from "../../src/identity/json.ts";

/** The same rules as `readJson`'s, written the long way, character by character: what it refuses, the fast one must refuse. */
export function readPlainly(bytes: Uint8Array): Json {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  const cursor: Cursor = { text, at: 0 };
  const value = readValue(cursor, 0);
  take(cursor, space);
  if (cursor.at !== cursor.text.length) throw new Error("something follows the value");
  return value;
}

const maxDepth = 16;

interface Cursor {
  readonly text: string;
  at: number;
}

const space = /[ \t\r\n]*/y;
const literal = /true|false|null/y;
const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
/** Its alternatives begin differently, so matching never backtracks. */
const string = /"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/uy;
const unprintable = /[\p{Cc}\p{Cs}]/u;

function readValue(cursor: Cursor, depth: number): Json {
  take(cursor, space);
  const next = cursor.text[cursor.at];
  if ((next === "{" || next === "[") && depth === maxDepth) throw new Error("nested too deeply");
  switch (next) {
    case "{":
      return readObject(cursor, depth);
    case "[":
      return readArray(cursor, depth);
    case '"':
      return readString(cursor);
    default:
      return readWord(cursor);
  }
}

function readObject(cursor: Cursor, depth: number): JsonObject {
  const members = bare<Json>();
  for (const _ of items(cursor, "}")) {
    const start = cursor.at;
    const name = readString(cursor);
    const isEscaped = cursor.text.slice(start, cursor.at).replaceAll("\\/", "").includes("\\");
    if (name === "__proto__" || Object.hasOwn(members, name) || isEscaped) throw new Error("an unsafe name");
    take(cursor, space);
    expect(cursor, ":");
    members[name] = readValue(cursor, depth + 1);
  }
  return members;
}

function readArray(cursor: Cursor, depth: number): readonly Json[] {
  const values: Json[] = [];
  for (const _ of items(cursor, "]")) values.push(readValue(cursor, depth + 1));
  return values;
}

/** Steps from comma to comma until `close`; whoever iterates reads one item at each step. */
function* items(cursor: Cursor, close: "}" | "]"): Generator<undefined> {
  cursor.at += 1;
  take(cursor, space);
  while (cursor.text[cursor.at] !== close) {
    yield;
    take(cursor, space);
    if (cursor.text[cursor.at] === close) break;
    expect(cursor, ",");
    take(cursor, space);
    if (cursor.text[cursor.at] === close) throw new Error("a comma before the end");
  }
  cursor.at += 1;
}

function readString(cursor: Cursor): string {
  const spelled = take(cursor, string);
  if (spelled === "") throw new Error("not a string");
  const text: unknown = JSON.parse(spelled);
  if (typeof text !== "string" || unprintable.test(text)) throw new Error("a control character or a lone surrogate");
  return text;
}

function readWord(cursor: Cursor): Json {
  const word = take(cursor, literal);
  if (word !== "") return word === "null" ? null : word === "true";
  const digits = take(cursor, number);
  const value = Number(digits);
  if (digits === "" || !Number.isFinite(value)) throw new Error("not a value");
  // A longer id would be rounded to that of somebody else.
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) throw new Error("a number too large to be held exactly");
  if (/[.eE]/.test(digits) && (digits.length >= 32 || !isSame(digits, String(value))))
    throw new Error("a number that is rounded");
  return value;
}

/** As fractions of whole numbers, which nothing rounds. */
function isSame(a: string, b: string): boolean {
  const [[overA, underA], [overB, underB]] = [fraction(a), fraction(b)];
  return overA * underB === overB * underA;
}

function fraction(number: string): readonly [over: bigint, under: bigint] {
  const [mantissa = "", exponent = "0"] = number.toLowerCase().split("e");
  const [whole = "", decimals = ""] = mantissa.split(".");
  const power = Number(exponent) - decimals.length;
  // Beyond what a double has, so that it equals no other; and small enough to be written out.
  if (Math.abs(power) > 2_000) return [/[1-9]/.test(mantissa) ? 1n : 0n, 10n ** 2_001n];
  const digits = BigInt(`${whole}${decimals}`);
  return power >= 0 ? [digits * 10n ** BigInt(power), 1n] : [digits, 10n ** BigInt(-power)];
}

function take(cursor: Cursor, pattern: RegExp): string {
  pattern.lastIndex = cursor.at;
  const found = pattern.exec(cursor.text)?.[0] ?? "";
  cursor.at += found.length;
  return found;
}

function expect(cursor: Cursor, character: string): void {
  if (cursor.text[cursor.at] !== character) throw new Error("a separator is missing");
  cursor.at += 1;
}
