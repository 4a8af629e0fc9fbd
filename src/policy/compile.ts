import { createHash } from "node:crypto";
import type { z } from "zod";
import type { Identifying } from "../identity/issuers/ids.ts";
import { readCredentials, type TemplateCredential } from "./credential.ts";
import { type Path, readDocument, type TemplateDocument, type TemplateSource } from "./document.ts";
import { names } from "./pattern.ts";
import type { Problem } from "./problem.ts";
import { issueProblems, type Reading, readPart } from "./reading.ts";
import type { Rooms } from "./rooms.ts";
import { readSteps, type Step } from "./step.ts";
import { laterKeys, notYet, templateSchema, type WrittenTemplate } from "./template.ts";
import type { WhoLine } from "./who.ts";

/** Every template, read once. What decides a run is all of it together, named by its digest. */
export interface Policy<Delivery, Isolation> {
  /** SHA-256, hex, of `text`. */
  readonly digest: string;
  /** Every file with its name and length, in the order of the names; stored, so that "who could have" stays answerable. */
  readonly text: string;
  /** By name, in the order of the names: order never decides. */
  readonly templates: ReadonlyMap<string, Template<Delivery, Isolation>>;
}

export interface Template<Delivery, Isolation> {
  readonly name: string;
  readonly file: string;
  readonly owner: string | undefined;
  readonly who: readonly WhoLine[];
  readonly credentials: ReadonlyMap<string, TemplateCredential<Delivery>>;
  /** Empty where the template has no steps, and each run gets every credential. */
  readonly steps: ReadonlyMap<string, Step>;
  readonly isolation: Isolation;
}

export type Compiled<Delivery, Isolation> =
  | { readonly kind: "policy"; readonly policy: Policy<Delivery, Isolation> }
  | { readonly kind: "problems"; readonly problems: readonly Problem[] };

/** All or nothing: one problem anywhere and there is no policy, and the problems are all of them. Pure. */
export function compileTemplates<D, I>(sources: readonly TemplateSource[], rooms: Rooms<D, I>): Compiled<D, I> {
  const sorted = [...sources].sort((a, b) => (a.file < b.file ? -1 : 1));
  const problems: Problem[] = [];
  const templates = sorted.flatMap((source) => compileOne(source, rooms, problems));
  templates.sort((a, b) => (a.name < b.name ? -1 : 1));
  problems.push(...duplicates(templates));
  if (sorted.length === 0)
    problems.push({
      file: "the templates",
      line: 0,
      key: "",
      message: "there are none: nobody could have anything",
      fix: undefined,
    });
  if (problems.length > 0) return { kind: "problems", problems };
  const text = canonicalText(sorted);
  const digest = createHash("sha256").update(text).digest("hex");
  return {
    kind: "policy",
    policy: { digest, text, templates: new Map(templates.map((template) => [template.name, template])) },
  };
}

/** Each file's length comes before it, so that no file's text can pass for another file. */
function canonicalText(sources: readonly TemplateSource[]): string {
  return sources.map(({ file, text }) => `--- ${JSON.stringify(file)} ${Buffer.byteLength(text)}\n${text}`).join("\n");
}

function duplicates(templates: readonly { readonly name: string; readonly file: string }[]): readonly Problem[] {
  return templates.flatMap(({ name, file }, index) => {
    const earlier = templates[index - 1];
    if (earlier?.name !== name) return [];
    return [
      {
        file,
        line: 0,
        key: "template",
        message: `${earlier.file} has a template of this name too`,
        fix: "give each template its own name",
      },
    ];
  });
}

/** None or one; what is wrong with it is added to `problems`. */
function compileOne<D, I>(source: TemplateSource, rooms: Rooms<D, I>, problems: Problem[]): readonly Template<D, I>[] {
  const read = readDocument(source);
  if (read.kind === "problems") {
    problems.push(...read.problems);
    return [];
  }
  const { document } = read;
  const found: Problem[] = [...later(document)];
  const template = found.length > 0 ? undefined : assemble(source.file, document, rooms, found);
  problems.push(...found);
  return template === undefined || found.length > 0 ? [] : [template];
}

