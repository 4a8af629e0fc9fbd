import {
  type Document,
  isCollection,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type ParsedNode,
  parseAllDocuments,
  visit,
} from "yaml";
import type { Problem } from "./problem.ts";

/** One template's file. */
export interface TemplateSource {
  /** Its name in the folder. */
  readonly file: string;
  readonly text: string;
}

export type Path = readonly PropertyKey[];

/** A file's plain value, and where in the file each part of it stands. */
export interface TemplateDocument {
  readonly value: unknown;
  problem(path: Path, message: string, fix?: string): Problem;
  /** As it is spelled, where an unquoted number stands there: what its quotes should hold. */
  numberAt(path: Path): string | undefined;
}

export type DocumentRead =
  | { readonly kind: "document"; readonly document: TemplateDocument }
  | { readonly kind: "problems"; readonly problems: readonly Problem[] };

const maxSize = 262_144;

/**
 * YAML 1.2 without what makes a file mean something else than it shows: no anchors, aliases, tags, merge keys, duplicate keys,
 * directives, byte order mark or second document (hardening P-10 to P-13).
 */
export function readDocument(source: TemplateSource): DocumentRead {
  const { file, text } = source;
  const whole = (message: string): DocumentRead => ({
    kind: "problems",
    problems: [{ file, line: 0, key: "", message, fix: undefined }],
  });
  if (text.length > maxSize) return whole("longer than 256 KiB");
  if (text.startsWith("\uFEFF")) return whole("begins with a byte order mark");
  const lines = new LineCounter();
  const options = {
    version: "1.2",
    schema: "core",
    merge: false,
    uniqueKeys: true,
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
    file,
    line: lines.linePos(offset).line,
    key: "",
    message,
    fix: undefined,
  });
  const problems = [...document.errors, ...document.warnings].map((error) => at(error.pos[0], firstLine(error.message)));
  problems.push(...oddities(document).map(({ offset, message }) => at(offset, message)));
  if (problems.length > 0) return { kind: "problems", problems };
  return { kind: "document", document: located(source, document, lines) };
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? text;
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
  if (document.directives.yaml.explicit === true) found.push({ offset: 0, message: "a directive" });
  visit(document, {
    Alias: (_, node) => add(node, "an alias; write the value out"),
    Node: (_, node) => {
      if ("anchor" in node && node.anchor !== undefined) add(node, "an anchor; write the value out where it is used");
      if (node.tag !== undefined) add(node, "a tag; quote the value instead");
    },
    Pair: (_, pair) => {
      if (!isScalar(pair.key)) return;
      if (pair.key.value === "<<") add(pair.key, "a merge key; write the keys out");
      if (pair.key.value === "__proto__") add(pair.key, "a key that no template can have");
    },
  });
  return found;
}

function located({ file }: TemplateSource, document: Document.Parsed, lines: LineCounter): TemplateDocument {
  const value: unknown = document.toJS({ maxAliasCount: 0 });
  return {
    value,
    problem: (path, message, fix) => {
      const { offset } = place(document.contents, path);
      return { file, line: lines.linePos(offset).line, key: path.map(String).join("."), message, fix };
    },
    numberAt: (path) => {
      const { node } = place(document.contents, path);
      return isScalar(node) && typeof node.value === "number" ? node.source : undefined;
    },
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

/** A pair stands where its key does. */
function below({ offset, node }: Place, key: PropertyKey): Place {
  if (!isCollection(node)) return { offset, node: undefined };
  const pair = isMap(node) ? node.items.find((item) => isScalar(item.key) && item.key.value === key) : undefined;
  const child: unknown = pair === undefined ? node.get(key, true) : pair.value;
  const start: unknown = pair === undefined ? child : pair.key;
  return { offset: isNode(start) ? (start.range?.[0] ?? offset) : offset, node: child };
}
