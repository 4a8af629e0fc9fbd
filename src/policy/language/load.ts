import { constants, type Dirent } from "node:fs";
import { type FileHandle, lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Duration, turns } from "../../time.ts";
import type { Policy } from "../policy.ts";
import { type Problem, policyInvalid } from "../problem.ts";
import type { Rooms } from "../rooms.ts";
import { type Compiled, compileGently } from "./compile.ts";
import { fileProblem, kindOf, type TemplateSource } from "./document.ts";
import { NotOwned, ownerFlaw } from "./owned.ts";

export interface TemplatesFolder {
  readonly path: string;
  /** The user ids that may own templates: root and the broker's own. */
  readonly owners: readonly number[];
}

/** A tree beyond these is a mistake, or meant to keep the broker busy. */
const most = { files: 4_096, depth: 8, fileSize: 262_144, size: 33_554_432 } as const;

/** A broker that loads templates anew goes on serving runs. */
const ourTurn: Duration = 10;

/** The policy of a folder, or `policy-invalid` with every problem in it. A broker never runs with a part of its templates. */
export async function loadPolicy<D, I>(folder: TemplatesFolder, rooms: Rooms<D, I>): Promise<Policy<D, I>> {
  const compiled = await checkTemplates(folder, rooms);
  if (compiled.kind === "problems") throw policyInvalid(compiled.problems.filter(({ level }) => level !== "advice"));
  return compiled.policy;
}

/** The same for `mayfly check`, which wants the problems as data. */
export async function checkTemplates<D, I>(folder: TemplatesFolder, rooms: Rooms<D, I>): Promise<Compiled<D, I>> {
  const read = await readTemplates(folder);
  // Parsed even where a file could not be read: all problems are shown at once.
  const unread = read.sources.length === 0 && read.problems.length > 0;
  const compiled = unread ? undefined : await compileGently(read.sources, rooms, turns(ourTurn));
  const problems = [...read.problems, ...(compiled?.kind === "problems" ? compiled.problems : [])];
  return compiled?.kind === "policy" && problems.length === 0 ? compiled : { kind: "problems", problems };
}

interface ReadTemplates {
  readonly sources: readonly TemplateSource[];
  readonly problems: readonly Problem[];
}

async function readTemplates({ path, owners }: TemplatesFolder): Promise<ReadTemplates> {
  const problems: Problem[] = [];
  const files = await listed({ path, name: "", depth: 0 }, owners, problems);
  if (files.length > most.files)
    return { sources: [], problems: [...problems, fileProblem(path, `holds more than ${most.files} files`)] };
  const sources: TemplateSource[] = [];
  for (let at = 0; at < files.length; at += atOnce) {
    const read = files.slice(at, at + atOnce).map((file) =>
      readSource(join(path, file), owners).then(
        (text) => [{ file, text }],
        (error: unknown) => void problems.push(fileProblem(file, whyUnreadable(error))),
      ),
    );
    sources.push(...(await Promise.all(read)).flatMap((one) => one ?? []));
    const size = sources.reduce((sum, { text }) => sum + text.length, 0);
    if (size > most.size) return { sources: [], problems: [...problems, fileProblem(path, "holds more than 32 MiB")] };
  }
  return { sources, problems };
}

const atOnce = 32;

interface Folder {
  readonly path: string;
  /** Beneath the folder of templates, with a slash behind it; empty for that folder itself. */
  readonly name: string;
  readonly depth: number;
}

/** The names of all files that say something, those of the folders beneath too. */
async function listed(folder: Folder, owners: readonly number[], problems: Problem[]): Promise<readonly string[]> {
  const entries = await entriesOf(folder, owners).catch((error: unknown) => {
    problems.push(fileProblem(folder.name || folder.path, whyUnreadable(error)));
  });
  const files: string[] = [];
  for (const entry of entries ?? []) {
    const name = `${folder.name}${entry.name}`;
    const flaw = entryFlaw(entry, folder);
    if (flaw !== undefined) problems.push(fileProblem(name, flaw));
    else if (!entry.isDirectory()) files.push(name);
    else
      files.push(
        ...(await listed({ path: join(folder.path, entry.name), name: `${name}/`, depth: folder.depth + 1 }, owners, problems)),
      );
    if (files.length > most.files) return files;
  }
  return files;
}

/** What is hidden or plainly something else is left alone. */
export function concerns(entry: Pick<Dirent, "name" | "isDirectory" | "isSymbolicLink">): boolean {
  if (entry.name.startsWith(".")) return false;
  return entry.isDirectory() || entry.isSymbolicLink() || /\.ya?ml$/i.test(entry.name);
}

/** What could be taken for a part of the policy and would not be read is refused. */
async function entriesOf({ path }: Folder, owners: readonly number[]): Promise<readonly Dirent[]> {
  const flaw = ownerFlaw(await lstat(path), owners, "isDirectory");
  if (flaw !== undefined) throw new NotOwned(flaw);
  const entries = await readdir(path, { withFileTypes: true });
  return entries.filter(concerns).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function entryFlaw(entry: Dirent, { depth }: Folder): string | undefined {
  if (entry.isSymbolicLink()) return "a symbolic link; templates are plain files and folders";
  if (entry.isDirectory() && depth >= most.depth) return `more than ${most.depth} folders deep`;
  if (entry.isDirectory() && !/^[a-z0-9][a-z0-9_-]*$/.test(entry.name))
    return "not a name for a folder, which is lower case letters, digits, '-' and '_'";
  if (!entry.isDirectory() && !/^[a-z0-9][a-z0-9_-]*(?:\.set|\.test)?\.yaml$/.test(entry.name))
    return "not a name for a file, which is NAME.yaml, NAME.set.yaml, NAME.test.yaml or bounds.yaml, in lower case";
  return undefined;
}

/** The file that was checked is the file that is read: one descriptor for both. Tests are checked and not read: they decide nothing. */
async function readSource(path: string, owners: readonly number[]): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return await checkedText(file, owners, kindOf(path) === "test");
  } finally {
    await file.close();
  }
}

async function checkedText(file: FileHandle, owners: readonly number[], unread: boolean): Promise<string> {
  const stats = await file.stat();
  const flaw = ownerFlaw(stats, owners, "isFile");
  if (flaw !== undefined) throw new NotOwned(flaw);
  if (unread) return "";
  if (stats.size > most.fileSize) throw new NotOwned("longer than 256 KiB");
  const bytes = await file.readFile();
  // A template that is cut off may still be one, with fewer conditions than its author writes.
  const after = await file.stat();
  if (after.mtimeMs !== stats.mtimeMs || after.size !== bytes.length) throw new NotOwned("changed while it was read");
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new NotOwned("not UTF-8");
  }
}

function whyUnreadable(error: unknown): string {
  if (error instanceof NotOwned) return error.message;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ELOOP" ? "a symbolic link; templates are plain files" : `cannot be read (${String(code)})`;
}