/** Said once and clearly: a key of the language must never look like a typing error. */
function later(document: TemplateDocument): readonly Problem[] {
  const { value } = document;
  if (typeof value !== "object" || value === null) return [];
  const paths: readonly Path[] = [...laterKeys.map((key) => [key]), ...laterKeys.map((key) => ["who", key])];
  const there = (path: Path): boolean => path.reduce<unknown>((node, key) => memberOf(node, key), value) !== undefined;
  return paths
    .filter(there)
    .map((path) => document.problem(path, `${String(path.at(-1))} is part of the language, but ${notYet}`, "leave it out"));
}

function memberOf(node: unknown, key: PropertyKey): unknown {
  return typeof node === "object" && node !== null ? Object.getOwnPropertyDescriptor(node, key)?.value : undefined;
}

function assemble<D, I>(
  file: string,
  document: TemplateDocument,
  rooms: Rooms<D, I>,
  problems: Problem[],
): Template<D, I> | undefined {
  const part = readPart(templateSchema, document.value, { document, at: [], problems });
  if (part === undefined) return undefined;
  const written = part.value;
  checkIssuers(written, rooms.issuers, { document, problems });
  const credentials = readCredentials(written, rooms, { document, problems });
  const steps = readSteps(written, { document, problems });
  const isolation = readIsolation(written, rooms.isolation, { document, problems });
  if (isolation === undefined) return undefined;
  return {
    name: written.template,
    file,
    owner: written.owner,
    who: written.who,
    credentials,
    steps,
    isolation: isolation.value,
  };
}

function checkIssuers(
  written: WrittenTemplate,
  known: Rooms<unknown, unknown>["issuers"],
  { document, problems }: Reading,
): void {
  const named = written.who.filter((line) => line.claim === "issuer").flatMap((line) => line.patterns);
  for (const pattern of named) {
    const identifying = pattern.kind === "literal" ? known?.get(String(pattern.value)) : undefined;
    if (known === undefined || pattern.kind !== "literal") continue;
    if (identifying !== undefined && !saysWhose(written.who, identifying)) {
      const fix = `add one of ${identifying.claims.join(", ")}, in full and without a glob`;
      problems.push(document.problem(["who"], "nothing in it says whose job it is: every repository's token could match", fix));
    }
    if (identifying !== undefined) continue;
    problems.push(
      document.problem(
        ["who", "issuer"],
        `mayfly.yaml has no issuer ${String(pattern.value)}`,
        `it has ${[...known.keys()].join(", ")}`,
      ),
    );
  }
}

/** Where an issuer has no such claims, it says by itself whose its jobs are. */
function saysWhose(who: readonly WhoLine[], { claims, subjectsBelow }: Identifying): boolean {
  const named = who.some(
    ({ claim, negated, patterns }) =>
      !negated && claims.includes(claim) && patterns.every((pattern) => names(pattern, subjectsBelow)),
  );
  return named || claims.length === 0;
}

/** `tolerate` is put in from the template's top, and what is wrong with it is said there. */
function readIsolation<I>(
  written: WrittenTemplate,
  schema: z.ZodType<I>,
  { document, problems }: Reading,
): { readonly value: I } | undefined {
  if ("tolerate" in written.sandbox) {
    problems.push(document.problem(["sandbox", "tolerate"], "not here", "'tolerate' stands at the template's top"));
    return undefined;
  }
  const parsed = schema.safeParse({ ...written.sandbox, tolerate: written.tolerate });
  if (parsed.success) return { value: parsed.data };
  for (const issue of parsed.error.issues) {
    problems.push(...issueProblems(issue, { document, problems, at: issue.path[0] === "tolerate" ? [] : ["sandbox"] }));
  }
  return undefined;
}
