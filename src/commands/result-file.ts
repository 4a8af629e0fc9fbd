import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, rename, stat, unlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { BrokerError } from "../errors.ts";

/**
 * Where `--result` is written. Its folder may be the job's workspace, in which a job can put anything in any place: so the folder is
 * opened before the job starts, and everything is written into that very folder, whatever stands at its path by then.
 */
export class ResultFile implements AsyncDisposable {
  readonly #path: string;
  readonly #folder: FileHandle;

  private constructor(path: string, folder: FileHandle) {
    this.#path = path;
    this.#folder = folder;
  }

  /** Throws `usage` where there is no such folder. */
  static async open(path: string): Promise<ResultFile> {
    const folder = await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY).catch(unwritable(path));
    return new ResultFile(path, folder);
  }

  /**
   * Whole or not at all: a reader never sees half of it, and nothing is left where it cannot be put in its place. Under a name that a job
   * cannot guess, and never through what already stands there.
   * Throws `usage`, also where the folder is not at its path any more: whoever looks there would read what the job put in its place.
   */
  async write(content: object): Promise<void> {
    const folder = `/proc/self/fd/${this.#folder.fd}`;
    const part = join(folder, `.mayfly-${randomBytes(12).toString("hex")}`);
    try {
      await writeFile(part, `${JSON.stringify(content, null, 2)}\n`, { flag: "wx" });
      await rename(part, join(folder, basename(this.#path)));
    } catch (cause) {
      await unlink(part).catch(() => undefined);
      unwritable(this.#path)(cause);
    }
    if (!(await this.#inPlace())) throw moved(this.#path);
  }

  async #inPlace(): Promise<boolean> {
    const [ours, there] = await Promise.all([this.#folder.stat(), stat(dirname(this.#path)).catch(() => undefined)]);
    return there?.dev === ours.dev && there.ino === ours.ino;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder.close();
  }
}

function unwritable(path: string): (cause: unknown) => never {
  return (cause) => {
    throw new BrokerError("usage", `the result cannot be written to ${path}`, {
      hint: "name a file in a folder that you may write to",
      cause,
    });
  };
}

function moved(path: string): BrokerError {
  return new BrokerError("usage", `the result is not at ${path}: its folder was moved while the job ran`, {
    hint: "name a file outside of the job's workspace; do not believe what is at that path now",
  });
}
