import { constants } from "node:fs";
import { type FileHandle, lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Compiled, compileTemplates, type Policy } from "./compile.ts";
import type { TemplateSource } from "./document.ts";
import { type Problem, policyInvalid } from "./problem.ts";
import type { Rooms } from "./rooms.ts";

export interface TemplatesFolder {
  readonly path: string;
  /** The user ids that may own templates: root and the broker's own. */
  readonly owners: readonly number[];
}

const maxFiles = 1_000;
const maxSize = 262_144;

/** The policy of a folder, or `policy-invalid` with every problem in it. A broker never runs with a part of its templates. */
export async function loadPolicy<D, I>(folder: TemplatesFolder, rooms: Rooms<D, I>): Promise<Policy<D, I>> {
  const compiled = await checkTemplates(folder, rooms);
  if (compiled.kind === "problems") throw policyInvalid(compiled.problems);
  return compiled.policy;
}

/** The same for `mayfly check`, which wants the problems as data. */
export async function checkTemplates<D, I>(folder: TemplatesFolder, rooms: Rooms<D, I>): Promise<Compiled<D, I>> {
  const read = await readTemplates(folder);
  // Parsed even where a file could not be read: all problems are shown at once.
  const compiled = read.sources.length === 0 && read.problems.length > 0 ? undefined : compileTemplates(read.sources, rooms);
  const problems = [...read.problems, ...(compiled?.kind === "problems" ? compiled.problems : [])];
  return compiled?.kind === "policy" && problems.length === 0 ? compiled : { kind: "problems", problems };
}

interface ReadTemplates {
  readonly sources: readonly TemplateSource[];
  readonly problems: readonly Problem[];
}

async function readTemplates({ path, owners }: TemplatesFolder): Promise<ReadTemplates> {
  const sources: TemplateSource[] = [];
  const problems: Problem[] = [];
  const complain = (file: string, message: string): void =>
    void problems.push({ file, line: 0, key: "", message, fix: undefined });
  const names = await listed(path, owners).catch((error: unknown) => complain(path, whyUnreadable(error)));
  for (const name of names ?? []) {
    await readTemplate(join(path, name), owners).then(
      (text) => sources.push({ file: name, text }),
      (error: unknown) => complain(name, whyUnreadable(error)),
    );
  }
  return { sources, problems };
}

/** What is hidden or plainly something else is left alone; what looks like a template under another name is refused. */
async function listed(path: string, owners: readonly number[]): Promise<readonly string[]> {
  const flaw = ownerFlaw(await lstat(path), owners, "isDirectory");
  if (flaw !== undefined) throw new TemplateUnreadable(flaw);
  const entries = (await readdir(path, { withFileTypes: true })).filter((entry) => !entry.name.startsWith("."));
  const folder = entries.find((entry) => entry.isDirectory());
  if (folder !== undefined) throw new TemplateUnreadable(`holds the folder ${folder.name}, which would not be read`);
  const names = entries.map((entry) => entry.name).filter((name) => /\.ya?ml$/i.test(name));
  const odd = names.find((name) => !/^[A-Za-z0-9][A-Za-z0-9._-]*\.yaml$/.test(name));
  if (odd !== undefined) throw new TemplateUnreadable(`holds ${JSON.stringify(odd)}; a template's file is called NAME.yaml`);
  if (names.length > maxFiles) throw new TemplateUnreadable(`holds more than ${maxFiles} templates`);
  return names.sort();
}

/** The file that was checked is the file that is read: one descriptor for both. */
async function readTemplate(path: string, owners: readonly number[]): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return await checkedText(file, owners);
  } finally {
    await file.close();
  }
}

async function checkedText(file: FileHandle, owners: readonly number[]): Promise<string> {
  const stats = await file.stat();
  const flaw = ownerFlaw(stats, owners, "isFile");
  if (flaw !== undefined) throw new TemplateUnreadable(flaw);
  if (stats.size > maxSize) throw new TemplateUnreadable("longer than 256 KiB");
  const bytes = await file.readFile();
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new TemplateUnreadable("not UTF-8");
  }
}

interface Stats {
  readonly uid: number;
  readonly mode: number;
  isFile(): boolean;
  isDirectory(): boolean;
}

/** Whoever may write a template decides who gets what. */
function ownerFlaw(stats: Stats, owners: readonly number[], kind: "isFile" | "isDirectory"): string | undefined {
  if (!stats[kind]()) return kind === "isFile" ? "not a plain file" : "not a folder (a symbolic link does not count)";
  if (!owners.includes(stats.uid)) return `belongs to user ${stats.uid}; it must belong to root or to the broker's user`;
  if ((stats.mode & 0o022) !== 0) return "can be written by others; take that right away with chmod go-w";
  return undefined;
}

class TemplateUnreadable extends Error {
  override readonly name = "TemplateUnreadable";
}

function whyUnreadable(error: unknown): string {
  if (error instanceof TemplateUnreadable) return error.message;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ELOOP" ? "a symbolic link; templates are plain files" : `cannot be read (${String(code)})`;
}
