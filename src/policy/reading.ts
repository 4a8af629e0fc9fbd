import type { z } from "zod";
import type { Path, TemplateDocument } from "./document.ts";
import type { Problem } from "./problem.ts";

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
  reading.problems.push(...parsed.error.issues.flatMap((issue) => issueProblems(issue, reading)));
  return undefined;
}

/** Under `at`, in the file's own words. */
export function issueProblems(issue: z.core.$ZodIssue, { document, at }: Reading & { readonly at: Path }): readonly Problem[] {
  const path = [...at, ...issue.path];
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => document.problem([...path, key], "no such key"));
  const number =
    (issue.code === "invalid_type" && issue.expected === "string") || path[0] === "who" ? document.numberAt(path) : undefined;
  return [document.problem(path, issue.message, number === undefined ? undefined : `write it in quotes: "${number}"`)];
}
