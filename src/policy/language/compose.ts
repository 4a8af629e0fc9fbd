import type { Problem } from "../problem.ts";
import { type Filler, ofChild } from "./blame.ts";
import { fileProblem, layered, type TemplateDocument } from "./document.ts";
import { type Filling, fillEach, mentionsEach, unfilledIn, type Variables } from "./each.ts";
import { mergeBase } from "./extends.ts";
import {
  type Entry,
  type Extendable,
  entriesOf,
  extendables,
  findBase,
  type Head,
  nameOf,
  type PolicyFile,
  readHead,
} from "./heads.ts";
import { meant } from "./nearest.ts";
import { partsOf, type WrittenPart } from "./parts.ts";
import { own, type Plain, plainOf } from "./plain.ts";
import type { Stepwise } from "./stepwise.ts";

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
  /** Whose variables were put in, by what they were put into: the base's own come first there. */
  readonly fillers: { readonly own: readonly Filler[]; readonly base: readonly Filler[] };
  /** Finds what is written in the template's own file, else in its base's. */
  readonly documents: readonly [TemplateDocument, ...TemplateDocument[]];
  /** An `{each.…}` is left in it, which only another template's `for_each` can fill. */
  readonly open: boolean;
}

/** What a template extends, with the same variables put in. */
export interface ComposedBase {
  readonly name: string;
  readonly file: string;
  readonly value: Plain;
  /** Of two templates for which this is the same, so is the base. */
  readonly key: string;
  readonly document: TemplateDocument;
}

/** A few files can be written so that they are thousands of templates, or gigabytes of text, once they are put together. */
const most = { templates: 10_000, text: 33_554_432, filled: 262_144 } as const;

/** `unread`: files of which not even the YAML could be read. */
export function* composeTemplates(
  { files, unread }: { readonly files: readonly PolicyFile[]; readonly unread: readonly string[] },
  problems: Problem[],
): Stepwise<readonly Composed[]> {
  const planned = plan(files, unread.length > 0, problems);
  const tooMuch = sizeFlaw(planned);
  if (tooMuch !== undefined) {
    problems.push(fileProblem("the templates", tooMuch));
    return [];
  }
  const composed: Composed[] = [];
  let left: number = most.text;
  for (const { head, entries, base } of planned) {
    for (const entry of entries) {
      const filling = { used: new Set<string>(), left: most.filled };
      composed.push(compose(head, entry, { base, problems, filling }));
      left -= most.filled - filling.left;
      yield;
    }
    if (left < 0) {
      problems.push(fileProblem("the templates", "for_each puts more than 32 MiB of text into them"));
      return [];
    }
  }
  return composed;
}

interface Planned {
  readonly head: Head;
  readonly entries: readonly Entry[];
  readonly base: Extendable | undefined;
}

function plan(files: readonly PolicyFile[], unread: boolean, problems: Problem[]): readonly Planned[] {
  const heads = files.flatMap((file) => readHead(file, problems));
  const broken = new Set(files.map(({ document }) => plainOf(document.value)["template"]));
  for (const { written } of heads) broken.delete(written.template);
  const all = new Map(heads.flatMap(extendables));
  return heads.flatMap((head) => {
    const base = head.written.extends === undefined ? "none" : findBase(head, { all, heads, broken, unread }, problems);
    if (base === undefined) return [];
    return [{ head, entries: entriesOf(head), base: base === "none" ? undefined : base }];
  });
}

function sizeFlaw(planned: readonly Planned[]): string | undefined {
  const templates = planned.reduce((sum, { entries }) => sum + entries.length, 0);
  if (templates > most.templates) return `more than ${most.templates} with those of for_each`;
  const text = planned.reduce((sum, { head, entries, base }) => {
    const size = head.document.text.length + (base?.head.document.text.length ?? 0);
    return sum + entries.length * size;
  }, 0);
  return text > most.text ? "more than 32 MiB of text, with each base and each entry of for_each written out" : undefined;
}

interface ComposeWith {
  readonly base: Extendable | undefined;
  readonly problems: Problem[];
  readonly filling: Filling;
}

function compose(head: Head, entry: Entry, { base: extended, problems, filling }: ComposeWith): Composed {
  const { used } = filling;
  const base = extended && composeBase(extended, head, { variables: entry.variables, filling });
  const { document, file } = head;
  const documents: Composed["documents"] = base === undefined ? [document] : [document, base.document];
  const raw =
    base === undefined
      ? head.value
      : mergeBase({ value: withoutSettled(head.value), document }, { name: base.name, value: base.raw }, problems);
  const value = plainOf(fillEach(withoutSettled(raw), entry.variables, filling));
  const filled = (key: "who" | "when"): readonly WrittenPart[] =>
    [...(base?.[key] ?? []), ...partsOf(head.value[key], document, [key])].map((part) => ({
      ...part,
      value: fillEach(part.value, entry.variables, filling),
    }));
  const [who, when] = [filled("who"), filled("when")];
  const mine = fillerOf(head, entry);
  const composed = {
    name: nameOf(head, entry.name),
    file,
    value: { ...value, template: nameOf(head, entry.name) },
    who,
    when,
    base,
    fillers: { own: mine, base: extended === undefined ? [] : [...fillerOf(extended.head, extended.entry), ...mine] },
    documents,
  };
  if (filling.left < 0) {
    problems.push(document.problem(["for_each", entry.name ?? ""], "puts more than 256 KiB of text into this template"));
    return { ...composed, open: true };
  }
  checkUnused(head, entry, { used, problems });
  return { ...composed, open: checkUnfilled(composed, entry, problems) };
}

function fillerOf({ document }: Head, { name, variables }: Entry): readonly Filler[] {
  return name === undefined ? [] : [{ document, entry: name, variables }];
}

interface FillWith {
  readonly variables: Variables;
  readonly filling: Filling;
}

/** What fills it counts as put into the child, and what it uses of the child's variables is asked of the child, once both are merged. */
function composeBase({ head, entry: { variables } }: Extendable, child: Head, { variables: childs, filling }: FillWith) {
  const mine = { used: new Set<string>(), left: filling.left };
  const raw = plainOf(fillEach(head.value, variables, mine));
  mine.used.clear();
  const value = plainOf(fillEach(withoutSettled(raw), childs, mine));
  filling.left = mine.left;
  const { document } = head;
  const kept = plainOf(child.value["steps"]);
  return {
    name: child.written.extends ?? head.written.template,
    file: head.file,
    raw: withoutSettled(raw),
    who: partsOf(raw["who"], document, ["who"]),
    when: partsOf(raw["when"], document, ["when"]),
    value: withSteps(value, kept),
    key: JSON.stringify([head.file, variables, [...mine.used].map((name) => [name, own(childs, name)]), Object.keys(kept)]),
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
      ofChild(where, composed).problem(
        path,
        message,
        variables.length === 0 ? "write the value out" : meant(spelled.replace(/^\{each\.|\}$/g, ""), variables),
      ),
    );
  }
  return left.length > 0;
}
