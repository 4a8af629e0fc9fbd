import { constants } from "node:fs";
import { lstat, open, realpath } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/** Why a file cannot be believed, or not be read: lower case, no full stop, without its name. */
export class NotOwned extends Error {
  override readonly name = "NotOwned";
}

interface Stats {
  readonly uid: number;
  readonly mode: number;
  isFile(): boolean;
  isDirectory(): boolean;
}

/** Whoever may write what decides, decides who gets what. */
export function ownerFlaw(stats: Stats, owners: readonly number[], kind: "isFile" | "isDirectory"): string | undefined {
  if (!stats[kind]()) return kind === "isFile" ? "not a plain file" : "not a folder (a symbolic link does not count)";
  if (!owners.includes(stats.uid)) return `belongs to user ${stats.uid}; it must belong to root or to the broker's user`;
  if ((stats.mode & 0o022) !== 0) return "can be written by others; take that right away with chmod go-w";
  return undefined;
}

/** Up to the root, those of the path as it is written and those of the path that it leads to. */
export async function foldersAbove(path: string): Promise<readonly string[]> {
  const written = resolve(path);
  return [...new Set([...above(written), ...above(await realpath(path).catch(() => written))])];
}

/**
 * Who can write a folder above can put another tree in this one's place. A sticky folder such as `/tmp` lets only an entry's owner do that.
 */
export async function parentFlaw(path: string, owners: readonly number[]): Promise<string | undefined> {
  for (const parent of await foldersAbove(path)) {
    const stats = await lstat(parent).catch(() => undefined);
    if (stats?.isDirectory() !== true || (owners.includes(stats.uid) && (stats.mode & 0o1000) !== 0)) continue;
    const flaw = ownerFlaw(stats, owners, "isDirectory");
    if (flaw !== undefined) return `the folder above it, ${parent}, ${flaw}`;
  }
  return undefined;
}

function above(path: string): readonly string[] {
  const parent = dirname(path);
  return parent === path ? [] : [parent, ...above(parent)];
}

/**
 * The bytes of a file that only `owners` can write, in a folder of which the same holds: who can write the folder can put an old version
 * in the file's place. The file that was checked is the file that is read: one descriptor for both. Rejects with `NotOwned`.
 */
export async function readOwned(path: string, owners: readonly number[], mostBytes: number): Promise<Buffer> {
  try {
    const folder = ownerFlaw(await lstat(dirname(path)), owners, "isDirectory");
    if (folder !== undefined) throw new NotOwned(`its folder: ${folder}`);
    const parent = await parentFlaw(dirname(path), owners);
    if (parent !== undefined) throw new NotOwned(parent);
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stats = await file.stat();
    const flaw = ownerFlaw(stats, owners, "isFile");
    if (flaw !== undefined) throw new NotOwned(flaw);
    if (stats.size > mostBytes) throw new NotOwned(`longer than ${mostBytes / 1_024} KiB`);
    return await file.readFile();
  } catch (error) {
    throw error instanceof NotOwned ? error : new NotOwned(whyUnreadable(error));
  }
}

function whyUnreadable(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ELOOP" ? "a symbolic link; it must be a plain file" : `cannot be read (${String(code)})`;
}
