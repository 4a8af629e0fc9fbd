import { z } from "zod";
import type { Problem } from "../problem.ts";
import type { Path, TemplateDocument } from "./document.ts";
import { nearest, thereIs } from "./nearest.ts";
import { unsaid, wordsOf } from "./wording.ts";

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
  const parsed = parsePart(schema, value);
  if (parsed.success) return { value: parsed.data };
  reading.problems.push(...sayable(parsed.error.issues).flatMap((issue) => issueProblems(issue, reading, schema)));
  return undefined;
}

/**
 * So that what is wrong can be said in the writer's words: see `wording.ts`. A schema that throws, such as one that parses again in a transform,
 * does not end the reading of all the rest.
 */
export function parsePart<T>(schema: z.ZodType<T>, value: unknown): z.ZodSafeParseResult<T> {
  const params = { error: () => unsaid, reportInput: true };
  try {
    return schema.safeParse(value, params);
  } catch (error) {
    return failing<T>(error).safeParse(value, params);
  }
}

function failing<T>(error: unknown): z.ZodType<T> {
  const thrown = error instanceof z.ZodError ? error.issues : [{ message: String(error), path: [] }];
  return z.custom<T>().superRefine((_, context) => {
    for (const { message, path } of thrown) context.addIssue({ code: "custom", message: `cannot be read: ${message}`, path });
  });
}

/** One mistake is one problem: what is no list is not also too long, and a misspelled key not also a missing one. */
export function sayable(issues: readonly z.core.$ZodIssue[]): readonly z.core.$ZodIssue[] {
  const placeOf = (path: Path): string => JSON.stringify(path);
  const unknown = new Set(issues.filter(({ code }) => code === "unrecognized_keys").map(({ path }) => placeOf(path)));
  const said = new Set<string>();
  return issues.filter((issue) => {
    if (issue.code === "unrecognized_keys") return true;
    const place = placeOf(issue.path);
    const known = !said.has(place) && !(issue.input === undefined && unknown.has(placeOf(issue.path.slice(0, -1))));
    if (issue.code === "invalid_type") said.add(place);
    return known;
  });
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
  const number = document.numberAt(path);
  const { message, fix } = wordsOf(issue, number);
  const quoted = issue.code === "custom" && number !== undefined ? `write it in quotes: "${number}"` : undefined;
  return [document.problem(path, message, fix ?? quoted)];
}

function likeIt(key: string, known: readonly string[]): string | undefined {
  const near = nearest(key, known);
  if (near !== undefined) return `did you mean ${near}?`;
  return known.length > 0 && known.length <= few ? thereIs(known) : undefined;
}

/** More keys are no hint. */
const few = 8;

/** The keys that the schema has at this path; none where it does not say. */
function keysAt(schema: z.core.$ZodType | undefined, path: Path): readonly string[] {
  const bare = unwrapped(schema);
  const [key, ...rest] = path;
  if (isObject(bare)) return key === undefined ? Object.keys(bare.shape) : keysAt(bare.shape[String(key)], rest);
  if (bare instanceof z.ZodRecord) return key === undefined ? namesOf(bare.keyType) : keysAt(bare.valueType, rest);
  return key !== undefined && bare instanceof z.ZodArray ? keysAt(bare.element, rest) : [];
}

function namesOf(names: z.core.$ZodType): readonly string[] {
  return names instanceof z.ZodEnum ? names.options.map(String) : [];
}

function isObject(schema: z.core.$ZodType | undefined): schema is z.ZodObject<Readonly<Record<string, z.core.$ZodType>>> {
  return schema instanceof z.ZodObject;
}

function unwrapped(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodPipe) return unwrapped(schema.in);
  const wraps = schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault;
  return wraps ? unwrapped(schema.unwrap()) : schema;
}
