import { z } from "zod";
import { type Endpoint, endpointText, readEndpoint } from "../network.ts";
import type { PolicyFile } from "./heads.ts";
import { meant } from "./nearest.ts";
import { type Reading, readPart } from "./reading.ts";
import type { Stepwise } from "./stepwise.ts";
import { networkList, oneLine, partName } from "./template.ts";

/** `NAME.set.yaml`: hosts that many templates need, listed once. */
export const setSchema = z.strictObject({
  version: z.literal(1),
  set: partName,
  /** When it was last looked through, or any other word for this state of it. */
  revision: oneLine(64),
  hosts: networkList.min(1, "name at least one host"),
});

export interface NetworkSet {
  readonly name: string;
  readonly file: string;
  readonly revision: string;
  readonly endpoints: readonly Endpoint[];
}

export type NetworkSets = ReadonlyMap<string, NetworkSet>;

/** By their names, which are unique in the whole tree: nobody can put another list in place of the site's. */
export function* readSets(
  { files, unread }: { readonly files: readonly PolicyFile[]; readonly unread: readonly string[] },
  problems: Reading["problems"],
): Stepwise<NetworkSets> {
  const sets = new Map<string, NetworkSet>(unread.map((file) => [nameOf(file), unknownSet(file)]));
  for (const { file, document } of files) {
    const set = readSet(file, { document, problems }) ?? unknownSet(file);
    const earlier = sets.get(set.name);
    if (earlier !== undefined)
      problems.push(document.problem(["set"], `${earlier.file} has a set of this name too`, "give each set its own name"));
    else sets.set(set.name, set);
    yield;
  }
  return sets;
}

function nameOf(file: string): string {
  return file.slice(file.lastIndexOf("/") + 1).replace(/\.set\.yaml$/, "");
}

/** What is wrong with it is said of the set, and of nobody who names it: that it has no hosts tells which it is. */
function unknownSet(file: string): NetworkSet {
  return { name: nameOf(file), file, revision: "", endpoints: [] };
}

function readSet(file: string, reading: Reading): NetworkSet | undefined {
  const { document, problems } = reading;
  const before = problems.length;
  const part = readPart(setSchema, document.value, { ...reading, at: [] });
  if (part === undefined) return undefined;
  const { set: name, revision, hosts } = part.value;
  if (!`/${file}`.endsWith(`/${name}.set.yaml`))
    problems.push(document.problem(["set"], "a set is called as its file is", `rename the file to ${name}.set.yaml`));
  const endpoints = expandNetwork(
    hosts,
    { sets: undefined, credentials: undefined, from: `set:${name}` },
    { ...reading, at: ["hosts"] },
  );
  return problems.length === before ? { name, file, revision, endpoints } : undefined;
}

/** Whether a list names a set that could not be read, so that nobody knows all that is in it. */
export function namesUnread(written: readonly string[], sets: NetworkSets): boolean {
  return written.some((entry) => sets.get(entry.replace(/^set:/, ""))?.endpoints.length === 0);
}

/** What the words of a list stand for where it is written; undefined where they cannot be used. */
export interface Vocabulary {
  readonly sets: NetworkSets | undefined;
  /** Of the credentials that a run gets, each with its provider's name; `any`: of those of whatever template it will be. */
  readonly credentials: readonly { readonly provider: string; readonly endpoints: readonly string[] }[] | "any" | undefined;
  /** Where the list itself is what something was expanded from. */
  readonly from?: string;
}

const mostEndpoints = 1_024;

/** A list with more of them is not meant as one. */
const mostFlaws = 50;

/** Each host once, in the order of the list. */
export function expandNetwork(
  written: readonly string[],
  words: Vocabulary,
  { document, problems, at }: Reading & { readonly at: readonly PropertyKey[] },
): readonly Endpoint[] {
  const expanded: Endpoint[] = [];
  const before = problems.length;
  for (const [index, entry] of written.entries()) {
    if (written.indexOf(entry) < index) continue;
    const complain: Complain = (message, fix) => void problems.push(document.problem([...at, index], message, fix));
    expanded.push(...expandEntry(entry, words, complain));
    if (expanded.length > mostEndpoints)
      problems.push(document.problem(at, `more than ${mostEndpoints} hosts, which is the most that a run can reach`));
    if (expanded.length > mostEndpoints || problems.length - before > mostFlaws) return [];
  }
  const seen = new Set<string>();
  return expanded.filter((endpoint) => {
    const text = endpointText(endpoint);
    return !seen.has(text) && seen.add(text);
  });
}

type Complain = (message: string, fix?: string) => void;

function expandEntry(entry: string, words: Vocabulary, complain: Complain): readonly Endpoint[] {
  if (entry === "credentials") return ofCredentials(words, complain);
  if (entry.startsWith("set:")) return ofSet(entry.slice(4), words, complain);
  const read = readEndpoint(entry, words.from);
  if (read.kind === "endpoint") return [read.endpoint];
  complain(read.message, read.fix);
  return [];
}

function ofSet(name: string, { sets }: Vocabulary, complain: Complain): readonly Endpoint[] {
  const set = sets?.get(name);
  if (set === undefined)
    complain(
      sets === undefined ? "a set has hosts only, and no other set" : `there is no network set ${name}`,
      sets === undefined ? "write the hosts out" : meant(name, [...sets.keys()]),
    );
  return set?.endpoints ?? [];
}

function ofCredentials({ credentials }: Vocabulary, complain: Complain): readonly Endpoint[] {
  if (credentials === undefined) {
    complain("only a template has credentials", "write the hosts out");
    return [];
  }
  if (credentials === "any") return [];
  const without = credentials.find(({ endpoints }) => endpoints.length === 0);
  if (credentials.length === 0) complain("no credentials are given here, so none have endpoints");
  if (without !== undefined)
    complain(
      `mayfly.yaml does not say where ${without.provider} is used`,
      `set providers.${without.provider}.endpoints there, or name the hosts`,
    );
  return credentials.flatMap(({ provider, endpoints }) => endpoints.flatMap((text) => ofProvider(provider, text, complain)));
}

function ofProvider(provider: string, text: string, complain: Complain): readonly Endpoint[] {
  const read = readEndpoint(text, "credentials");
  if (read.kind === "endpoint") return [read.endpoint];
  complain(`providers.${provider}.endpoints of mayfly.yaml has ${text}: ${read.message}`, read.fix);
  return [];
}
