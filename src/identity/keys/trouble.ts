import { JsonRefused } from "../json.ts";

/** Why an issuer's keys could not be read: `refused`, it gave something that is not believed; `unreachable`, it gave nothing. */
export interface Trouble {
  readonly kind: "refused" | "unreachable";
  /** In our words, never the issuer's: it is recorded and shown to operators. */
  readonly why: string;
}

/** Thrown wherever keys are read; its message is the `why`. */
export class KeysTrouble extends Error {
  override readonly name = "KeysTrouble";
  readonly kind: Trouble["kind"];

  constructor(kind: Trouble["kind"], why: string) {
    super(why);
    this.kind = kind;
  }
}

export function refused(why: string): KeysTrouble {
  return new KeysTrouble("refused", why);
}

export function unreachable(why: string): KeysTrouble {
  return new KeysTrouble("unreachable", why);
}

/** Of other errors only the code is kept: a TLS error's text quotes the certificate, which is anybody's. */
export function troubleOf(error: unknown): Trouble {
  if (error instanceof KeysTrouble) return { kind: error.kind, why: error.message };
  if (error instanceof JsonRefused) return { kind: "refused", why: `what came is not strict JSON: ${error.message}` };
  return { kind: "unreachable", why: `no answer could be read (${codeOf(error)})` };
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? code : "no code";
}
