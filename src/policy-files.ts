import { lstat, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Delivery } from "./delivery/delivery.ts";
import { type LastWordRead, type LastWordSource, wordsOf } from "./last-word.ts";
import { fileProblem } from "./policy/language/document.ts";
import { checkTemplates, concerns, type TemplatesFolder } from "./policy/language/load.ts";
import { foldersAbove, parentFlaw } from "./policy/language/owned.ts";
import type { Policy } from "./policy/policy.ts";
import type { Problem } from "./policy/problem.ts";
import type { Rooms } from "./policy/rooms.ts";
import type { Isolation } from "./sandbox/sandbox.ts";
import type { Clock, Duration } from "./time.ts";

/** Everything on disk that decides. */
export interface PolicyFiles {
  readonly folder: TemplatesFolder;
  readonly rooms: Rooms<Delivery, Isolation>;
  /** What mayfly.yaml says of it; undefined where it says nothing. */
  readonly lastWord: LastWordSource | undefined;
  readonly clock: Clock;
}

/** The templates and the last word as they stood at one moment. */
export interface Deciding {
  readonly policy: Policy<Delivery, Isolation>;
  readonly findings: readonly Problem[];
  readonly lastWord: LastWordRead | undefined;
}

type Read =
  | { readonly kind: "deciding"; readonly deciding: Deciding }
  | { readonly kind: "problems"; readonly problems: readonly Problem[] };

/** `looked` is what `lookAt` gave for the files that were read; empty where they did not stand still. */
export type PolicyRead = Read & { readonly looked: string };

const attempts = 5;
const betweenAttempts: Duration = 200;
/** A file system tells moments apart by its clock's ticks (10 ms at most): what is written after a look has a later one than what it saw. */
const tick: Duration = 20;

/** Reads until nothing changed while it was read, so that what decides is never half of one version and half of another. */
export async function readPolicyFiles(files: PolicyFiles): Promise<PolicyRead> {
  const { path } = files.folder;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    if (attempt > 0) await files.clock.sleep(betweenAttempts);
    const looked = await lookAt(files);
    if (looked === tooMany) return { kind: "problems", problems: [fileProblem(path, tooMany)], looked };
    await files.clock.sleep(tick);
    const read = await readOnce(files);
    if ((await lookAt(files)) === looked) return { ...read, looked };
    if (read.kind === "deciding") read.deciding.lastWord?.[Symbol.dispose]();
  }
  const problem = fileProblem(path, "changes while it is read", "put the new files in place all at once");
  return { kind: "problems", problems: [problem], looked: "" };
}

async function readOnce({ folder, rooms, lastWord }: PolicyFiles): Promise<Read> {
  const parent = await parentFlaw(folder.path, folder.owners);
  const compiled = await checkTemplates(folder, rooms);
  const problems = parent === undefined ? [] : [fileProblem(folder.path, parent)];
  if (compiled.kind === "problems") problems.push(...compiled.problems);
  const read = await lastWord?.read().catch((error: unknown) => {
    problems.push(fileProblem(basename(lastWord.path ?? ""), wordsOf(error)));
    return undefined;
  });
  if (compiled.kind === "problems" || problems.length > 0) {
    read?.[Symbol.dispose]();
    return { kind: "problems", problems };
  }
  const { policy, findings } = compiled;
  return { kind: "deciding", deciding: { policy, findings, lastWord: read } };
}

/** Files and folders of a tree that is looked at, more than the files that load: what no watch would see is not read either. */
const mostEntries = 5_000;
const tooMany = `holds more than ${mostEntries} files and folders`;
/** Deeper than templates load. */
const deepest = 12;

/**
 * A text that is another one as soon as anything changed: a name, an owner, a mode, a size, a file's place on disk or its moment of change.
 * Of folders only their owner and mode count, since an editor's hidden files come and go in them; of files those that loading would read.
 */
export async function lookAt({ folder, lastWord }: Pick<PolicyFiles, "folder" | "lastWord">): Promise<string> {
  const seen: string[] = [];
  await walk(folder.path, 0, seen);
  if (seen.length > mostEntries) return tooMany;
  if (lastWord?.path !== undefined) seen.push(await entry(lastWord.path));
  for (const path of [folder.path, lastWord?.path ?? []].flat())
    for (const above of await foldersAbove(path)) seen.push(await entry(above));
  return seen.join("\n");
}

async function walk(path: string, depth: number, seen: string[]): Promise<void> {
  const here = await entry(path);
  seen.push(here);
  if (!here.startsWith("folder ") || depth > deepest) return;
  const entries = await readdir(path, { withFileTypes: true }).catch(codeOf);
  if (typeof entries === "string") return void seen.push(`${entries} ${path}`);
  const names = entries.filter(concerns).map(({ name }) => name);
  for (const name of names.sort()) {
    if (seen.length > mostEntries) return;
    await walk(join(path, name), depth + 1, seen);
  }
}

async function entry(path: string): Promise<string> {
  try {
    const stats = await lstat(path, { bigint: true });
    const { mode, uid, ino, dev, size, mtimeNs, ctimeNs } = stats;
    const place = `${dev}:${ino} ${uid} ${mode.toString(8)} ${JSON.stringify(path)}`;
    return stats.isDirectory() ? `folder ${place}` : `file ${place} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    return `${codeOf(error)} ${path}`;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unreadable";
}
