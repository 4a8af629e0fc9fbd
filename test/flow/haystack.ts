import { type Dirent, lstatSync, readdirSync, readFileSync } from "node:fs";
import type { Needles } from "./needles.ts";

/** Where something of a secret was found, and in which forms; never the secret. */
export type Sighting = string;

/** What was looked through, so that a search of nothing is seen for what it is. */
export interface Searched {
  readonly sightings: readonly Sighting[];
  readonly files: number;
  readonly processes: number;
}

/** Folders in which this host keeps what changes, and where kernels and crash handlers put core files. */
const folders = ["/tmp", "/run", "/var/tmp", "/dev/shm", "/var/crash", "/var/lib/systemd/coredump"];

/** Everything on this host that may have changed since then, and what every process was started with. Milliseconds since 1970. */
export function searchHost(needles: Needles, since: number): Searched {
  const files = [
    ...folders.flatMap((folder) => filesBelow(folder, since)),
    ...["/", process.cwd()].flatMap((folder) => filesIn(folder, since)),
  ];
  const pids = readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name));
  const told = pids.flatMap((pid) => [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`]);
  return {
    sightings: [...files, ...told].flatMap((path) => sightingsIn(path, needles)),
    files: files.length,
    processes: pids.length,
  };
}

export function searchFolder(needles: Needles, folder: string): readonly Sighting[] {
  return filesBelow(folder, 0).flatMap((path) => sightingsIn(path, needles));
}

export function sightingsInText(name: string, text: string, needles: Needles): readonly Sighting[] {
  return told(name, needles.in(Buffer.from(text, "utf8")));
}

function sightingsIn(path: string, needles: Needles): readonly Sighting[] {
  return told(path, needles.in(tried(() => readFileSync(path), Buffer.alloc(0))));
}

function told(where: string, forms: readonly string[]): readonly Sighting[] {
  return forms.length === 0 ? [] : [`${where}: ${forms.join(", ")}`];
}

/** A file that has not changed since before the secret was made cannot hold it. Links are not followed: their targets are searched where they are. */
function filesBelow(folder: string, since: number): readonly string[] {
  const found: string[] = [];
  // A list instead of recursion: another test's tree may be thousands of folders deep.
  const open = [folder];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const here = next;
    found.push(...filesIn(here, since));
    for (const entry of entriesOf(here)) if (entry.isDirectory()) open.push(`${here}/${entry.name}`);
  }
  return found;
}

function filesIn(folder: string, since: number): readonly string[] {
  const paths = entriesOf(folder)
    .filter((entry) => entry.isFile())
    .map(({ name }) => `${folder}/${name}`);
  return paths.filter((path) => tried(() => lstatSync(path).ctimeMs >= since, false));
}

function entriesOf(folder: string): readonly Dirent[] {
  return tried(() => readdirSync(folder, { withFileTypes: true }), []);
}

/** Other tests' files and processes may go while they are looked at. */
function tried<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch {
    return otherwise;
  }
}
