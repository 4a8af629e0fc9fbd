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
import { issueProblems, type Reading, readPart } from "./reading.ts";
import { expandNetwork } from "./sets.ts";
import type { Surroundings } from "./shape.ts";
import type { Stepwise } from "./stepwise.ts";
import { atMost, command, life, networkList, owner, severalParts } from "./template.ts";

export interface BoundPattern {
  readonly pattern: Pattern;
  readonly written: unknown;
}

const pattern = z.unknown().transform((written, context): BoundPattern => {
  const read = readPattern(written);
  if (read.kind === "pattern") return { pattern: read.pattern, written };
  context.addIssue({ code: "custom", message: read.message });
  return z.NEVER;
});

const credentialBound = z.strictObject({
  provider: z.string().min(1),
  /**
   * By key, what the credential's text there may be: literal or glob, one or a list. With it, each option of the credential must be named, as
   * one that is not could make more of it than those that are.
   */
  options: z
    .record(z.string(), z.union([z.array(pattern).min(1).max(256), pattern.transform((one) => [one])]))
    .refine(atMost(64), "64 options at most")
    .optional(),
  max_ttl: life.optional(),
  /** Each step that gets such a credential pins its command; a list says which they may be. */
  commands: z.union([z.literal("pinned"), z.array(command).min(1).max(256)], "write pinned, or a list of commands").optional(),
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

/** Those of a file's folder and of every folder above it, the root's first. */
export type BoundsAbove<I> = (file: string) => readonly Bounds<I>[];

export function* readBounds<D, I>(
  files: readonly PolicyFile[],
  surroundings: Surroundings<D, I>,
  problems: Reading["problems"],
): Stepwise<BoundsAbove<I>> {
  const byFolder = new Map<string, Bounds<I>>();
  for (const { file, document } of files) {
    const bounds = readOne(file, surroundings, { document, problems });
    if (bounds !== undefined) byFolder.set(folderOf(file), bounds);
    yield;
  }
  return (file) => foldersAbove(file).flatMap((folder) => byFolder.get(folder) ?? []);
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

function readOne<D, I>(file: string, { rooms, sets }: Surroundings<D, I>, reading: Reading): Bounds<I> | undefined {
  const { document, problems } = reading;
  const part = readPart(boundsSchema, document.value, { ...reading, at: [] });
  if (part === undefined) return undefined;
  const { owner, max_ttl, unrevocable, credentials, network, ...written } = part.value;
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
  const parsed = isolation.bounds.safeParse(defined({ ...sandbox, tolerate }));
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) {
    const at = issue.path[0] === "tolerate" ? [] : ["sandbox"];
    problems.push(...issueProblems(issue, { document, problems, at }, isolation.bounds));
  }
  return undefined;
}
