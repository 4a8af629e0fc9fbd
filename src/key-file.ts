import { randomUUID } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, link, open, rename, unlink, utimes } from "node:fs/promises";
import { dirname } from "node:path";
import { BrokerError } from "./errors.ts";
import type { Instant } from "./time.ts";

/**
 * The text of a file that only its owner may read, made by `create` on the first start. Refuses with `config-invalid` a file
 * that another user owns or can read, and a link. What is returned is durable: a key must never sign anything and then be lost.
 */
export async function loadOrCreate(path: string, create: () => Promise<string>): Promise<string> {
  return (await readPrivate(path)) ?? (await write(path, await create()));
}

/** The same of a file that somebody else made, with the same refusals; undefined when there is none. */
export async function readPrivate(path: string): Promise<string | undefined> {
  const file = await openKey(path);
  if (file === undefined) return undefined;
  try {
    checkPrivate(path, await file.stat());
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

async function openKey(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return undefined;
    throw unfit(path, "cannot be read", cause);
  }
}

function checkPrivate(path: string, stats: Stats): void {
  if (!stats.isFile()) throw unfit(path, "is not a regular file");
  if (stats.uid !== process.geteuid?.()) throw unfit(path, "belongs to another user");
  if ((stats.mode & 0o077) !== 0) throw unfit(path, "can be read by others; its mode must be 0600");
}

/** Written aside and linked into place: nobody ever sees half a key, and of two brokers that start at once one key wins. */
async function write(path: string, text: string): Promise<string> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await writeDurably(aside, text);
    await link(aside, path).catch(ignoreExisting);
    await unlink(aside);
    await syncFolder(dirname(path));
  } catch (cause) {
    throw unfit(path, "cannot be created", cause);
  }
  const winner = await readPrivate(path);
  if (winner === undefined) throw unfit(path, "vanished while it was created");
  return winner;
}

/** A file that holds no secret, written whole or not at all; `at` becomes its time. */
export async function replaceDurably(path: string, text: string, at: Instant): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  await writeDurably(aside, text);
  await utimes(aside, at / 1_000, at / 1_000);
  await rename(aside, path);
  await syncFolder(dirname(path));
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function ignoreExisting(error: unknown): void {
  if (!hasCode(error, "EEXIST")) throw error;
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

export function unfit(path: string, why: string, cause?: unknown): BrokerError {
  return new BrokerError("config-invalid", `a key of the broker ${why}`, { hint: `check ${path}`, cause });
}
