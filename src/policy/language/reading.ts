import { z } from "zod";
import type { Problem } from "../problem.ts";
import type { Path, TemplateDocument } from "./document.ts";
import { nearest } from "./nearest.ts";

/** Where a part stands, and where what is wrong with it goes. */
export interface Reading {
  readonly document: TemplateDocument;
  readonly problems: Problem[];
}

/** One part, parsed by its owner's schema and boxed, since it may itself be undefined; nothing where it does not fit. */
export function readPart<T>(
  schema: z.ZodType<T>,
  value: unknown,
  reading: Reading & { readonly at: Path },
): { readonly value: T } | undefined {
  const parsed = schema.safeParse(value);
  if (parsed.success) return { value: parsed.data };
  reading.problems.push(...parsed.error.issues.flatMap((issue) => issueProblems(issue, reading, schema)));
  return undefined;
}

/** A file with more unknown keys is not this language at all. */
const mostKeys = 50;

/** Under `at`, in the file's own words. */
export function issueProblems(
  issue: z.core.$ZodIssue,
  { document, at }: Reading & { readonly at: Path },
  schema?: z.core.$ZodType,
): readonly Problem[] {
  const path = [...at, ...issue.path];
  if (issue.code === "unrecognized_keys")
    return issue.keys
      .slice(0, mostKeys)
      .map((key) => document.problem([...path, key], "no such key", likeIt(key, keysAt(schema, issue.path))));
  const number =
    (issue.code === "invalid_type" && issue.expected === "string") || path[0] === "who" ? document.numberAt(path) : undefined;
  return [document.problem(path, issue.message, number === undefined ? undefined : `write it in quotes: "${number}"`)];
}

function likeIt(key: string, known: readonly string[]): string | undefined {
  const near = nearest(key, known);
  return near === undefined ? undefined : `did you mean ${near}?`;
}

/** The keys that the schema has at this path; none where it does not say. */
function keysAt(schema: z.core.$ZodType | undefined, path: Path): readonly string[] {
  const bare = unwrapped(schema);
  const [key, ...rest] = path;
  if (isObject(bare)) return key === undefined ? Object.keys(bare.shape) : keysAt(bare.shape[String(key)], rest);
  if (key !== undefined && bare instanceof z.ZodRecord) return keysAt(bare.valueType, rest);
  return key !== undefined && bare instanceof z.ZodArray ? keysAt(bare.element, rest) : [];
}

function isObject(schema: z.core.$ZodType | undefined): schema is z.ZodObject<Readonly<Record<string, z.core.$ZodType>>> {
  return schema instanceof z.ZodObject;
}

function unwrapped(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodPipe) return unwrapped(schema.in);
  const wraps = schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault;
  return wraps ? unwrapped(schema.unwrap()) : schema;
}
