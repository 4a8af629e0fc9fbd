import { BrokerError } from "../../errors.ts";
import type { TemplateSource } from "./document.ts";

/**
 * The files of a policy's stored `text`, each behind `--- "NAME" BYTES`: the inverse of what `compile.ts` writes. A length decides where a
 * file ends, so that no file's text can pass for another file. Throws `policy-invalid` where the text is not of that form.
 */
export function sourcesOf(text: string): readonly TemplateSource[] {
  const bytes = Buffer.from(text);
  const sources: TemplateSource[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { file, from, size } = headerAt(bytes, at);
    const end = from + size;
    if (end > bytes.length || (end < bytes.length && bytes[end] !== newline)) throw garbled();
    sources.push({ file, text: bytes.toString("utf8", from, end) });
    at = end + 1;
  }
  return sources;
}

const newline = 10;

function headerAt(bytes: Buffer, at: number): { readonly file: string; readonly from: number; readonly size: number } {
  const end = bytes.indexOf(newline, at);
  const [, name = "", size = ""] =
    /^--- ("(?:[^"\\]|\\.)*") (\d{1,9})$/.exec(bytes.toString("utf8", at, Math.max(at, end))) ?? [];
  if (end < 0 || name === "") throw garbled();
  const file: unknown = JSON.parse(name);
  return { file: String(file), from: end + 1, size: Number(size) };
}

function garbled(): BrokerError {
  return new BrokerError("policy-invalid", "the stored text of this policy is not of the form in which policies are stored");
}
