import {
  chownSync,
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { Secret } from "../secret.ts";
import type { DeliveredFile } from "./delivery.ts";

/** The job's user and group on the host. */
export interface Reader {
  readonly uid: number;
  readonly gid: number;
}

/**
 * One job's credentials, as files on memory that cannot be swapped: the caller has mounted such memory at `folder` and shows it to
 * the job read-only. `CREDENTIAL/NAME` leads through `CREDENTIAL/..data` to one generation of that credential's files, and a new
 * generation takes over by one rename: a job that reads two files of a pair never sees them torn (as Kubernetes does it).
 */
export class MemoryMount {
  readonly folder: string;
  readonly #reader: Reader;
  readonly #generations = new Map<string, number>();

  constructor(folder: string, reader: Reader) {
    this.folder = folder;
    this.#reader = reader;
    this.#makeFolder(folder);
  }

  /** A credential's files are replaced as a whole; the generation before stays for whoever is still reading, older ones go. */
  deliver(files: readonly DeliveredFile[]): void {
    for (const credential of new Set(files.map((file) => file.credential))) {
      const own = files.filter((file) => file.credential === credential);
      this.#replace(credential, own);
    }
  }

  /** Overwrites every file before it goes: a process that still holds one open reads zeros. */
  wipe(): void {
    wipeFolder(this.folder);
    rmSync(this.folder, { recursive: true, force: true });
  }

  #replace(credential: string, files: readonly DeliveredFile[]): void {
    const folder = `${this.folder}/${credential}`;
    const generation = (this.#generations.get(credential) ?? 0) + 1;
    if (generation === 1) this.#makeFolder(folder);
    this.#makeFolder(`${folder}/..${generation}`);
    for (const file of files) this.#write(`${folder}/..${generation}/${file.name}`, file);
    symlinkSync(`..${generation}`, `${folder}/..new`);
    renameSync(`${folder}/..new`, `${folder}/..data`);
    this.#generations.set(credential, generation);
    linkNames(folder, files);
    retire(`${folder}/..${generation - 2}`);
  }

  /** The folder is closed to others already, so the file is never readable by anyone but its owner to be. */
  #write(path: string, { content }: DeliveredFile): void {
    const file = openSync(path, "wx", 0o400);
    try {
      if (content instanceof Secret) content.use((bytes) => writeAll(file, bytes));
      else writeAll(file, Buffer.from(content, "utf8"));
    } finally {
      closeSync(file);
    }
    chownSync(path, this.#reader.uid, this.#reader.gid);
  }

  #makeFolder(path: string): void {
    mkdirSync(path, { mode: 0o500 });
    chownSync(path, this.#reader.uid, this.#reader.gid);
  }
}

/** A name that the new generation lacks loses its link; one that stays is not touched, so it is there at every moment. */
function linkNames(folder: string, files: readonly DeliveredFile[]): void {
  const wanted = new Set(files.map((file) => file.name));
  const present = new Set(readdirSync(folder).filter((name) => !name.startsWith("..")));
  for (const name of wanted) if (!present.has(name)) symlinkSync(`..data/${name}`, `${folder}/${name}`);
  for (const name of present) if (!wanted.has(name)) rmSync(`${folder}/${name}`);
}

function retire(generation: string): void {
  wipeFolder(generation);
  rmSync(generation, { recursive: true, force: true });
}

function wipeFolder(folder: string): void {
  for (const entry of entriesOf(folder)) {
    if (entry.isDirectory()) wipeFolder(`${folder}/${entry.name}`);
    else if (entry.isFile()) overwrite(`${folder}/${entry.name}`);
  }
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

function overwrite(path: string): void {
  const file = openSync(path, "r+");
  try {
    writeAll(file, Buffer.alloc(fstatSync(file).size));
  } finally {
    closeSync(file);
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
}
