import type { Problem } from "../problem.ts";
import { atOnce, type Stepwise } from "./stepwise.ts";
import { readYaml, type Yaml } from "./yaml.ts";

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
  /** What is written there, before anything was put into it; undefined where nothing is. */
  valueAt(path: Path): unknown;
}

export type DocumentRead =
  | { readonly kind: "document"; readonly document: TemplateDocument }
  | { readonly kind: "problems"; readonly problems: readonly Problem[] };

/** What is wrong with a file as YAML is said so often; the rest would be the same. */
const mostFlaws = 50;

/** Or everything that is wrong with it as YAML: see `yaml.ts` for what it may not have. */
export function readDocument(source: TemplateSource): DocumentRead {
  return atOnce(readingDocument(source));
}

export function* readingDocument(source: TemplateSource): Stepwise<DocumentRead> {
  const read = yield* readYaml(source.text);
  if (read.kind === "yaml") return { kind: "document", document: located(source, read.yaml) };
  const problems = read.flaws.slice(0, mostFlaws).map(({ line, message }) => ({ ...fileProblem(source.file, message), line }));
  return { kind: "problems", problems };
}

/** What is wrong with a file as a whole. */
export function fileProblem(file: string, message: string, fix?: string): Problem {
  return { rule: "invalid", level: "error", file, line: 0, key: "", message, fix };
}

function located({ file, text }: TemplateSource, { value, places, lineAt }: Yaml): TemplateDocument {
  return {
    value,
    text,
    problem: (path, message, fix) => ({
      ...fileProblem(file, message, fix),
      line: lineAt(places.offsetOf(path)),
      key: path.map(String).join("."),
    }),
    reach: (path) => {
      let node: unknown = value;
      const end = path.findIndex((key) => {
        node = memberAt(node, key);
        return node === undefined;
      });
      return end < 0 ? path.length : end;
    },
    valueAt: (path) => path.reduce<unknown>(memberAt, value),
    numberAt: (path) => places.numberAt(path),
  };
}

function memberAt(holder: unknown, key: PropertyKey): unknown {
  return Object.getOwnPropertyDescriptor(Object(holder), key)?.value;
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
    valueAt: (path) => nearest(path).valueAt(path),
  };
}
