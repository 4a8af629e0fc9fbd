import type { z } from "zod";
import { nearest } from "./nearest.ts";
import { own, plainOf } from "./plain.ts";

/** What a schema says where it has no words of its own for an issue: they are found here. */
export const unsaid = "does not fit";

/** What is wrong, and what to write instead, for somebody who knows the file and not the schema. */
export interface Words {
  readonly message: string;
  readonly fix: string | undefined;
}

/** The schema's own words, else ours. `number`: as it is spelled, where an unquoted number stands there. Wants `reportInput`. */
export function wordsOf(issue: z.core.$ZodIssue, number: string | undefined): Words {
  if (issue.code === "invalid_key") return said(issue.issues[0]?.message ?? issue.message);
  return issue.message === unsaid ? ours(issue, number) : said(issue.message);
}

function ours(issue: z.core.$ZodIssue, number: string | undefined): Words {
  switch (issue.code) {
    case "invalid_type":
      return ofType(issue, number);
    case "invalid_value":
      return ofValues(issue.values, issue.input);
    case "invalid_union":
      return ofUnion(issue);
    case "too_big":
      return said(`more than ${amount(issue.origin, issue.maximum)}`);
    case "too_small":
      return ofLess(issue);
    default:
      return said(issue.message);
  }
}

function ofLess({ origin, minimum, inclusive }: z.core.$ZodIssueTooSmall): Words {
  if (origin === "array") return said("is empty", "name at least one");
  if (origin === "string" && minimum === 1) return said("is empty");
  return said(inclusive === false ? `must be more than ${minimum}` : `less than ${amount(origin, minimum)}`);
}

function said(message: string, fix?: string): Words {
  return { message, fix };
}

type TypeIssue = z.core.$ZodIssueInvalidType;

const wanted: Readonly<Record<string, string>> = {
  string: "text",
  boolean: "true or false",
  number: "a number",
  int: "a whole number",
  array: "a list",
  object: "a map",
  record: "a map",
};

const empty: Readonly<Record<string, string>> = { "a list": "its entries, or []", "a map": "its keys, or {}" };

function lacking({ expected, input, path }: TypeIssue): Words {
  const kind = wanted[expected] ?? expected;
  if (input === null) return said("has nothing behind it", `write ${empty[kind] ?? kind}`);
  return said("is missing", `write '${String(path.at(-1))}:' with ${kind} behind it`);
}

function ofType(issue: TypeIssue, number: string | undefined): Words {
  const { expected, input } = issue;
  if (input === undefined || input === null) return lacking(issue);
  const kind = wanted[expected] ?? expected;
  const message = `is ${found(input)} where ${kind} belongs`;
  if (kind === "a map") return said(message, "write keys with their values: { key: value }");
  if (kind === "a list") return said(message, `write a list: [${isWord(input) ? input : "one, two"}]`);
  if (kind !== "text" || typeof input === "object") return said(message, `write ${kind}`);
  return said(message, `write it in quotes: ${JSON.stringify(number ?? JSON.stringify(input))}`);
}

function found(input: unknown): string {
  if (Array.isArray(input)) return "a list";
  if (typeof input === "string") return isWord(input) ? `the text ${JSON.stringify(input)}` : "text";
  return typeof input === "object" ? "a map" : typeof input === "number" ? "a number" : JSON.stringify(input);
}

function isWord(input: unknown): input is string {
  return typeof input === "string" && /^[\w./:-]{1,64}$/.test(input);
}

function ofUnion(issue: z.core.$ZodIssueInvalidUnion): Words {
  const values = "options" in issue && Array.isArray(issue.options) ? issue.options : [];
  return ofValues(values, own(plainOf(issue.input), String(issue.path.at(-1))));
}

function ofValues(values: readonly unknown[], input: unknown): Words {
  const [only, ...more] = values.map(String);
  const known = [only ?? "", ...more];
  const fix = more.length === 0 ? `write ${only}` : `write one of ${known.join(", ")}`;
  if (input === undefined) return said("is missing", fix);
  const near = typeof input === "string" && !known.includes(input) ? nearest(input, known) : undefined;
  return said(`is not ${known.join(" or ")}`, near === undefined ? fix : `did you mean ${near}?`);
}

const sized: Readonly<Record<string, string>> = { string: " characters", array: " entries", object: " keys" };

function amount(origin: string, bound: number | bigint): string {
  return `${bound}${sized[origin] ?? ""}`;
}
