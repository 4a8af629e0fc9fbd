import type { Problem } from "../problem.ts";
import { layered, type TemplateDocument } from "./document.ts";
import { fillEach, mentionsEach, unfilledIn, type Variables } from "./each.ts";
import { mergeBase } from "./extends.ts";
import {
  baseOf,
  type Entry,
  type Extendable,
  entriesOf,
  extendables,
  type Head,
  nameOf,
  type PolicyFile,
  readHead,
} from "./heads.ts";
import { meant } from "./nearest.ts";
import { partsOf, type WrittenPart } from "./parts.ts";
import { own, type Plain, plainOf } from "./plain.ts";

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

interface ComposeWith {
  readonly base: Extendable | undefined;
  readonly problems: Problem[];
}

function compose(head: Head, entry: Entry, { base: extended, problems }: ComposeWith): Composed {
  const used = new Set<string>();
  const base = extended && composeBase(extended, head, entry.variables);
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

function composeBase({ head, variables }: Extendable, child: Head, childs: Variables) {
  const used = new Set<string>();
  const raw = plainOf(fillEach(head.value, variables, new Set()));
  const value = plainOf(fillEach(withoutSettled(raw), childs, used));
  const { document } = head;
  const kept = plainOf(child.value["steps"]);
  return {
    name: child.written.extends ?? head.written.template,
    raw: withoutSettled(raw),
    who: partsOf(raw["who"], document, ["who"]),
    when: partsOf(raw["when"], document, ["when"]),
    value: withSteps(value, kept),
    key: JSON.stringify([head.file, variables, [...used].map((name) => [name, own(childs, name)]), Object.keys(kept)]),
    document,
  };
}

/** A step that the child leaves out may have variables that nothing fills. */
function withSteps(value: Plain, kept: Plain): Plain {
  const steps = Object.entries(plainOf(value["steps"])).filter(([name]) => Object.hasOwn(kept, name));
  return steps.length === 0 ? value : { ...value, steps: Object.fromEntries(steps) };
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
