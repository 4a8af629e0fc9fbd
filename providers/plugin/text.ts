import { printable } from "../../src/printable.ts";
import type { Secret } from "../../src/secret.ts";

/** An answer that the protocol does not have. What it was is not repeated: it may hold a secret. */
export class BadAnswer extends Error {
  override readonly name = "BadAnswer";
}

const mostText = 64 * 1_024;

/** One line that may be shown. */
export function lineIn(value: string, what: string): string {
  if (value === "" || value.length > 1_024 || printable(value) !== value) throw new BadAnswer(`${what} is no line of text`);
  return value;
}

/** PEM, or a public key's line with its end. */
export function linesIn(value: string, what: string): string {
  const clean = value.split(/\r?\n/).every((line) => printable(line) === line);
  if (value === "" || value.length > mostText || !clean) throw new BadAnswer(`${what} is no text`);
  return value;
}

/** A stranger's words for one line of the operator's log, without what must not be in there. */
export function toldBy(text: string, without: readonly Secret[]): string {
  const clean = without.reduce(
    (told, secret) => secret.use((bytes) => told.replaceAll(bytes.toString("utf8"), "[secret]")),
    text,
  );
  return printable(clean.slice(0, 500));
}

/** Whether any of these texts has any of these secrets in it; one that is as short as a word stands anywhere. */
export function holds(texts: readonly string[], secrets: readonly Secret[]): boolean {
  const telling = secrets.filter(({ length }) => length >= 8);
  return telling.some((secret) => secret.use((bytes) => texts.some((text) => text.includes(bytes.toString("utf8")))));
}
