import { BrokerError } from "../errors.ts";
import type { Secret } from "../secret.ts";
import { formsOf, type Pattern } from "./forms.ts";
import type { Masker, MaskSet } from "./masker.ts";
import { Scanner } from "./scanner.ts";
import { MaskedStream } from "./stream.ts";
import { tooShort } from "./too-short.ts";

/** The secrets of one job, and the scanner that finds them; it is built again when the first byte after an addition comes. */
export function createMaskSet(): MaskSet {
  return new Secrets();
}

class Secrets implements MaskSet {
  #patterns: Pattern[] = [];
  #scanner: Scanner | undefined;
  #wiped = false;

  add(secrets: readonly Secret[]): void {
    const hideable = secrets.filter((secret) => !tooShort(secret));
    this.#patterns.push(...hideable.flatMap((secret) => secret.use(formsOf)));
    this.#scanner = undefined;
    if (secrets.some(tooShort))
      throw new BrokerError("delivery-failed", "a secret is too short or too common to be hidden in output", {
        hint: "deliver only the parts that the job needs: deliver: { files: { NAME: PART } }",
      });
  }

  masker(): Masker {
    return new MaskedStream(() => this.#current());
  }

  wipe(): void {
    this.#wiped = true;
    this.#scanner?.wipe();
    for (const { bytes } of this.#patterns) bytes.fill(0);
    this.#patterns = [];
  }

  #current(): Scanner {
    if (this.#wiped) throw new Error("the job's secrets were wiped");
    this.#scanner ??= new Scanner(this.#patterns);
    return this.#scanner;
  }
}
