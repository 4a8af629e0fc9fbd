import { z } from "zod";
import type { Duration } from "../../time.ts";
import { type Hours, hoursSchema } from "../hours.ts";
import { coveredBy, type Endpoint } from "../network.ts";
import { type Pattern, readPattern } from "../pattern.ts";
import type { IsolationBounds, Rooms } from "../rooms.ts";
import { type WhoLine, whoLinesSchema } from "../who.ts";
import type { TemplateDocument } from "./document.ts";
import type { PolicyFile } from "./heads.ts";
import { meant } from "./nearest.ts";
import { partsOf, type ReadPart, readParts } from "./parts.ts";
import { defined } from "./plain.ts";
import { issueProblems, parsePart, type Reading, readPart, sayable } from "./reading.ts";
import { expandNetwork, namesUnread } from "./sets.ts";
import type { Surroundings } from "./shape.ts";
import type { Stepwise } from "./stepwise.ts";
import { atMost, command, life, networkList, owner, severalParts } from "./template.ts";

export interface BoundPattern {
  readonly pattern: Pattern;
  readonly written: unknown;
}

/** One, or a list of them. */
const patterns = z.unknown().transform((written, context): readonly BoundPattern[] => {
  const list: readonly unknown[] = Array.isArray(written) ? written : [written];
  const complain = (message: string, path: number[] = []) => context.addIssue({ code: "custom", message, path });
  if (list.length === 0) complain("an empty list accepts nothing");
  if (list.length > 256) complain("256 values at most");
  return list.slice(0, 256).flatMap((one, index) => {
    const read = readPattern(one);
    if (read.kind === "pattern") return [{ pattern: read.pattern, written: one }];
    complain(read.message, Array.isArray(written) ? [index] : []);
    return [];
  });
});

const credentialBound = z.strictObject({
  provider: z.string().min(1),
  /**
   * By key, what the credential's text there may be: literal or glob, one or a list. With it, each option of the credential must be named, as
   * one that is not could make more of it than those that are.
   */
  options: z.record(z.string(), patterns).refine(atMost(64), "64 options at most").optional(),
  max_ttl: life.optional(),
  /** Each step that gets such a credential pins its command; a list says which they may be. */
  commands: z
    .union(
      [z.literal("pinned"), z.array(command).min(1).max(256)],
      "write pinned, or a list of commands, each a list itself: [[npm, run, migrate]]",
    )
    .optional(),
});

/** `bounds.yaml`: what the templates of its folder and of those beneath may have at most. What is left out bounds nothing. */
export const boundsSchema = z.strictObject({
  version: z.literal(1),
  /** Of the templates that name none. */
  owner: owner.optional(),
  /** Lines that hold for each template too. */
  who: severalParts.optional(),
  when: severalParts.optional(),
  max_ttl: life.optional(),
  /** For credentials that nobody can end before they expire. */
  unrevocable: z.strictObject({ max_ttl: life }).optional(),
  credentials: z.array(credentialBound).max(256).optional(),
  network: networkList.optional(),
  sandbox: z.record(z.string(), z.unknown()).optional(),
  tolerate: z.array(z.string()).max(64).optional(),
});

export type CredentialBound = z.output<typeof credentialBound>;

export interface Bounds<I> {
  /** `shop/bounds.yaml` */
  readonly file: string;
  readonly document: TemplateDocument;
  readonly owner: string | undefined;
  readonly who: readonly ReadPart<readonly WhoLine[]>[];
  readonly when: readonly ReadPart<Hours>[];
  readonly maxTtl: Duration;
  readonly unrevocableTtl: Duration;
  readonly credentials: readonly CredentialBound[] | undefined;
  readonly network: NetworkBound | undefined;
  readonly sandbox: IsolationBounds<I>;
}

export interface NetworkBound {
  covers(endpoint: Endpoint): boolean;
  /** `credentials` is among them: the endpoints of whatever credentials a template has. */
  readonly ofCredentials: boolean;
}

/** What holds in a file's folder. */
export interface BoundsAbove<I> {
  /** Those of that folder and of every folder above it, the root's first. */
  readonly all: readonly Bounds<I>[];
  /** One of them could not be read, so that nobody knows what they add. */
  readonly unread: boolean;
}

