import type { z } from "zod";
import { layered, type TemplateDocument } from "./document.ts";
import { fillEach, mentionsEach, unfilledIn, type Variables } from "./each.ts";
import { mergeBase } from "./extends.ts";
import { meant } from "./nearest.ts";
import { partsOf, type WrittenPart } from "./parts.ts";
import { own, type Plain, plainOf } from "./plain.ts";
import type { Problem } from "./problem.ts";
import { readPart } from "./reading.ts";
import { headSchema, templateSchema } from "./template.ts";

export interface PolicyFile {
  readonly file: string;
  readonly document: TemplateDocument;
}

/** A template with its base and the variables of its entry put in, before anything else of it is read. */
export interface Composed {
  readonly name: string;
  readonly file: string;
  /** Every key but those that are settled here: `extends`, `for_each`, `who` and `when`. */
  readonly value: Plain;
  /** The base's first. Without any the template is only there to be extended. */
  readonly who: readonly WrittenPart[];
  readonly when: readonly WrittenPart[];
  readonly base: ComposedBase | undefined;
  /** Finds what is written in the template's own file, else in its base's. */
  readonly documents: readonly [TemplateDocument, ...TemplateDocument[]];
  /** An `{each.…}` is left in it, which only another template's `for_each` can fill. */
  readonly open: boolean;
}

/** What a template extends, with the same variables put in. */
export interface ComposedBase {
  readonly name: string;
  readonly value: Plain;
  /** Of two templates for which this is the same, so is the base. */
  readonly key: string;
  readonly document: TemplateDocument;
}

interface Head extends PolicyFile {
  readonly value: Plain;
  readonly written: z.output<typeof headSchema>;
}

/** One that may be extended: with the variables of its own entry, where it has `for_each`. */
interface Extendable {
  readonly head: Head;
  readonly variables: Variables;
}

export function composeTemplates(files: readonly PolicyFile[], problems: Problem[]): readonly Composed[] {
  const heads = files.flatMap((file) => readHead(file, problems));
  const broken = new Set(files.map(({ document }) => plainOf(document.value)["template"]));
  for (const { written } of heads) broken.delete(written.template);
  const all = new Map(heads.flatMap(extendables));
  return heads.flatMap((head) => {
    const base = head.written.extends === undefined ? "none" : baseOf(head, { all, heads, broken }, problems);
    if (base === undefined) return [];
    const entries = entriesOf(head);
    return entries.map((entry) => compose(head, entry, { base: base === "none" ? undefined : base, problems }));
  });
}

/** Where not even that much can be read, all that is wrong with it is said. */
function readHead(file: PolicyFile, problems: Problem[]): readonly Head[] {
  const { document } = file;
  const head = headSchema.safeParse(document.value);
  if (head.success) return [{ ...file, value: plainOf(document.value), written: head.data }];
  readPart(templateSchema, document.value, { document, problems, at: [] });
  return [];
}

interface Entry {
  readonly name: string | undefined;
  readonly variables: Variables;
}

function entriesOf({ written }: Head): readonly Entry[] {
  if (written.for_each === undefined) return [{ name: undefined, variables: {} }];
  return Object.entries(written.for_each).map(([name, variables]) => ({ name, variables }));
}

function extendables(head: Head): readonly (readonly [string, Extendable])[] {
  return entriesOf(head).map(({ name, variables }) => [nameOf(head, name), { head, variables }]);
}

function nameOf({ written }: Head, entry: string | undefined): string {
  return entry === undefined ? written.template : `${written.template}/${entry}`;
}

interface Known {
  readonly all: ReadonlyMap<string, Extendable>;
  readonly heads: readonly Head[];
  /** Names of those that do not load, of which enough is said elsewhere. */
  readonly broken: ReadonlySet<unknown>;
}

function baseOf(child: Head, { all, heads, broken }: Known, problems: Problem[]): Extendable | undefined {
  const name = child.written.extends ?? "";
  const found = all.get(name);
  const complain = (message: string, fix: string): void =>
    void problems.push(child.document.problem(["extends"], message, fix));
  if (found === undefined) {
    const divided = heads.find(({ written }) => written.template === name);
    if (divided !== undefined)
      complain(
        `${name} has for_each`,
        `extend one of ${Object.keys(divided.written.for_each ?? {})
          .map((entry) => `${name}/${entry}`)
          .join(", ")}`,
      );
    else if (!broken.has(name)) complain(`there is no template ${name}`, meant(name, [...all.keys()]));
    return undefined;
  }
  if (found.head.written.extends === undefined) return found;
  complain(
    `${name} extends ${found.head.written.extends} itself, and one level is all there is`,
    `extend ${found.head.written.extends}`,
  );
  return undefined;
}

