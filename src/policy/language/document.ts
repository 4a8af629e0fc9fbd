import {
  type Document,
  isCollection,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type Pair,
  type ParsedNode,
  parseAllDocuments,
  visit,
  type YAMLMap,
} from "yaml";
import type { Problem } from "../problem.ts";

/** One file of the tree that a policy is made of. */
export interface TemplateSource {
  /** Its path beneath the folder of templates, with slashes: `shop/deploy.yaml`. */
  readonly file: string;
  readonly text: string;
}

export type SourceKind = "template" | "set" | "bounds" | "test";

/** Its name alone says what a file is. */
export function kindOf(file: string): SourceKind {
  if (file === "bounds.yaml" || file.endsWith("/bounds.yaml")) return "bounds";
  if (file.endsWith(".set.yaml")) return "set";
  return file.endsWith(".test.yaml") ? "test" : "template";
}

export type Path = readonly PropertyKey[];

/** A file's plain value, and where in the file each part of it stands. */
export interface TemplateDocument {
  readonly value: unknown;
  readonly text: string;
  problem(path: Path, message: string, fix?: string): Problem;
  /** As it is spelled, where an unquoted number stands there: what its quotes should hold. */
  numberAt(path: Path): string | undefined;
  /** How many keys of the path are there, from its first on. */
  reach(path: Path): number;
}

export type DocumentRead =
  | { readonly kind: "document"; readonly document: TemplateDocument }
  | { readonly kind: "problems"; readonly problems: readonly Problem[] };

const maxSize = 262_144;

/** What is wrong with a file as YAML is said so often; the rest would be the same. */
const mostOddities = 50;

/**
 * YAML 1.2 without what makes a file mean something else than it shows: no anchors, aliases, tags, merge keys, duplicate keys,
 * directives, byte order mark or second document (hardening P-10 to P-13).
 */
export function readDocument(source: TemplateSource): DocumentRead {
  const { file, text } = source;
  const whole = (message: string): DocumentRead => ({ kind: "problems", problems: [fileProblem(file, message)] });
  if (text.length > maxSize) return whole("longer than 256 KiB");
  if (text.startsWith("\uFEFF")) return whole("begins with a byte order mark");
  const lines = new LineCounter();
  const options = {
    version: "1.2",
    schema: "core",
    merge: false,
    // Checked below, in linear time: the parser compares every key with every other.
    uniqueKeys: false,
    strict: true,
    stringKeys: true,
    prettyErrors: false,
    lineCounter: lines,
  } as const;
  const parsed = parseAllDocuments(text, options);
  const [document, second] = [...parsed];
  if (document === undefined || document.contents === null) return whole("the file is empty");
  if (second !== undefined) return whole("more than one document; give each template its own file");
  const at = (offset: number, message: string): Problem => ({
    ...fileProblem(file, message),
    line: lines.linePos(offset).line,
  });
  const problems = [...document.errors, ...document.warnings].map((error) => at(error.pos[0], firstLine(error.message)));
  problems.push(...oddities(document).map(({ offset, message }) => at(offset, message)));
  if (problems.length > 0) return { kind: "problems", problems: problems.slice(0, mostOddities) };
  return { kind: "document", document: located(source, document, lines) };
}

/** What is wrong with a file as a whole. */
export function fileProblem(file: string, message: string, fix?: string): Problem {
  return { rule: "invalid", level: "error", file, line: 0, key: "", message, fix };
}

/** The parser goes down as many frames of the stack as there are levels, and says so itself when these are too many. */
function firstLine(text: string): string {
  return text.includes("call stack") ? "nested too deeply" : (text.split("\n", 1)[0] ?? text);
}

interface Oddity {
  readonly offset: number;
  readonly message: string;
}

