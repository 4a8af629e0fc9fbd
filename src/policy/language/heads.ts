import type { z } from "zod";
import type { Problem } from "../problem.ts";
import type { TemplateDocument } from "./document.ts";
import type { Variables } from "./each.ts";
import { meant } from "./nearest.ts";
import { type Plain, plainOf } from "./plain.ts";
import { readPart } from "./reading.ts";
import { headSchema, templateSchema } from "./template.ts";

export interface PolicyFile {
  readonly file: string;
  readonly document: TemplateDocument;
}

/** As much of a template as must be known before its base and its variables can be put in. */
export interface Head extends PolicyFile {
  readonly value: Plain;
  readonly written: z.output<typeof headSchema>;
}

/** One that may be extended, by the name that stands in `extends`: with its own entry, where it has `for_each`. */
export interface Extendable {
  readonly head: Head;
  readonly entry: Entry;
}

/** Where not even that much can be read, all that is wrong with it is said. */
export function readHead(file: PolicyFile, problems: Problem[]): readonly Head[] {
  const { document } = file;
  const head = headSchema.safeParse(document.value);
  if (head.success) return [{ ...file, value: plainOf(document.value), written: head.data }];
  readPart(templateSchema, document.value, { document, problems, at: [] });
  return [];
}

export interface Entry {
  readonly name: string | undefined;
  readonly variables: Variables;
}

export function entriesOf({ written }: Head): readonly Entry[] {
  if (written.for_each === undefined) return [{ name: undefined, variables: {} }];
  return Object.entries(written.for_each).map(([name, variables]) => ({ name, variables }));
}

export function extendables(head: Head): readonly (readonly [string, Extendable])[] {
  return entriesOf(head).map((entry) => [nameOf(head, entry.name), { head, entry }]);
}

export function nameOf({ written }: Head, entry: string | undefined): string {
  return entry === undefined ? written.template : `${written.template}/${entry}`;
}

export interface Known {
  readonly all: ReadonlyMap<string, Extendable>;
  readonly heads: readonly Head[];
  /** Names of those that do not load, of which enough is said elsewhere. */
  readonly broken: ReadonlySet<unknown>;
  /** There are templates of which nobody can read even the name. */
  readonly unread: boolean;
}

export function findBase(child: Head, { all, heads, broken, unread }: Known, problems: Problem[]): Extendable | undefined {
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
    else if (!broken.has(name) && !unread) complain(`there is no template ${name}`, meant(name, [...all.keys()]));
    return undefined;
  }
  if (found.head.written.extends === undefined) return found;
  complain(
    `${name} extends ${found.head.written.extends} itself, and one level is all there is`,
    `extend ${found.head.written.extends}`,
  );
  return undefined;
}
