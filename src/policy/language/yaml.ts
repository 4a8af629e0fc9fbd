import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  Parser,
  type YAMLMap,
} from "yaml";
import { PlaceNotes, type Places } from "./places.ts";
import type { Stepwise } from "./stepwise.ts";

/** What one file may make of its reader: a line of text is a level or a value in a few characters. */
const most = { characters: 262_144, levels: 64, tokens: 100_000 } as const;

export interface Yaml {
  readonly value: unknown;
  readonly places: Places;
  lineAt(offset: number): number;
}

/** Line 0 is the whole file. */
export interface YamlFlaw {
  readonly line: number;
  readonly message: string;
}

export type YamlRead =
  | { readonly kind: "yaml"; readonly yaml: Yaml }
  | { readonly kind: "flaws"; readonly flaws: readonly YamlFlaw[] };

/**
 * YAML 1.2 without what makes a file mean something else than it shows: no anchors, aliases, tags, merge keys, duplicate keys,
 * directives, byte order mark or second document (hardening P-10 to P-13), and no character that does not show.
 */
export function* readYaml(text: string): Stepwise<YamlRead> {
  const flaw = textFlaw(text);
  if (flaw !== undefined) return { kind: "flaws", flaws: [flaw] };
  const lines = new LineCounter();
  const lineAt = (offset: number): number => lines.linePos(offset).line;
  const tokens = yield* tokensOf(text, lines);
  if ("message" in tokens) return { kind: "flaws", flaws: [tokens] };
  const [document, second] = composed(tokens, lines);
  if (document === undefined || document.contents === null) return whole("the file is empty");
  if (second !== undefined) return whole(twoDocuments);
  const walk: Walk = { notes: new PlaceNotes(), oddities: [] };
  if (hasDirective(document)) walk.oddities.push({ offset: 0, message: "a directive" });
  const value = valueOf({ node: document.contents, offset: document.contents.range[0] }, walk);
  const errors = [...document.errors, ...document.warnings].map(({ pos, message }) => ({
    offset: pos[0],
    message: firstLine(message),
  }));
  const found = [...errors, ...walk.oddities].map(({ offset, message }) => ({ line: lineAt(offset), message }));
  return found.length > 0
    ? { kind: "flaws", flaws: found }
    : { kind: "yaml", yaml: { value, places: walk.notes.of(value), lineAt } };
}

function whole(message: string): YamlRead {
  return { kind: "flaws", flaws: [{ line: 0, message }] };
}

const twoDocuments = "more than one document; give each template its own file";

/**
 * What an editor shows as a line's end, or not at all, or in another order, and YAML reads as one more character: behind a carriage return
 * alone, a condition can look like a line and be a part of the comment before it.
 */
const unseen = /(?![\t\n])(?!\r\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

function textFlaw(text: string): YamlFlaw | undefined {
  if (text.length > most.characters) return { line: 0, message: "longer than 256 KiB" };
  if (text.startsWith("\uFEFF")) return { line: 0, message: "begins with a byte order mark" };
  const [character] = unseen.exec(text) ?? [];
  if (character === undefined) return undefined;
  const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  const line = text.slice(0, text.indexOf(character)).split("\n").length;
  return { line, message: `the character U+${code}, with which a file means something else than it shows; take it out` };
}

/** The parser's own steps, so that it is stopped before it goes down a stack of levels, and between two of them. */
function* tokensOf(text: string, lines: LineCounter): Stepwise<readonly CST.Token[] | YamlFlaw> {
  const parser = new Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  let read = 0;
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) {
      if (token.type === "document" && tokens.some(({ type }) => type === "document"))
        return { line: 0, message: twoDocuments };
      tokens.push(token);
    }
    if (parser.stack.length > most.levels) return { line: lines.linePos(parser.offset).line, message: "nested too deeply" };
    read += 1;
    if (read > most.tokens) return { line: 0, message: `more than ${most.tokens} words and signs of YAML` };
    if (read % betweenSteps === 0) yield;
  }
  return [...tokens, ...parser.end()];
}