function oddities(document: Document.Parsed): readonly Oddity[] {
  const found: Oddity[] = [];
  const add = (node: { range?: readonly number[] | null | undefined }, message: string): void => {
    found.push({ offset: node.range?.[0] ?? 0, message });
  };
  if (hasDirective(document)) found.push({ offset: 0, message: "a directive" });
  visit(document, {
    Alias: (_, node) => add(node, "an alias; write the value out"),
    Node: (_, node) => {
      if ("anchor" in node && node.anchor !== undefined) add(node, "an anchor; write the value out where it is used");
      if (node.tag !== undefined) add(node, "a tag; quote the value instead");
      if (isMap(node)) for (const { offset, message } of oddKeys(node)) found.push({ offset, message });
    },
  });
  return found;
}

/** `%YAML`, or a `%TAG` beside the one that is always there. */
function hasDirective({ directives: { yaml, tags } }: Document.Parsed): boolean {
  return yaml.explicit === true || Object.keys(tags).length > 1 || tags["!!"] !== "tag:yaml.org,2002:";
}

function oddKeys(map: YAMLMap): readonly Oddity[] {
  const seen = new Set<unknown>();
  return map.items.flatMap(({ key }) => {
    if (!isScalar(key)) return [];
    const offset = key.range?.[0] ?? 0;
    const twice = seen.has(key.value);
    seen.add(key.value);
    if (twice) return [{ offset, message: "Map keys must be unique" }];
    if (key.value === "<<") return [{ offset, message: "a merge key; write the keys out" }];
    return key.value === "__proto__" ? [{ offset, message: "a key that no template can have" }] : [];
  });
}

function located({ file, text }: TemplateSource, document: Document.Parsed, lines: LineCounter): TemplateDocument {
  const value: unknown = document.toJS({ maxAliasCount: 0 });
  return {
    value,
    text,
    problem: (path, message, fix) => {
      const { offset } = place(document.contents, path);
      return { ...fileProblem(file, message, fix), line: lines.linePos(offset).line, key: path.map(String).join(".") };
    },
    reach: (path) => {
      let node: unknown = value;
      const end = path.findIndex((key) => {
        node = Object.getOwnPropertyDescriptor(Object(node), key)?.value;
        return node === undefined;
      });
      return end < 0 ? path.length : end;
    },
    numberAt: (path) => {
      const { node } = place(document.contents, path);
      return isScalar(node) && typeof node.value === "number" ? node.source : undefined;
    },
  };
}

/** The first, with what is written in others: a path is looked up where it is, else in the first that comes nearest. */
export function layered(documents: readonly [TemplateDocument, ...TemplateDocument[]]): TemplateDocument {
  const [{ value, text }] = documents;
  const nearest = (path: Path): TemplateDocument =>
    documents.reduce((best, document) => (document.reach(path) > best.reach(path) ? document : best));
  return {
    value,
    text,
    problem: (path, message, fix) => nearest(path).problem(path, message, fix),
    numberAt: (path) => nearest(path).numberAt(path),
    reach: (path) => nearest(path).reach(path),
  };
}

interface Place {
  readonly offset: number;
  readonly node: unknown;
}

/** The node at the path; where the path leads to something that is missing, the offset is of the nearest thing above it. */
function place(contents: ParsedNode | null, path: Path): Place {
  const start: Place = { offset: contents?.range[0] ?? 0, node: contents };
  return path.reduce((above: Place, key) => below(above, key), start);
}

/** The pairs of each map that was looked into, so that a map with many flaws is not gone through for each of them. */
const pairsOf = new WeakMap<YAMLMap, ReadonlyMap<unknown, Pair>>();

function pairAt(map: YAMLMap, key: PropertyKey): Pair | undefined {
  const pairs = pairsOf.get(map) ?? new Map(map.items.flatMap((pair) => (isScalar(pair.key) ? [[pair.key.value, pair]] : [])));
  pairsOf.set(map, pairs);
  return pairs.get(key);
}

/** A pair stands where its key does. */
function below({ offset, node }: Place, key: PropertyKey): Place {
  if (!isCollection(node)) return { offset, node: undefined };
  const pair = isMap(node) ? pairAt(node, key) : undefined;
  const child: unknown = pair === undefined ? node.get(key, true) : pair.value;
  const start: unknown = pair === undefined ? child : pair.key;
  return { offset: isNode(start) ? (start.range?.[0] ?? offset) : offset, node: child };
}
