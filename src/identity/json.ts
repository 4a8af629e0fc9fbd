import { bare } from "./bare.ts";

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

interface Cursor {
  readonly text: string;
  at: number;
}

/**
 * Reads JSON (RFC 8259) more strictly than `JSON.parse`, so that no two readers of one token can understand it differently:
 * no duplicate members however they are spelled, no `__proto__`, no number that a double cannot hold exactly, no control
 * characters or lone surrogates even when escaped, at most 16 levels. Linear in its input. Throws `JsonRefused`.
 */
export function readJson(bytes: Uint8Array): Json {
  const cursor: Cursor = { text: decoded(bytes), at: 0 };
  const value = readValue(cursor, 0);
  take(cursor, space);
  if (cursor.at !== cursor.text.length) throw new JsonRefused("something follows the value");
  return value;
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A byte order mark is kept by `ignoreBOM`, and then is no JSON. */
function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new JsonRefused("not UTF-8", { cause });
  }
}

const space = /[ \t\r\n]*/y;
const literal = /true|false|null/y;
const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
/** Its alternatives begin differently, so matching never backtracks. */
const string = /"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/uy;
const unprintable = /[\p{Cc}\p{Cs}]/u;

function readValue(cursor: Cursor, depth: number): Json {
  if (depth > maxDepth) throw new JsonRefused("nested too deeply");
  take(cursor, space);
  switch (cursor.text[cursor.at]) {
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
    const name = readString(cursor);
    if (name === "__proto__" || Object.hasOwn(members, name))
      throw new JsonRefused("a member that is there twice, or named __proto__");
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
    if (cursor.text[cursor.at] === close) throw new JsonRefused("a comma before the end");
  }
  cursor.at += 1;
}

function readString(cursor: Cursor): string {
  const spelled = take(cursor, string);
  if (spelled === "") throw new JsonRefused("not a string");
  const text: unknown = JSON.parse(spelled);
  if (typeof text !== "string" || unprintable.test(text)) throw new JsonRefused("a control character or a lone surrogate");
  return text;
}

function readWord(cursor: Cursor): Json {
  const word = take(cursor, literal);
  if (word !== "") return word === "null" ? null : word === "true";
  const digits = take(cursor, number);
  const value = Number(digits);
  if (digits === "" || !Number.isFinite(value)) throw new JsonRefused("not a value");
  // A longer id would be rounded to that of somebody else.
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) throw new JsonRefused("a number too large to be held exactly");
  return value;
}

function take(cursor: Cursor, pattern: RegExp): string {
  pattern.lastIndex = cursor.at;
  const found = pattern.exec(cursor.text)?.[0] ?? "";
  cursor.at += found.length;
  return found;
}

function expect(cursor: Cursor, character: string): void {
  if (cursor.text[cursor.at] !== character) throw new JsonRefused("a separator is missing");
  cursor.at += 1;
}
