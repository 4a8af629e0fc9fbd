import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { refused, unreachable } from "./trouble.ts";

/** The whole content of a file of at most `maxBytes`; rejects otherwise. */
export type ReadFile = (path: string, maxBytes: number) => Promise<Uint8Array>;

/** Opened so that a pipe in the file's place makes nobody wait, and read no further than one byte too many. */
export const readRegularFile: ReadFile = async (path, maxBytes) => {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if (!(await file.stat()).isFile()) throw unreachable("the file is not a regular file");
  const bytes = Buffer.alloc(maxBytes + 1);
  let size = 0;
  for (let read = -1; read !== 0 && size < bytes.length; size += read)
    read = (await file.read(bytes, size, bytes.length - size)).bytesRead;
  if (size > maxBytes) throw refused(`the file is longer than ${maxBytes} bytes`);
  return bytes.subarray(0, size);
};
