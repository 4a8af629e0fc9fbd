import { hoursSchema } from "../hours.ts";
import type { Draft } from "../lint/lint.ts";
import type { Template } from "../policy.ts";
import { type WhoLine, whoLinesSchema } from "../who.ts";
import { blaming, ofChild } from "./blame.ts";
import { type Bounds, type BoundsAbove, folderOf } from "./bounds.ts";
import type { Composed } from "./compose.ts";
import { readCredentials } from "./credential.ts";
import { fileProblem, layered, type Path, type TemplateDocument } from "./document.ts";
import { expandedOf } from "./expanded.ts";
import { checkNarrower, type ReadBase } from "./narrow.ts";
import { readParts, type WrittenPart, writtenAs } from "./parts.ts";
import { isPlain, own, type Plain, plainOf } from "./plain.ts";
import type { Reading } from "./reading.ts";
import { readShape, type Shape, type Surroundings } from "./shape.ts";
import type { Stepwise } from "./stepwise.ts";
import { checkWhose } from "./whose.ts";
import { checkWithin } from "./within.ts";

export interface Finishing<D, I> extends Surroundings<D, I> {
  /** What holds in a file's folder. */
  readonly above: (file: string) => BoundsAbove<I>;
  readonly problems: Reading["problems"];
}

/** A template, and what the rules of `lint/` want to see of it. */
export interface TemplateDraft<D, I> extends Draft {
  readonly template: Template<D, I>;
}

/** Every template in its final form. One without `who` is read too, so that what is wrong with it is known before it is extended. */
export function* finalTemplates<D, I>(
  composed: readonly Composed[],
  finishing: Finishing<D, I>,
): Stepwise<readonly TemplateDraft<D, I>[]> {
  const bases: Bases<I> = new Map();
  const documents = new Map<TemplateDocument, TemplateDocument>();
  const drafts: TemplateDraft<D, I>[] = [];
  let hosts = 0;
  for (const one of composed) {
    yield;
    if (one.open) continue;
    const { all: bounds, unread } = boundsOf(one, finishing.above);
    const [mine, ...others] = one.documents;
    const added = bounds.map(addedBy).reverse();
    const document = documents.get(mine) ?? layered([...one.documents, ...added]);
    documents.set(mine, document);
    const blamed = layered([blamedIn(one, mine), ...others.map((other) => blamedIn(one, other)), ...added]);
    const template = templateOf({ ...one, bounds, unread, document: blamed }, readBase(one, bases, finishing), finishing);
    if (template === undefined) continue;
    drafts.push({ template, written: plainOf(mine.value), document });
    hosts += hostsOf(template);
    if (hosts > most.hosts) finishing.problems.push(fileProblem("the templates", `more than ${most.hosts} hosts in all`));
    if (hosts > most.hosts || finishing.problems.length > most.problems) break;
  }
  return drafts;
}

/** Of all templates together: whoever writes more means to keep the broker busy. */
const most = { hosts: 1_000_000, problems: 10_000 } as const;

function hostsOf({ network, steps }: Pick<Template<unknown, unknown>, "network" | "steps">): number {
  return [...steps.values()].reduce((sum, step) => sum + step.network.length, network.length);
}

/** Of its own folder and those above, and of its base's: elsewhere a base can be extended, and not be had with more than where it stands. */
function boundsOf<I>({ file, base }: Composed, above: Finishing<unknown, I>["above"]): BoundsAbove<I> {
  const folders = [...(base === undefined ? [] : [above(base.file)]), above(file)];
  return { all: [...new Set(folders.flatMap(({ all }) => all))], unread: folders.some(({ unread }) => unread) };
}

/** Only what bounds add to a template is looked up in them; the rest of them is no part of it. */
function addedBy<I>({ document }: Bounds<I>): TemplateDocument {
  const reach = (path: Path): number => (["who", "when", "owner"].includes(String(path[0])) ? document.reach(path) : 0);
  return { ...document, reach };
}

/** Each base is read once for all that extend it with the same variables. */
type Bases<I> = Map<string, Shape<I> | undefined>;

function readBase<D, I>(
  one: Composed,
  read: Bases<I>,
  { problems, ...surroundings }: Finishing<D, I>,
): ReadBase<I> | undefined {
  if (one.base === undefined) return undefined;
  const { name, key, value } = one.base;
  const document = blamedIn(one, one.base.document);
  if (!read.has(key)) read.set(key, readShape(value, surroundings, { document, problems }));
  const shape = read.get(key);
  return shape && { name, shape };
}

function blamedIn({ base, fillers }: Composed, document: TemplateDocument): TemplateDocument {
  return blaming(document, document === base?.document ? fillers.base : fillers.own);
}

interface Bound<I> extends Composed, Pick<BoundsAbove<I>, "unread"> {
  readonly bounds: readonly Bounds<I>[];
  readonly document: TemplateDocument;
}