const betweenSteps = 2_000;

function composed(tokens: readonly CST.Token[], lineCounter: LineCounter) {
  const composer = new Composer({
    version: "1.2",
    schema: "core",
    merge: false,
    // Checked below, in linear time: the composer compares every key with every other.
    uniqueKeys: false,
    strict: true,
    stringKeys: true,
    prettyErrors: false,
    lineCounter,
  });
  return [...composer.compose(tokens)];
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? text;
}

/** `%YAML`, or a `%TAG` beside the one that is always there. */
function hasDirective({ directives: { yaml, tags } }: Document.Parsed): boolean {
  return yaml.explicit === true || Object.keys(tags).length > 1 || tags["!!"] !== "tag:yaml.org,2002:";
}

interface Walk {
  readonly notes: PlaceNotes;
  readonly oddities: { readonly offset: number; readonly message: string }[];
}

interface Standing {
  readonly node: unknown;
  readonly offset: number;
}

/** A node's plain value; where it stands, and what is odd about it, is noted. */
function valueOf({ node, offset }: Standing, walk: Walk): unknown {
  const index = walk.notes.open(offset);
  const value = plainOf(node, index, walk);
  walk.notes.close(index);
  return value;
}

function plainOf(node: unknown, index: number, walk: Walk): unknown {
  checkNode(node, walk);
  if (isScalar(node)) {
    if (typeof node.value === "number") walk.notes.number(index, node.source ?? "");
    return node.value;
  }
  if (isSeq(node)) return node.items.map((item) => valueOf({ node: item, offset: offsetOf(item) }, walk));
  return isMap(node) ? recordOf(node, walk) : null;
}

function recordOf(map: YAMLMap, walk: Walk): unknown {
  const entries = inOrder(map.items).map(({ key, value }) => {
    checkNode(key, walk);
    return [keyOf(key), valueOf({ node: value, offset: offsetOf(key) }, walk)] as const;
  });
  const record = Object.fromEntries(entries);
  if (Object.keys(record).length < entries.length || Object.hasOwn(record, "<<") || Object.hasOwn(record, "__proto__"))
    checkKeys(map, walk);
  return record;
}

/** Keys that are whole numbers come first in an object, whatever the file's order is. */
function inOrder(items: YAMLMap["items"]): YAMLMap["items"] {
  if (!items.some(({ key }) => /^[0-9]/.test(keyOf(key)))) return items;
  const ordered = Object.keys(Object.fromEntries(items.map(({ key }) => [keyOf(key), true])));
  const places = new Map(ordered.map((key, index) => [key, index]));
  return items.toSorted((a, b) => (places.get(keyOf(a.key)) ?? 0) - (places.get(keyOf(b.key)) ?? 0));
}

function keyOf(key: unknown): string {
  return isScalar(key) ? String(key.value) : "";
}

function offsetOf(node: unknown): number {
  return (isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range?.[0] : undefined) ?? 0;
}

function checkNode(node: unknown, { oddities }: Walk): void {
  const add = (message: string): void => void oddities.push({ offset: offsetOf(node), message });
  if (isAlias(node)) return add("an alias; write the value out");
  if (!isScalar(node) && !isMap(node) && !isSeq(node)) return;
  if (node.anchor !== undefined) add("an anchor; write the value out where it is used");
  if (node.tag !== undefined) add("a tag; quote the value instead");
}

function checkKeys(map: YAMLMap, { oddities }: Walk): void {
  const seen = new Set<unknown>();
  for (const { key } of map.items) {
    if (!isScalar(key)) continue;
    const add = (message: string): void => void oddities.push({ offset: offsetOf(key), message });
    if (seen.has(key.value)) add("Map keys must be unique");
    else if (key.value === "<<") add("a merge key; write the keys out");
    else if (key.value === "__proto__") add("a key that no template can have");
    seen.add(key.value);
  }
}
