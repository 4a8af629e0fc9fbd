import { closeSync, fchownSync } from "node:fs";
import { Socket } from "node:net";
import { pipe } from "./kernel.ts";

/** A job's three standard streams: the ends that the runtime inherits, and ours. */
export class JobPipes {
  readonly #inherited: readonly number[];
  readonly stdin: Socket;
  readonly stdout: Socket;
  readonly stderr: Socket;

  /** The job's ends belong to its user, or it could not open /dev/stdout anew; runtimes differ in whether they see to it. */
  constructor(owner: { readonly uid: number; readonly gid: number }) {
    const [input, output, errors] = [pipe(), pipe(), pipe()];
    this.#inherited = [input.read, output.write, errors.write];
    for (const end of this.#inherited) fchownSync(end, owner.uid, owner.gid);
    this.stdin = new Socket({ fd: input.write, readable: false, writable: true });
    this.stdout = new Socket({ fd: output.read, readable: true, writable: false });
    this.stderr = new Socket({ fd: errors.read, readable: true, writable: false });
    // A job that closes its stdin, or ends, is no failure of ours.
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream.on("error", () => stream.destroy());
  }

  get inherited(): readonly number[] {
    return this.#inherited;
  }

  /** Once the runtime has them: an end that stayed open here would hide the streams' end. */
  closeInherited(): void {
    for (const end of this.#inherited) closeSync(end);
  }

  destroy(): void {
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream.destroy();
  }
}
