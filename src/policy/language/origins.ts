import { Document, isMap, isScalar, isSeq, type Node, type YAMLMap } from "yaml";
import { printable } from "../../printable.ts";
import type { Endpoint } from "../network.ts";
import type { Policy, Template } from "../policy.ts";
import { folderOf } from "./bounds.ts";
import { readDocument } from "./document.ts";
import { own, type Plain, plainOf } from "./plain.ts";
import { sourcesOf } from "./sources.ts";

/** What a policy was made of, file by file. */
export interface WrittenFile {
  readonly file: string;
  readonly value: Plain;
}

/** Of a policy that loaded, so that every file of it can be read. */
export function writtenFiles({ text }: Pick<Policy<unknown, unknown>, "text">): readonly WrittenFile[] {
  return sourcesOf(text).flatMap((source) => {
    const read = readDocument(source);
    return read.kind === "document" ? [{ file: source.file, value: plainOf(read.document.value) }] : [];
  });
}

/** What a template was made of. */
interface Origins {
  readonly own: WrittenFile;
  readonly base: WrittenFile | undefined;
  /** The root's first. */
  readonly bounds: readonly WrittenFile[];
  /** `set:node` to `set:node@2026-11-20`. */
  readonly sets: ReadonlyMap<string, string>;
}

/** A template's final form as YAML, in which every line that its author did not write says where it comes from. */
export function expandedText<D, I>(template: Template<D, I>, files: readonly WrittenFile[]): string {
  const origins = originsOf(template, files);
  const document = new Document(template.expanded);
  document.commentBefore = headText(template, origins);
  const root = document.contents;
  if (isMap(root)) {
    markParts(root, "who", origins);
    markParts(root, "when", origins);
    for (const path of pathsIn(template.expanded)) mark(root, path, originOf(path, origins));
    markNetwork(root, ["network"], template.network, origins);
    for (const [name, { network }] of template.steps) markNetwork(root, ["steps", name, "network"], network, origins);
    for (const name of template.steps.keys())
      for (const key of ["run", "credentials"]) inOneLine(root.getIn(["steps", name, key], true));
    inOneLine(root.getIn(["sandbox", "env", "pass"], true));
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function originsOf<D, I>({ file }: Template<D, I>, files: readonly WrittenFile[]): Origins {
  const mine = files.find((one) => one.file === file) ?? { file, value: {} };
  const extended = textOf(mine, "extends");
  const base = files.find(({ value }) => extended !== "" && value["template"] === withoutEntry(extended, files));
  const bounds = [...new Set([...(base === undefined ? [] : boundsAbove(base.file, files)), ...boundsAbove(file, files)])];
  const sets = files.flatMap(({ value }) =>
    typeof value["set"] === "string"
      ? [[`set:${value["set"]}`, `set:${value["set"]}@${textOf({ value }, "revision")}`] as const]
      : [],
  );
  return { own: mine, base, bounds, sets: new Map(sets) };
}

function boundsAbove(file: string, files: readonly WrittenFile[]): readonly WrittenFile[] {
  return files
    .filter((one) => `/${one.file}`.endsWith("/bounds.yaml") && file.startsWith(folderOf(one.file)))
    .toSorted((a, b) => a.file.length - b.file.length);
}

function textOf({ value }: Pick<WrittenFile, "value">, key: string): string {
  const text = own(value, key);
  return typeof text === "string" ? text : "";
}

/** `base/deploy/staging` may be an entry of `base/deploy`. */
function withoutEntry(name: string, files: readonly WrittenFile[]): string {
  return files.some(({ value }) => value["template"] === name) ? name : name.slice(0, name.lastIndexOf("/"));
}

function headText<D, I>({ name, file }: Template<D, I>, { own: mine, base, bounds }: Origins): string {
  const written = textOf(mine, "template");
  const made = [
    name === written ? "" : `entry ${name.slice(written.length + 1)} of its for_each`,
    base === undefined ? "" : `on ${textOf(mine, "extends")} of ${base.file}`,
    bounds.length === 0 ? "" : `within ${bounds.map((one) => one.file).join(", ")}`,
  ].filter((part) => part !== "");
  return printable(` ${[`${name}, from ${file}`, ...made].join(", ")}`);
}

/** Of `who` and `when`, each of which may be several that must all hold: the folders', the base's, its own. */
function markParts(root: YAMLMap, key: "who" | "when", { own: mine, base, bounds }: Origins): void {
  const parts = (value: unknown): readonly unknown[] => (value === undefined ? [] : Array.isArray(value) ? value : [value]);
  const from = [
    ...bounds.flatMap(({ file, value }) => parts(value[key]).map(() => `added by ${file}`)),
    ...parts(base?.value[key]).map(() => `from ${base?.file ?? ""}`),
    ...parts(mine.value[key]).map(() => undefined),
  ];
  const node = root.get(key, true);
  if (isSeq(node)) node.items.forEach((item, index) => note(item, from[index]));
  else mark(root, [key], from[0]);
}

/** Every key that can be inherited or left out: those at the top, and within credentials, steps and sandbox. */
function pathsIn(expanded: Plain): readonly (readonly string[])[] {
  const keys = (path: readonly string[]): readonly (readonly string[])[] => {
    const value = path.reduce<unknown>((above, key) => own(plainOf(above), key), expanded);
    return Object.keys(plainOf(value)).map((key) => [...path, key]);
  };
  const named = [...keys(["credentials"]), ...keys(["steps"])];
  const top = keys([]).filter(([key]) => !["version", "template", "who", "when"].includes(key ?? ""));
  return [...top, ...named, ...named.flatMap(keys), ...keys(["sandbox"])];
}

/** Undefined where the author wrote it himself, or where what holds it was marked already. */
function originOf(path: readonly string[], { own: mine, base, bounds }: Origins): string | undefined {
  if (has(mine, path)) return undefined;
  const above = path.slice(0, -1);
  const marked = above.length > 0 && !has(mine, above) && has(base, above);
  if (base !== undefined && has(base, path)) return marked ? undefined : `from ${base.file}`;
  if (fromBounds.includes(path.join(".")) && bounds.some((one) => has(one, path))) return "from the folder's bounds";
  return isLimit(path) ? "left out, so this" : undefined;
}

/** A life, or what a job gets of the host: an expansion has them where nobody wrote them. */
function isLimit(path: readonly string[]): boolean {
  return path.at(-1) === "ttl" || (path[0] === "sandbox" && path.length === 2);
}

/** What a template may leave out, and has from the bounds. */
const fromBounds: readonly string[] = ["owner", "sandbox.runtimes"];

/** `db:` with nothing behind it is all the base's. */
function has(file: WrittenFile | undefined, path: readonly string[]): boolean {
  return (path.reduce<unknown>((above, key) => own(plainOf(above), key), file?.value) ?? undefined) !== undefined;
}

function mark(root: YAMLMap, path: readonly string[], origin: string | undefined): void {
  const holder = path.length === 1 ? root : root.getIn(path.slice(0, -1), true);
  const pair = isMap(holder) ? holder.items.find(({ key }) => isScalar(key) && key.value === path.at(-1)) : undefined;
  if (isScalar(pair?.value)) note(pair.value, origin);
  else note(pair?.key, origin, "before");
}

function markNetwork(root: YAMLMap, path: readonly string[], network: readonly Endpoint[], { sets }: Origins): void {
  const list = root.getIn(path, true);
  if (isSeq(list))
    list.items.forEach((item, index) => note(item, sets.get(network[index]?.from ?? "") ?? network[index]?.from));
}

function inOneLine(list: unknown): void {
  if (isSeq(list)) list.flow = true;
}

function note(
  node: unknown,
  text: string | undefined,
  where: "before" | "behind" = isScalar(node) ? "behind" : "before",
): void {
  if (text === undefined || !isNode(node)) return;
  if (where === "before") node.commentBefore = ` ${printable(text)}`;
  else node.comment = ` ${printable(text)}`;
}

function isNode(value: unknown): value is Node {
  return isMap(value) || isSeq(value) || isScalar(value);
}
