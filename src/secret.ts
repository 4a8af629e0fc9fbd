import { createHash, timingSafeEqual } from "node:crypto";
import { inspect } from "node:util";

/**
 * Bytes that cannot be printed. Every way in which JavaScript turns a value into text gives `[secret]`; the bytes leave
 * only through `use`, whose callback makes each place that handles them easy to find. `wipe` overwrites our copy: a
 * library may have made others, which is why the process is also unswappable and non-dumpable (DESIGN 8.5).
 */
export class Secret {
  #bytes: Buffer | undefined;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Takes a copy: the caller may wipe its own. */
  static of(value: string | Uint8Array): Secret {
    return new Secret(typeof value === "string" ? Buffer.from(value, "utf8") : Buffer.from(value));
  }

  get length(): number {
    return this.#bytes?.length ?? 0;
  }

  /** Lends the bytes for the length of the call. Throws once wiped: a late use is a bug, never an empty credential. */
  use<T>(borrow: (bytes: Buffer) => T): T {
    if (this.#bytes === undefined) throw new Error("a wiped secret was used");
    return borrow(this.#bytes);
  }

  /** Constant time for equal lengths, and for different ones too, since digests are compared. */
  equals(other: Secret): boolean {
    const digest = (secret: Secret) => secret.use((bytes) => createHash("sha256").update(bytes).digest());
    return timingSafeEqual(digest(this), digest(other));
  }

  wipe(): void {
    this.#bytes?.fill(0);
    this.#bytes = undefined;
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  [inspect.custom](): string {
    return "[secret]";
  }
}
