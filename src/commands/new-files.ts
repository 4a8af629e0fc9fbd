import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { lstat, mkdir, open, rename, unlink } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { BrokerError } from "../errors.ts";

/** A file to be written, with what is to become of one that stands in its place. */
export interface NewFile {
  readonly path: string;
  readonly text: string;
  readonly replace: boolean;
}

/**
 * Writes files into a folder whose content somebody else may have chosen, such as a checkout's: nothing beneath `trusted` is followed if it is
 * a symbolic link, and what is replaced is replaced by name, so that nothing outside is ever written through a link of either kind. Every file
 * is looked at before any is written. Throws `usage`.
 */
export async function writeFiles(files: readonly NewFile[], trusted: string): Promise<void> {
  for (const file of files) await check(file, trusted);
  for (const file of files) await write(file, trusted);
}

async function check({ path, replace }: NewFile, trusted: string): Promise<void> {
  for (const folder of foldersOf(path, trusted)) {
    const kind = await kindOf(folder);
    if (kind === "nothing") break;
    if (kind !== "folder") throw refused(folder, kind);
  }
  const kind = await kindOf(path);
  if (kind === "nothing") return;
  if (kind !== "file") throw refused(path, kind);
  if (replace) return;
  throw new BrokerError("usage", `${path} is there already`, {
    hint: "choose another name with --template, or write over it with --force",
  });
}

/** Those from `trusted` down to the file's own. */
function foldersOf(path: string, trusted: string): readonly string[] {
  const names = relative(trusted, dirname(path))
    .split(sep)
    .filter((name) => name !== "");
  return names.map((_, index) => join(trusted, ...names.slice(0, index + 1)));
}

type Kind = "nothing" | "folder" | "file" | "symbolic link" | "special file";

async function kindOf(path: string): Promise<Kind> {
  const stat = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw unwritable(path, error);
  });
  if (stat === undefined) return "nothing";
  if (stat.isSymbolicLink()) return "symbolic link";
  if (stat.isDirectory()) return "folder";
  return stat.isFile() ? "file" : "special file";
}

function refused(path: string, kind: Kind): BrokerError {
  return new BrokerError("usage", `${path} is a ${kind}, so nothing is written there`, {
    hint: "take it away, or name another folder with --out",
  });
}

function unwritable(path: string, cause: unknown): BrokerError {
  return new BrokerError("usage", `${path} cannot be written`, {
    hint: "name a folder that you may write to with --out",
    cause,
  });
}

/** Others may read them and only their owner write: the broker takes no templates that others can write to. */
const modes = { folder: 0o755, file: 0o644 } as const;

async function write(file: NewFile, trusted: string): Promise<void> {
  const { path, replace } = file;
  try {
    await mkdir(trusted, { recursive: true, mode: modes.folder });
    for (const folder of foldersOf(path, trusted)) await makeFolder(folder);
    await (replace ? put(file) : create(path, file.text));
  } catch (cause) {
    throw cause instanceof BrokerError ? cause : unwritable(path, cause);
  }
}

async function makeFolder(path: string): Promise<void> {
  const kind = await kindOf(path);
  if (kind === "nothing") await mkdir(path, { mode: modes.folder });
  else if (kind !== "folder") throw refused(path, kind);
}

/** Never an existing file, nor what a link there points at. */
async function create(path: string, text: string): Promise<void> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  await using file = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, modes.file);
  await file.writeFile(text);
}

/** A name that begins with a dot is no template, should this end half way. */
async function put({ path, text }: NewFile): Promise<void> {
  const part = join(dirname(path), `.${basename(path)}-${randomBytes(6).toString("hex")}`);
  try {
    await create(part, text);
    await rename(part, path);
  } catch (error) {
    await unlink(part).catch(() => undefined);
    throw error;
  }
}
