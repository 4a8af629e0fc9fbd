import { readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import process from "node:process";

/** True where the file took the value; false where this kernel has no such file or refuses it. */
export function tryWrite(path: string, value: string): boolean {
  try {
    writeFileSync(path, value);
    return true;
  } catch {
    return false;
  }
}

/** Empty where there is no such file. */
export function tryRead(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Undefined where there is no such file, or no plain number in it. */
export function readAmount(path: string): number | undefined {
  const text = tryRead(path).trim();
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
}

/** The folder and all below it, deepest first: the order in which groups can be removed. */
export function foldersOf(path: string): readonly string[] {
  try {
    const below = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [...below.flatMap((entry) => foldersOf(`${path}/${entry.name}`)), path];
  } catch {
    return [];
  }
}

/** Every process of these groups. */
export function pidsOf(folders: readonly string[]): readonly number[] {
  const lines = folders.flatMap((folder) => tryRead(`${folder}/cgroup.procs`).split("\n"));
  return lines.map(Number).filter((pid) => pid > 0);
}

/** KILL to each process of these groups. A process that was already gone is no failure. */
export function killAll(folders: readonly string[]): void {
  for (const pid of pidsOf(folders)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It was faster.
    }
  }
}

/** True once none of the folders is left. */
export function removeAll(folders: readonly string[]): boolean {
  for (const folder of folders) {
    try {
      rmdirSync(folder);
    } catch {
      // Still in use, or already gone: the look below tells.
    }
  }
  return folders.every((folder) => foldersOf(folder).length === 0);
}
