import type { Duration } from "../time.ts";
import { type Reading, readPart } from "./reading.ts";
import type { ProviderRoom, Rooms } from "./rooms.ts";
import { fill, Slotted, slotsOf } from "./slots.ts";
import type { WrittenCredential, WrittenTemplate } from "./template.ts";

export interface TemplateCredential<Delivery> {
  readonly name: string;
  readonly provider: string;
  /** Parsed by the provider's schema; its slots are not filled yet. */
  readonly options: unknown;
  readonly ttl: Duration;
  readonly deliver: Delivery;
}

export function readCredentials<D, I>(
  written: WrittenTemplate,
  rooms: Rooms<D, I>,
  reading: Reading,
): ReadonlyMap<string, TemplateCredential<D>> {
  const read = Object.entries(written.credentials).flatMap(([name, credential]) =>
    readOne({ name, credential }, rooms, reading),
  );
  return new Map(read.map((credential) => [credential.name, credential]));
}

/** None or one; its provider and the delivery each read their own part of it. */
function readOne<D, I>(named: Named, rooms: Rooms<D, I>, reading: Reading): readonly TemplateCredential<D>[] {
  const { provider, ttl, deliver: written, ...rest } = named.credential;
  const at = ["credentials", named.name];
  const complain: Complain = (key, message, fix) =>
    void reading.problems.push(reading.document.problem([...at, key], message, fix));
  const room = rooms.providers.get(provider);
  if (room === undefined) {
    complain(
      "provider",
      `mayfly.yaml has no provider ${provider}`,
      `it has ${[...rooms.providers.keys()].join(", ") || "none"}`,
    );
    return [];
  }
  const options = readPart(room.options, rest, { ...reading, at });
  const deliver = readPart(rooms.delivery, written, { ...reading, at: [...at, "deliver"] });
  if (options === undefined || deliver === undefined) return [];
  checkScope({ provider, ttl, options: options.value }, room, complain);
  const unfit = rooms.deliverable?.(deliver.value, kindOf(room, options.value));
  if (unfit !== undefined) complain("deliver", unfit);
  return [{ name: named.name, provider, options: options.value, ttl, deliver: deliver.value }];
}

interface Named {
  readonly name: string;
  readonly credential: WrittenCredential;
}

type Complain = (key: string, message: string, fix?: string) => void;

function checkScope(
  asked: { provider: string; ttl: Duration; options: unknown },
  { maxTtl }: ProviderRoom,
  complain: Complain,
): void {
  if (maxTtl !== undefined && asked.ttl > maxTtl)
    complain("ttl", `longer than ${asked.provider} gives, which is ${maxTtl / 1000}s`);
  const brace = braceIn(asked.options);
  if (brace !== undefined)
    complain(brace, "a brace where no slot can stand", "slots stand only in the fields that the provider declares");
}

/** Which kind it is cannot depend on who asks, so any filling will do. */
function kindOf(room: ProviderRoom, options: unknown): ReturnType<ProviderRoom["gives"]> {
  return room.gives(fill(options, Object.fromEntries(slotsOf(options).map((slot) => [slot, "x"]))));
}

/** The key under which plain text has a brace: a slot that would never be filled, and mean itself upstream. */
function braceIn(options: unknown): string | undefined {
  if (typeof options !== "object" || options === null || options instanceof Slotted) return undefined;
  return Object.entries(options).find(
    ([key, value]: [string, unknown]) => hasBrace(key) || hasBrace(value) || braceIn(value) !== undefined,
  )?.[0];
}

function hasBrace(value: unknown): boolean {
  return typeof value === "string" && /[{}]/.test(value);
}
