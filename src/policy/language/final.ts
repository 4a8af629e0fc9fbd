import { hoursSchema } from "../hours.ts";
import type { Draft } from "../lint/lint.ts";
import type { Template } from "../policy.ts";
import { whoLinesSchema } from "../who.ts";
import { type Bounds, type BoundsAbove, folderOf } from "./bounds.ts";
import type { Composed } from "./compose.ts";
import { readCredentials } from "./credential.ts";
import { layered, type Path, type TemplateDocument } from "./document.ts";
import { expandedOf } from "./expanded.ts";
import { checkNarrower } from "./narrow.ts";
import { readParts, writtenAs } from "./parts.ts";
import { plainOf } from "./plain.ts";
import type { Reading } from "./reading.ts";
import { readShape, type Shape, type Surroundings } from "./shape.ts";
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
export function finalTemplates<D, I>(composed: readonly Composed[], finishing: Finishing<D, I>): readonly FinalDraft<D, I>[] {
  const bases = new Map<string, Shape<I> | undefined>();
  const documents = new Map<TemplateDocument, TemplateDocument>();
  return composed.flatMap((one) => {
    if (one.open) return [];
    const bounds = finishing.boundsAbove(one.file);
    const [own] = one.documents;
    const document = documents.get(own) ?? layered([...one.documents, ...bounds.map(addedBy).reverse()]);
    documents.set(own, document);
    const final = finalOf({ ...one, bounds, document }, baseOf(one, bases, finishing), finishing);
    return final === undefined ? [] : [{ template: final, written: plainOf(own.value), document }];
  });
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
  const shape = readShape(one.value, finishing, reading);
  const meant = readMeant(one, finishing, reading);
  if (shape === undefined) return undefined;
  const { written, steps, network, isolation, unlimited, observe } = shape;
  const inBounds = Math.min(...bounds.map(({ maxTtl }) => maxTtl));
  const credentials = readCredentials(written, { rooms, inBounds }, reading);
  if (against !== undefined) checkNarrower(shape, { ...against, room: rooms.isolation }, reading);
  if (one.who.length > 0)
    for (const above of bounds) checkWithin({ shape, credentials, providers: rooms.providers }, above, reading);
  const owner = written.owner ?? bounds.findLast((above) => above.owner !== undefined)?.owner;
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
  return { ...template, expanded: expandedOf(one.value, template, parts.written) };
}

/** For whom and when: what the folders add, the base's own, and the template's. */
function readMeant<D, I>(one: Bound<I>, { rooms, problems }: Finishing<D, I>, reading: Reading) {
  const own = readParts(one.who, whoLinesSchema, problems);
  const nobody = one.who.length === 0;
  const who = nobody ? [] : [...one.bounds.flatMap((above) => above.who), ...own];
  const when = [...(nobody ? [] : one.bounds.flatMap((above) => above.when)), ...readParts(one.when, hoursSchema, problems)];
  if (own.length > 0) checkWhose(who, rooms.issuers, reading);
  return {
    who: who.flatMap(({ read }) => read),
    when: when.map(({ read }) => read),
    written: { who: writtenAs(who), when: writtenAs(when) },
  };
}

/** Nobody takes the name of another folder's template. */
function checkFolder({ file, name }: Composed, { document, problems }: Reading): void {
  const folder = folderOf(file);
  if (name.startsWith(folder)) return;
  const message = `a template in ${folder} is called ${folder}…`;
  problems.push(document.problem(["template"], message, `call it ${folder}${name.split("/").at(-1)}`));
}
