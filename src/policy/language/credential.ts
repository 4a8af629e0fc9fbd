import { durationText } from "../../duration-text.ts";
import { type Duration, minute } from "../../time.ts";
import type { TemplateCredential } from "../policy.ts";
import type { ProviderRoom, Rooms } from "../rooms.ts";
import { fillSample, Slotted } from "../slots.ts";
import { type Reading, readPart } from "./reading.ts";
import type { WrittenCredential, WrittenTemplate } from "./template.ts";

const usualTtl: Duration = 10 * minute;

/** How long it lives where its template does not say: never longer than what is above it lets it. */
export function ttlOf({ ttl }: Pick<WrittenCredential, "ttl">, longest: Duration): Duration {
  return ttl ?? Math.min(usualTtl, longest);
}

interface Longest {
  /** The least of the `max_ttl` of the folders' bounds. */
  readonly inBounds: Duration;
}

export function readCredentials<D, I>(
  written: WrittenTemplate,
  { rooms, inBounds }: Longest & { readonly rooms: Rooms<D, I> },
  reading: Reading,
): ReadonlyMap<string, TemplateCredential<D>> {
  const most = written.max_ttl ?? Number.POSITIVE_INFINITY;
  const read = Object.entries(written.credentials).flatMap(([name, credential]) => {
    const ttl = ttlOf(credential, Math.min(most, inBounds));
    if (ttl > most)
      reading.problems.push(
        reading.document.problem(
          ["credentials", name, "ttl"],
          `longer than this template's max_ttl, which is ${durationText(most)}`,
        ),
      );
    return readOne({ name, credential, ttl }, rooms, reading);
  });
  return new Map(read.map((credential) => [credential.name, credential]));
}

interface Named {
  readonly name: string;
  readonly credential: WrittenCredential;
  readonly ttl: Duration;
}

/** None or one; its provider and the delivery each read their own part of it. */
function readOne<D, I>(
  { name, credential, ttl }: Named,
  rooms: Rooms<D, I>,
  reading: Reading,
): readonly TemplateCredential<D>[] {
  const { provider, ttl: _, deliver: written, wait, optional, ...rest } = credential;
  const at = ["credentials", name];
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
  const unfit = rooms.deliverable?.(deliver.value, room.gives(fillSample(options.value)));
  if (unfit !== undefined) complain("deliver", unfit);
  const as = room.as === "job" ? { as: room.as } : {};
  return [{ name, provider, options: options.value, ttl, deliver: deliver.value, wait, optional, ...as }];
}

type Complain = (key: string, message: string, fix?: string) => void;

function checkScope(
  asked: { provider: string; ttl: Duration; options: unknown },
  { maxTtl }: ProviderRoom,
  complain: Complain,
): void {
  if (maxTtl !== undefined && asked.ttl > maxTtl)
    complain("ttl", `longer than ${asked.provider} gives, which is ${durationText(maxTtl)}`);
  const brace = braceIn(asked.options);
  if (brace !== undefined)
    complain(brace, "a brace where no slot can stand", "slots stand only in the fields that the provider declares");
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
