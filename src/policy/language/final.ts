import { hoursSchema } from "../hours.ts";
import type { Draft } from "../lint/lint.ts";
import type { Template } from "../policy.ts";
import { type WhoLine, whoLinesSchema } from "../who.ts";
import { type Bounds, type BoundsAbove, folderOf } from "./bounds.ts";
import type { Composed } from "./compose.ts";
import { readCredentials } from "./credential.ts";
import { fileProblem, layered, type Path, type TemplateDocument } from "./document.ts";
import { expandedOf } from "./expanded.ts";
import { checkNarrower } from "./narrow.ts";
import { readParts, writtenAs } from "./parts.ts";
import { own, type Plain, plainOf } from "./plain.ts";
import type { Reading } from "./reading.ts";
import { readShape, type Shape, type Surroundings } from "./shape.ts";
import type { Stepwise } from "./stepwise.ts";
import { checkWhose } from "./whose.ts";
import { checkWithin } from "./within.ts";

export interface Finishing<D, I> extends Surroundings<D, I> {
  readonly boundsAbove: BoundsAbove<I>;
  readonly problems: Reading["problems"];
}

/** A template, and what the rules of `lint/` want to see of it. */
export interface FinalDraft<D, I> extends Draft {
  readonly template: Template<D, I>;
}

/** Every template in its final form. One without `who` is read too, so that what is wrong with it is known before it is extended. */
export function* finalTemplates<D, I>(
  composed: readonly Composed[],
  finishing: Finishing<D, I>,
): Stepwise<readonly FinalDraft<D, I>[]> {
  const bases = new Map<string, Shape<I> | undefined>();
  const documents = new Map<TemplateDocument, TemplateDocument>();
  const drafts: FinalDraft<D, I>[] = [];
  let hosts = 0;
  for (const one of composed) {
    yield;
    if (one.open) continue;
    const bounds = boundsOf(one, finishing.boundsAbove);
    const [mine] = one.documents;
    const document = documents.get(mine) ?? layered([...one.documents, ...bounds.map(addedBy).reverse()]);
    documents.set(mine, document);
    const template = finalOf({ ...one, bounds, document }, baseOf(one, bases, finishing), finishing);
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
function boundsOf<I>({ file, base }: Composed, above: BoundsAbove<I>): readonly Bounds<I>[] {
  return [...new Set([...(base === undefined ? [] : above(base.file)), ...above(file)])];
}

/** Only what bounds add to a template is looked up in them; the rest of them is no part of it. */
function addedBy<I>({ document }: Bounds<I>): TemplateDocument {
  const reach = (path: Path): number => (["who", "when", "owner"].includes(String(path[0])) ? document.reach(path) : 0);
  return { ...document, reach };
}

/** Each base is read once for all that extend it with the same variables. */
function baseOf<D, I>(
  { base }: Composed,
  read: Map<string, Shape<I> | undefined>,
  { problems, ...surroundings }: Finishing<D, I>,
): Against<I> | undefined {
  if (base === undefined) return undefined;
  const { name, key, value, document } = base;
  if (!read.has(key)) read.set(key, readShape(value, surroundings, { document, problems }));
  const shape = read.get(key);
  return shape && { name, base: shape };
}

interface Against<I> {
  readonly name: string;
  readonly base: Shape<I>;
}

interface Bound<I> extends Composed {
  readonly bounds: readonly Bounds<I>[];
  readonly document: TemplateDocument;
}

function finalOf<D, I>(one: Bound<I>, against: Against<I> | undefined, finishing: Finishing<D, I>): Template<D, I> | undefined {
  const { rooms, problems } = finishing;
  const { document, file, name, bounds } = one;
  const reading = { document, problems };
  checkFolder(one, reading);
  const value = one.who.length > 0 ? withUsual(one.value, bounds, reading) : one.value;
  const shape = value && readShape(value, finishing, reading);
  const meant = readMeant(one, finishing, reading);
  if (value === undefined || shape === undefined) return undefined;
  const { written, steps, network, isolation, unlimited, observe } = shape;
  const inBounds = Math.min(...bounds.map(({ maxTtl }) => maxTtl));
  const credentials = readCredentials(written, { rooms, inBounds }, reading);
  if (against !== undefined) checkNarrower(shape, { ...against, room: rooms.isolation }, reading);
  if (one.who.length > 0)
    for (const above of bounds) checkWithin({ shape, credentials, providers: rooms.providers }, above, reading);
  const owner = written.owner ?? finishing.boundsAbove(file).findLast((above) => above.owner !== undefined)?.owner;
  const { who, when, ...parts } = meant;
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
  return { ...template, expanded: expandedOf(value, template, parts.written) };
}

/** What a template leaves out of its `sandbox`, and the bounds list: the values that are in the list of each. */
function withUsual<I>(value: Plain, bounds: readonly Bounds<I>[], { document, problems }: Reading): Plain | undefined {
  const sandbox = plainOf(value["sandbox"] ?? {});
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
function readMeant<D, I>(one: Bound<I>, { rooms, problems }: Finishing<D, I>, reading: Reading) {
  const mine = readParts(one.who, whoLinesSchema, problems);
  const nobody = one.who.length === 0;
  const who = nobody ? [] : [...one.bounds.flatMap((above) => above.who), ...mine];
  const when = [...(nobody ? [] : one.bounds.flatMap((above) => above.when)), ...readParts(one.when, hoursSchema, problems)];
  const lines = who.reduce((sum, { read }) => sum + read.reduce((count, line) => count + linesIn(line), 0), 0);
  if (lines > mostLines)
    problems.push(
      reading.document.problem(["who"], `${lines} lines, with those of its base and of its bounds; ${mostLines} at most`),
    );
  else if (mine.length > 0) checkWhose(who, rooms.issuers, reading);
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
function checkFolder({ file, name }: Composed, { document, problems }: Reading): void {
  const folder = folderOf(file);
  if (name.startsWith(folder)) return;
  const message = `a template in ${folder} is called ${folder}…`;
  problems.push(document.problem(["template"], message, `call it ${folder}${name.split("/").at(-1)}`));
}
