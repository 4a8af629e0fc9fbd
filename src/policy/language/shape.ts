import { day } from "../../time.ts";
import type { Observe } from "../grant.ts";
import type { IsolationByTrust } from "../policy.ts";
import type { Rooms } from "../rooms.ts";
import { readIsolation } from "./isolation.ts";
import type { Plain } from "./plain.ts";
import { type Reading, readPart } from "./reading.ts";
import type { NetworkSets } from "./sets.ts";
import { readSteps, type Steps } from "./step.ts";
import { templateSchema, type WrittenTemplate } from "./template.ts";

/** What a template gives and how its runs are kept, apart from whom it is for and what its providers and deliveries read. */
export interface Shape<I> extends Steps {
  readonly written: WrittenTemplate;
  readonly isolation: IsolationByTrust<I>;
  readonly unlimited: IsolationByTrust<I> | undefined;
  readonly observe: Observe | undefined;
}

/** What all templates are read with. */
export interface Surroundings<D, I> {
  readonly rooms: Rooms<D, I>;
  readonly sets: NetworkSets;
}

export function readShape<D, I>(value: Plain, { rooms, sets }: Surroundings<D, I>, reading: Reading): Shape<I> | undefined {
  const part = readPart(templateSchema, value, { ...reading, at: [] });
  if (part === undefined) return undefined;
  const written = part.value;
  const steps = readSteps(written, { sets, providers: rooms.providers }, reading);
  const isolation = readIsolation(written, rooms.isolation.schema, reading);
  if (isolation === undefined) return undefined;
  const observe = observeOf(written);
  const loose = observe?.parts.includes("limits") === true;
  // Jobs that `by_trust` names are treated apart on purpose, and keep what it says.
  const unlimited = loose ? { ...isolation, base: rooms.isolation.unlimited(isolation.base) } : undefined;
  return { written, ...steps, isolation, unlimited, observe };
}

/** The day itself is the last one: it ends at midnight, UTC. */
function observeOf({ observe }: WrittenTemplate): Observe | undefined {
  return observe && { parts: observe.parts, until: Date.parse(`${observe.until}T00:00:00Z`) + day };
}
