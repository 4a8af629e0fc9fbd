import type { z } from "zod";
import type { Path, TemplateDocument } from "./document.ts";
import { type Reading, readPart } from "./reading.ts";

/** One `who` or one `when` of several that must all hold, and where it is written. */
export interface WrittenPart {
  readonly value: unknown;
  readonly document: TemplateDocument;
  readonly at: Path;
}

export interface ReadPart<T> extends WrittenPart {
  readonly read: T;
}

/** A list says the same as its entries one by one. */
export function partsOf(value: unknown, document: TemplateDocument, at: Path): readonly WrittenPart[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length === 0) return [{ value, document, at }];
  return value.map((item: unknown, index) => ({ value: item, document, at: [...at, index] }));
}

export function readParts<T>(
  parts: readonly WrittenPart[],
  schema: z.ZodType<T>,
  problems: Reading["problems"],
): readonly ReadPart<T>[] {
  return parts.flatMap((part) => {
    const read = readPart(schema, part.value, { document: part.document, problems, at: part.at });
    return read === undefined ? [] : [{ ...part, read: read.value }];
  });
}

/** As an author writes it: one alone, several as a list. */
export function writtenAs(parts: readonly WrittenPart[]): unknown {
  return parts.length > 1 ? parts.map(({ value }) => value) : parts[0]?.value;
}