/** `unread`: files of which not even the YAML could be read. */
export function* readBounds<D, I>(
  { files, unread }: { readonly files: readonly PolicyFile[]; readonly unread: readonly string[] },
  surroundings: Surroundings<D, I>,
  problems: Reading["problems"],
): Stepwise<(file: string) => BoundsAbove<I>> {
  const flawed = new Set(unread.map(folderOf));
  const byFolder = new Map<string, Bounds<I>>();
  for (const { file, document } of files) {
    const bounds = readOne(file, surroundings, { document, problems });
    if (bounds === undefined) flawed.add(folderOf(file));
    else byFolder.set(folderOf(file), bounds);
    yield;
  }
  return (file) => {
    const folders = foldersAbove(file);
    return {
      all: folders.flatMap((folder) => byFolder.get(folder) ?? []),
      unread: folders.some((folder) => flawed.has(folder)),
    };
  };
}

/** `shop/eu/` of `shop/eu/deploy.yaml`; empty for the root. */
export function folderOf(file: string): string {
  return file.slice(0, file.lastIndexOf("/") + 1);
}

/** The root, `shop/`, `shop/eu/`. */
function foldersAbove(file: string): readonly string[] {
  const folders = folderOf(file).split("/").slice(0, -1);
  return ["", ...folders.map((_, index) => `${folders.slice(0, index + 1).join("/")}/`)];
}

/** Whole, or nothing: of half of them a template could seem to be beyond. */
function readOne<D, I>(file: string, surroundings: Surroundings<D, I>, reading: Reading): Bounds<I> | undefined {
  const { document, problems } = reading;
  const before = problems.length;
  const part = readPart(boundsSchema, document.value, { ...reading, at: [] });
  if (part === undefined) return undefined;
  const bounds = readWhole(file, part.value, surroundings, reading);
  const unsure = namesUnread(part.value.network ?? [], surroundings.sets);
  return problems.length > before || unsure ? undefined : bounds;
}

function readWhole<D, I>(
  file: string,
  { owner, max_ttl, unrevocable, credentials, network, ...written }: z.output<typeof boundsSchema>,
  { rooms, sets }: Surroundings<D, I>,
  reading: Reading,
): Bounds<I> {
  const { document, problems } = reading;
  checkProviders(credentials ?? [], rooms, reading);
  const sandbox = readSandbox(written, rooms, reading);
  const endpoints = network && expandNetwork(network, { sets, credentials: "any" }, { ...reading, at: ["network"] });
  return {
    file,
    document,
    owner,
    who: readParts(partsOf(written.who, document, ["who"]), whoLinesSchema, problems),
    when: readParts(partsOf(written.when, document, ["when"]), hoursSchema, problems),
    maxTtl: max_ttl ?? Number.POSITIVE_INFINITY,
    unrevocableTtl: unrevocable?.max_ttl ?? Number.POSITIVE_INFINITY,
    credentials,
    network: endpoints && { covers: coveredBy(endpoints), ofCredentials: network.includes("credentials") },
    sandbox: sandbox ?? { beyond: () => [], usual: {} },
  };
}

function checkProviders<D, I>(
  bounds: readonly CredentialBound[],
  { providers }: Rooms<D, I>,
  { document, problems }: Reading,
): void {
  bounds.forEach(({ provider }, index) => {
    if (providers.has(provider)) return;
    const at = ["credentials", index, "provider"];
    problems.push(document.problem(at, `mayfly.yaml has no provider ${provider}`, meant(provider, [...providers.keys()])));
  });
}

/** `tolerate` stands at the top here too, and the sandbox's own schema reads it with the rest. */
function readSandbox<D, I>(
  { sandbox, tolerate }: Pick<z.output<typeof boundsSchema>, "sandbox" | "tolerate">,
  { isolation }: Rooms<D, I>,
  { document, problems }: Reading,
): IsolationBounds<I> | undefined {
  if (sandbox !== undefined && "tolerate" in sandbox) {
    problems.push(document.problem(["sandbox", "tolerate"], "not here", "'tolerate' stands at the top of the bounds"));
    return undefined;
  }
  const parsed = parsePart(isolation.bounds, defined({ ...sandbox, tolerate }));
  if (parsed.success) return parsed.data;
  for (const issue of sayable(parsed.error.issues)) {
    const at = issue.path[0] === "tolerate" ? [] : ["sandbox"];
    problems.push(...issueProblems(issue, { document, problems, at }, isolation.bounds));
  }
  return undefined;
}