interface ComposeWith {
  readonly base: Extendable | undefined;
  readonly problems: Problem[];
}

function compose(head: Head, entry: Entry, { base: extended, problems }: ComposeWith): Composed {
  const used = new Set<string>();
  const base = extended && composeBase(extended, entry.variables);
  const { document, file } = head;
  const documents: Composed["documents"] = base === undefined ? [document] : [document, base.document];
  const raw =
    base === undefined
      ? head.value
      : mergeBase({ value: withoutSettled(head.value), document }, { name: base.name, value: base.raw }, problems);
  const value = plainOf(fillEach(withoutSettled(raw), entry.variables, used));
  const filled = (key: "who" | "when"): readonly WrittenPart[] =>
    [...(base?.[key] ?? []), ...partsOf(head.value[key], document, [key])].map((part) => ({
      ...part,
      value: fillEach(part.value, entry.variables, used),
    }));
  const [who, when] = [filled("who"), filled("when")];
  checkUnused(head, entry, { used, problems });
  const composed = {
    name: nameOf(head, entry.name),
    file,
    value: { ...value, template: nameOf(head, entry.name) },
    who,
    when,
    base,
    documents,
  };
  return { ...composed, open: checkUnfilled(composed, entry, problems) };
}

function composeBase({ head, variables }: Extendable, childs: Variables) {
  const used = new Set<string>();
  const raw = plainOf(fillEach(head.value, variables, new Set()));
  const value = fillEach(withoutSettled(raw), childs, used);
  const { document } = head;
  return {
    name: head.written.template,
    raw: withoutSettled(raw),
    who: partsOf(raw["who"], document, ["who"]),
    when: partsOf(raw["when"], document, ["when"]),
    value: plainOf(value),
    key: JSON.stringify([head.file, variables, [...used].map((name) => [name, own(childs, name)])]),
    document,
  };
}

function withoutSettled(value: Plain): Plain {
  const { who: _who, when: _when, extends: _extends, for_each: _each, ...rest } = value;
  return rest;
}

/** A variable that stands nowhere looks like a condition, and is none. */
function checkUnused(
  { document, written }: Head,
  entry: Entry,
  { used, problems }: { used: ReadonlySet<string>; problems: Problem[] },
): void {
  if (entry.name === undefined || written.for_each === undefined) return;
  for (const variable of Object.keys(entry.variables).filter((variable) => !used.has(variable)))
    problems.push(
      document.problem(
        ["for_each", entry.name, variable],
        "is used nowhere, so it looks like a condition and is none",
        `write {each.${variable}} where it belongs, or leave it out`,
      ),
    );
}

/** Whether any is left, which only a template may have that gives nothing by itself. */
function checkUnfilled(composed: Omit<Composed, "open">, entry: Entry, problems: Problem[]): boolean {
  const document = layered(composed.documents);
  if (!mentionsEach(composed.value) && ![...composed.who, ...composed.when].some(({ value }) => mentionsEach(value)))
    return false;
  const left = [
    ...unfilledIn(composed.value).map(({ path, spelled }) => ({ document, path, spelled })),
    ...[...composed.who, ...composed.when].flatMap((part) =>
      unfilledIn(part.value).map(({ path, spelled }) => ({ document: part.document, path: [...part.at, ...path], spelled })),
    ),
  ];
  if (composed.who.length === 0 && entry.name === undefined) return left.length > 0;
  for (const { document: where, path, spelled } of left) {
    const variables = Object.keys(entry.variables);
    const message =
      entry.name === undefined
        ? `${spelled} without a for_each that fills it`
        : `entry ${entry.name} has nothing for ${spelled}`;
    problems.push(
      where.problem(
        path,
        message,
        variables.length === 0 ? "write the value out" : meant(spelled.replace(/^\{each\.|\}$/g, ""), variables),
      ),
    );
  }
  return left.length > 0;
}