function templateOf<D, I>(
  one: Bound<I>,
  base: ReadBase<I> | undefined,
  finishing: Finishing<D, I>,
): Template<D, I> | undefined {
  const { rooms, problems } = finishing;
  const { document, file, name, bounds } = one;
  const reading = { document, problems };
  checkFolder(one, reading);
  const forJobs = one.who.length > 0;
  const value = forJobs ? withUsual(one.value, bounds, reading) : one.value;
  const shape = value && readShape(value, finishing, reading);
  const { who, when, ...parts } = readWhoAndWhen(one, finishing, reading);
  if (value === undefined || shape === undefined) return undefined;
  const { written, steps, network, isolation, unlimited, observe } = shape;
  const inBounds = Math.min(...bounds.map(({ maxTtl }) => maxTtl));
  const credentials = readCredentials(written, { rooms, inBounds }, reading);
  const childs = { document: ofChild(document, one), problems };
  if (base !== undefined) checkNarrower(shape, base, rooms.isolation, childs);
  for (const above of forJobs ? bounds : [])
    checkWithin({ shape, credentials, providers: rooms.providers }, above, isAbove(above, one.base) ? reading : childs);
  const owner = written.owner ?? ownerAbove(finishing.above(file).all);
  const template = {
    name,
    file,
    owner,
    who,
    when,
    credentials,
    steps,
    network,
    isolation,
    unlimited,
    observe,
    accepts: written.accept,
  };
  return {
    ...template,
    expanded: expandedOf(value, template, { ...parts.written, sandbox: rooms.isolation.written(isolation.base) }),
  };
}

function ownerAbove<I>(bounds: readonly Bounds<I>[]): string | undefined {
  return bounds.findLast(({ owner }) => owner !== undefined)?.owner;
}

/** What a base has beyond the bounds of its own folder is its own mistake, whoever extends it. */
function isAbove<I>(bounds: Bounds<I>, base: Composed["base"]): boolean {
  return base?.file.startsWith(folderOf(bounds.file)) === true;
}

/** What a template leaves out of its `sandbox`, and the bounds list: the values that are in the list of each. */
function withUsual<I>(value: Plain, bounds: readonly Bounds<I>[], { document, problems }: Reading): Plain | undefined {
  const { sandbox = {} } = value;
  // Whoever wrote something else there hears so; it is not taken for a sandbox that was left out.
  if (!isPlain(sandbox)) return value;
  const lists = new Map<string, readonly string[]>();
  for (const { file, sandbox: most } of bounds)
    for (const [key, list] of Object.entries(most.usual)) {
      if (own(sandbox, key) !== undefined) continue;
      const left = (lists.get(key) ?? list).filter((one) => list.includes(one));
      lists.set(key, left);
      if (left.length > 0) continue;
      problems.push(document.problem(["sandbox", key], `none is left that ${file} and the bounds above it all allow`));
      return undefined;
    }
  return lists.size === 0 ? value : { ...value, sandbox: { ...sandbox, ...Object.fromEntries(lists) } };
}

/** For whom and when: what the folders add, the base's own, and the template's. */
function readWhoAndWhen<D, I>(one: Bound<I>, { rooms, problems }: Finishing<D, I>, reading: Reading) {
  const blamed = (part: WrittenPart): WrittenPart => ({ ...part, document: blamedIn(one, part.document) });
  const mine = readParts(one.who.map(blamed), whoLinesSchema, problems);
  const nobody = one.who.length === 0;
  const who = nobody ? [] : [...one.bounds.flatMap((above) => above.who), ...mine];
  const when = [
    ...(nobody ? [] : one.bounds.flatMap((above) => above.when)),
    ...readParts(one.when.map(blamed), hoursSchema, problems),
  ];
  const lines = who.reduce((sum, { read }) => sum + read.reduce((count, line) => count + linesIn(line), 0), 0);
  if (lines > mostLines)
    problems.push(
      reading.document.problem(["who"], `${lines} lines, with those of its base and of its bounds; ${mostLines} at most`),
    );
  else if (mine.length === one.who.length && mine.length > 0 && !one.unread) checkWhose(who, rooms.issuers, reading);
  return {
    who: who.flatMap(({ read }) => read),
    when: when.map(({ read }) => read),
    written: { who: writtenAs(who), when: writtenAs(when) },
  };
}

const mostLines = 256;

function linesIn(line: WhoLine): number {
  return line.kind === "any" ? line.alternatives.reduce((sum, lines) => sum + lines.length, 0) : 1;
}

/** Nobody takes the name of another folder's template. */
function checkFolder({ file, name, documents: [mine] }: Composed, { document, problems }: Reading): void {
  const folder = folderOf(file);
  if (name.startsWith(folder)) return;
  const written = String(mine.valueAt(["template"]));
  const fix = `call it ${folder}${written.split("/").at(-1)}`;
  problems.push(document.problem(["template"], `a template in ${folder} is called ${folder}…`, fix));
}
