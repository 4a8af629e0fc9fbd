import { isMap, isScalar, isSeq, type Pair, parseDocument, type Scalar, type YAMLMap, type YAMLSeq } from "yaml";

type Keys = readonly string[];

/** A change of a template's text that leaves its comments and its layout as they are. */
export type Edit =
  /** `key: text` in the map at `path`, which is made at the file's end where the template has none at its top. */
  | { readonly kind: "set"; readonly path: Keys; readonly key: string; readonly text: string }
  /** What stands in a list for each of these items; nothing where it goes. */
  | { readonly kind: "items"; readonly path: Keys; readonly by: ReadonlyMap<string, readonly string[]> }
  /** `key: {}` in the map at `path`, where it has no such key: what a template that names some of its base's would drop. */
  | { readonly kind: "keep"; readonly path: Keys; readonly key: string }
  | { readonly kind: "remove"; readonly path: Keys; readonly key: string };

interface Splice {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** Each is made in the text that the ones before it left. The text must be YAML that loads; the same text comes back where there is nothing to change. */
export function edited(text: string, edits: readonly Edit[]): string {
  return edits.reduce(
    (before, edit) =>
      splicesOf(before, edit)
        .toSorted((a, b) => b.from - a.from)
        .reduce((all, { from, to, text: instead }) => all.slice(0, from) + instead + all.slice(to), before),
    text,
  );
}

/** The plain value at a path of the text. */
export function valueAt(text: string, path: Keys): unknown {
  const value: unknown = parseDocument(text).toJS({ maxAliasCount: 0 });
  return path.reduce<unknown>(
    (node, key) => (typeof node === "object" && node !== null ? Object.getOwnPropertyDescriptor(node, key)?.value : undefined),
    value,
  );
}

function splicesOf(text: string, edit: Edit): readonly Splice[] {
  if (edit.kind !== "keep") return changesOf(text, edit);
  const { path, key } = edit;
  return valueAt(text, [...path, key]) === undefined ? changesOf(text, { kind: "set", path, key, text: "{}" }) : [];
}

function changesOf(text: string, edit: Exclude<Edit, { kind: "keep" }>): readonly Splice[] {
  const document = parseDocument(text);
  const node: unknown = edit.path.length === 0 ? document.contents : document.getIn(edit.path, true);
  if (edit.kind === "items") return isSeq(node) ? itemSplices(text, node, edit.by) : [];
  if (!isMap(node)) return edit.kind === "set" ? newMap(text, edit) : [];
  const pair = pairOf(node, edit.key);
  if (edit.kind === "remove") return pair === undefined ? [] : [removal(text, node, pair)];
  if (pair === undefined) return [addition(text, node, edit)];
  const [from, to] = rangeOf(pair.value);
  return [{ from, to, text: edit.text }];
}

function pairOf(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find((item) => isScalar(item.key) && item.key.value === key);
}

function newMap(text: string, { path, key, text: value }: Extract<Edit, { kind: "set" }>): readonly Splice[] {
  const [name] = path;
  if (name === undefined || path.length > 1 || valueAt(text, path) !== undefined) return [];
  const gap = text.endsWith("\n") ? "" : "\n";
  return [{ from: text.length, to: text.length, text: `${gap}${name}:\n  ${key}: ${value}\n` }];
}

/** After a member of one line, so that nothing of a longer one is torn apart. */
function addition(text: string, map: YAMLMap, { key, text: value }: Extract<Edit, { kind: "set" }>): Splice {
  const last = map.items.at(-1);
  if (map.flow === true) {
    const [start, end] = rangeOf(map);
    if (last === undefined) return { from: start, to: end, text: `{ ${key}: ${value} }` };
    const at = rangeOf(last.value ?? last.key)[1];
    return { from: at, to: at, text: `, ${key}: ${value}` };
  }
  const before = map.items.findLast(
    ({ value: member }) => isScalar(member) && member.type !== "BLOCK_LITERAL" && member.type !== "BLOCK_FOLDED",
  );
  const indent = " ".repeat(column(text, rangeOf(map.items[0]?.key)[0]));
  if (before === undefined) {
    const at = rangeOf(map.items[0]?.key)[0];
    return { from: at, to: at, text: `${key}: ${value}\n${indent}` };
  }
  const at = lineEnd(text, rangeOf(before.value)[1]);
  return { from: at, to: at, text: `\n${indent}${key}: ${value}` };
}

function removal(text: string, map: YAMLMap, pair: Pair): Splice {
  const index = map.items.indexOf(pair);
  const [from] = rangeOf(pair.key);
  const to = rangeOf(pair.value ?? pair.key)[1];
  if (map.flow !== true) return wholeLines(text, from, to);
  const previous = map.items[index - 1];
  if (previous !== undefined) return { from: rangeOf(previous.value ?? previous.key)[1], to, text: "" };
  const next = map.items[index + 1];
  return { from, to: next === undefined ? to : rangeOf(next.key)[0], text: "" };
}

function itemSplices(text: string, list: YAMLSeq, by: ReadonlyMap<string, readonly string[]>): readonly Splice[] {
  const items = list.items.filter(isScalar);
  const instead = (item: Scalar): readonly string[] | undefined => by.get(String(item.value));
  const left = items.flatMap((item) => instead(item)?.map(quoted) ?? [text.slice(...rangeOf(item))]);
  const [from, to] = rangeOf(list);
  if (list.flow === true) return [{ from, to, text: `[${left.join(", ")}]` }];
  if (left.length === 0) return [{ from: text.lastIndexOf(":", from) + 1, to: lineEnd(text, to), text: " []" }];
  return items.flatMap((item) => itemSplice(text, item, instead(item)));
}

function itemSplice(text: string, item: Scalar, instead: readonly string[] | undefined): readonly Splice[] {
  if (instead === undefined) return [];
  const [from, to] = rangeOf(item);
  if (instead.length === 0) return [wholeLines(text, from, to)];
  const indent = text.slice(text.lastIndexOf("\n", from) + 1, from);
  return [{ from, to, text: instead.map(quoted).join(`\n${indent}`) }];
}

/** A `*` at the beginning would be an alias. */
function quoted(item: string): string {
  return /^[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?$/.test(item) ? item : JSON.stringify(item);
}

/** With what is left of their last line, such as a comment. */
function wholeLines(text: string, from: number, to: number): Splice {
  const end = lineEnd(text, to);
  return { from: text.lastIndexOf("\n", from - 1) + 1, to: Math.min(end + 1, text.length), text: "" };
}

function lineEnd(text: string, at: number): number {
  // A block's range may end behind its last newline.
  if (at > 0 && text[at - 1] === "\n") return at - 1;
  const end = text.indexOf("\n", at);
  return end < 0 ? text.length : end;
}

function column(text: string, at: number): number {
  return at - (text.lastIndexOf("\n", at - 1) + 1);
}

function rangeOf(node: unknown): readonly [number, number] {
  const range = typeof node === "object" && node !== null && "range" in node ? node.range : undefined;
  return Array.isArray(range) ? [Number(range[0]), Number(range[1])] : [0, 0];
}
