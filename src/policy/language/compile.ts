import { createHash } from "node:crypto";
import { indexOf } from "../candidates.ts";
import { lintPolicy } from "../lint/lint.ts";
import type { Policy, Template } from "../policy.ts";
import type { Problem } from "../problem.ts";
import type { Rooms } from "../rooms.ts";
import { readBounds } from "./bounds.ts";
import { composeTemplates } from "./compose.ts";
import { fileProblem, kindOf, readingDocument, type SourceKind, type TemplateSource } from "./document.ts";
import { finalTemplates, type TemplateDraft } from "./final.ts";
import type { PolicyFile } from "./heads.ts";
import { readSets } from "./sets.ts";
import { atOnce, gently, type Stepwise } from "./stepwise.ts";

export type Compiled<Delivery, Isolation> =
  | {
      readonly kind: "policy";
      readonly policy: Policy<Delivery, Isolation>;
      /** What loads, and could be better. */
      readonly findings: readonly Problem[];
    }
  | { readonly kind: "problems"; readonly problems: readonly Problem[] };

/** All or nothing: one problem anywhere and there is no policy, and the problems are all of them. Pure. */
export function compileTemplates<D, I>(sources: readonly TemplateSource[], rooms: Rooms<D, I>): Compiled<D, I> {
  return atOnce(compiling(sources, rooms));
}

/** The same for a broker at work: a thousand templates take most of a second, in which it has runs to serve. */
export function compileGently<D, I>(
  sources: readonly TemplateSource[],
  rooms: Rooms<D, I>,
  pause: () => Promise<void> | undefined,
): Promise<Compiled<D, I>> {
  return gently(compiling(sources, rooms), pause);
}

function* compiling<D, I>(sources: readonly TemplateSource[], rooms: Rooms<D, I>): Stepwise<Compiled<D, I>> {
  const read = yield* readPolicy(sources, rooms);
  if (read.kind === "problems") return read;
  const findings = yield* lintPolicy(read.drafts, rooms);
  return findings.some(({ level }) => level !== "advice")
    ? refused(findings)
    : { kind: "policy", policy: read.policy, findings };
}

/** A policy that has decided once: it is read as ever, and a rule that came since is no reason not to know what it said. */
export function compileRecorded<D, I>(sources: readonly TemplateSource[], rooms: Rooms<D, I>): Compiled<D, I> {
  const read = atOnce(readPolicy(sources, rooms));
  return read.kind === "problems" ? read : { kind: "policy", policy: read.policy, findings: [] };
}

type PolicyRead<D, I> =
  | { readonly kind: "policy"; readonly policy: Policy<D, I>; readonly drafts: readonly TemplateDraft<D, I>[] }
  | Extract<Compiled<D, I>, { kind: "problems" }>;

function* readPolicy<D, I>(sources: readonly TemplateSource[], rooms: Rooms<D, I>): Stepwise<PolicyRead<D, I>> {
  const sorted = sources.filter(({ file }) => kindOf(file) !== "test").toSorted((a, b) => (a.file < b.file ? -1 : 1));
  const problems: Problem[] = [];
  const files = yield* readFiles(sorted, problems);
  const surroundings = { rooms, sets: yield* readSets(files.set, problems) };
  const above = yield* readBounds(files.bounds, surroundings, problems);
  const composed = yield* composeTemplates(files.template, problems);
  const drafts = yield* finalTemplates(composed, { ...surroundings, above, problems });
  const templates = drafts.map(({ template }) => template).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  problems.push(...duplicates(templates));
  const giving = templates.filter(({ who }) => who.length > 0);
  if (giving.length === 0 && problems.length === 0)
    problems.push(fileProblem("the templates", composed.length === 0 ? none : nobody));
  if (problems.length > 0) return refused(problems);
  return { kind: "policy", policy: policyOf(sorted, giving), drafts };
}

const none = "there are none: nobody could have anything";
const nobody = "none of them says in 'who' for whom it is: nobody could have anything";

/** A base's flaw is found again in each template that extends it, and is one. */
function refused(problems: readonly Problem[]): Extract<Compiled<never, never>, { kind: "problems" }> {
  return { kind: "problems", problems: [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()] };
}

/** The files of one kind. */
interface FilesRead {
  readonly files: PolicyFile[];
  /** Those that are no YAML. */
  readonly unread: string[];
}

function* readFiles(
  sources: readonly TemplateSource[],
  problems: Problem[],
): Stepwise<Readonly<Record<SourceKind, FilesRead>>> {
  const none = (): FilesRead => ({ files: [], unread: [] });
  const read = { template: none(), set: none(), bounds: none(), test: none() };
  for (const source of sources) {
    const kind = read[kindOf(source.file)];
    const one = yield* readingDocument(source);
    if (one.kind === "document") kind.files.push({ file: source.file, document: one.document });
    else {
      kind.unread.push(source.file);
      problems.push(...one.problems);
    }
    yield;
  }
  return read;
}

function policyOf<D, I>(sources: readonly TemplateSource[], templates: readonly Template<D, I>[]): Policy<D, I> {
  const text = canonicalText(sources);
  const digest = createHash("sha256").update(text).digest("hex");
  const byName = new Map(templates.map((template) => [template.name, template]));
  return { digest, text, templates: byName, candidates: indexOf(templates) };
}

/** Each file's length comes before it, so that no file's text can pass for another file. */
function canonicalText(sources: readonly TemplateSource[]): string {
  return sources.map(({ file, text }) => `--- ${JSON.stringify(file)} ${Buffer.byteLength(text)}\n${text}`).join("\n");
}

function duplicates(templates: readonly { readonly name: string; readonly file: string }[]): readonly Problem[] {
  return templates.flatMap(({ name, file }, index) => {
    const earlier = templates[index - 1];
    if (earlier?.name !== name) return [];
    const message = `${earlier.file} has a template of this name too`;
    return [{ ...fileProblem(file, message, "give each template its own name"), key: "template" }];
  });
}
