import { z } from "zod";
import { duration } from "../../duration.ts";
import type { Code } from "../../errors.ts";
import type { Duration, Instant } from "../../time.ts";
import type { WorkspaceMode } from "../grant.ts";
import { readDocument, type TemplateDocument, type TemplateSource } from "../language/document.ts";
import { meant } from "../language/nearest.ts";
import { readPart } from "../language/reading.ts";
import { templateName } from "../language/template.ts";
import { isKnown } from "../lint/claim-rules.ts";
import { endpointText, readEndpoint } from "../network.ts";
import type { Problem } from "../problem.ts";
import type { IssuerRoom } from "../rooms.ts";

/** One policy test: what a job with these claims asks for, and what should come of it. */
export interface PolicyTest {
  readonly file: string;
  readonly line: number;
  readonly it: string;
  readonly issuer: string;
  /** The file's shared claims and the test's own; null: the token has no such claim. */
  readonly claims: Readonly<Record<string, WrittenClaim>>;
  /** Undefined: the time does not matter, and where it does the test fails. */
  readonly at: Instant | undefined;
  readonly template: string | undefined;
  /** Undefined: every step of the template, one after the other. */
  readonly step: string | undefined;
  /** Empty: the step's own, or any. */
  readonly command: readonly string[];
  readonly expect: Expected;
}

export type WrittenClaim = string | number | boolean | readonly string[] | null;

export type Expected = ExpectedGrant | ExpectedDenial;

export interface ExpectedGrant {
  readonly kind: "granted";
  readonly template: string;
  readonly credentials: readonly string[] | undefined;
  readonly ttl: Readonly<Record<string, Duration>>;
  readonly network: readonly string[] | undefined;
  readonly workspace: WorkspaceMode | undefined;
}

export interface ExpectedDenial {
  readonly kind: "denied";
  readonly code: Code;
  readonly claim: string | undefined;
  /** Whose `who` line `claim` is of; undefined: the template that was asked for, else any of the file that the test stands beside. */
  readonly template: string | undefined;
}

/** What a decision can deny with, and what the verifier refuses a token's claims with. */
export const deniable = [
  "no-match",
  "claim-mismatch",
  "ambiguous",
  "outside-hours",
  "template-unknown",
  "step-required",
  "step-unknown",
  "step-command",
  "slot-unfillable",
  "token-claim",
] as const satisfies readonly Code[];

const claim = z.union(
  [z.string(), z.boolean(), z.int("too long for a number: write it in quotes"), z.array(z.string()), z.null()],
  "write text, a whole number, true, false, a list of text, or null for a claim that the token lacks",
);

/** Lines of `who` that are no claims: a token with such a claim would let a test pass by what no job is let in for. */
const derived: Readonly<Record<string, string>> = {
  issuer: "no claim of a token: write `issuer:` beside `claims:`",
  trust: "no claim of a token: write the claims that it is derived from",
};

const claimNames = z.string().regex(/^[\x21-\x7e]{1,128}$/, "a claim's name is printable ASCII without blanks");

const claims = z.record(claimNames, claim).superRefine((written, context) => {
  for (const [name, message] of Object.entries(derived))
    if (Object.hasOwn(written, name)) context.addIssue({ code: "custom", path: [name], message });
});

const issuer = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, "an issuer is named as in mayfly.yaml");

/** As a grant lists it, with its port. A set stands for hosts, and it is these that a test should name. */
const endpoint = z
  .string()
  .min(1)
  .max(300)
  .transform((text, context) => {
    const read = readEndpoint(text);
    if (read.kind === "endpoint") return endpointText(read.endpoint);
    context.addIssue({ code: "custom", message: [read.message, read.fix].filter(Boolean).join("; ") });
    return z.NEVER;
  });

export const grantedSchema = z.strictObject({
  granted: templateName,
  credentials: z.array(z.string()).optional(),
  ttl: z.record(z.string(), duration).default({}),
  network: z.array(endpoint).optional(),
  workspace: z.enum(["read-only", "overlay", "rw"]).optional(),
});

export const deniedSchema = z.strictObject({
  denied: z.enum(deniable, `the codes of a denial are ${deniable.join(", ")}`),
  claim: z.string().min(1).optional(),
  template: templateName.optional(),
});

/** Read by the one that is meant, so that what is wrong is said of its keys and not of both. */
const expectation = z
  .record(z.string(), z.unknown(), "write what should come of it")
  .transform((written, context): Expected => {
    const [granted, denied] = ["granted" in written, "denied" in written];
    if (granted === denied) {
      context.addIssue({ code: "custom", message: "it expects nothing: write either 'granted: TEMPLATE' or 'denied: CODE'" });
      return z.NEVER;
    }
    const read = granted ? grantedSchema.safeParse(written) : deniedSchema.safeParse(written);
    if (!read.success) {
      for (const issue of read.error.issues.flatMap(plain)) context.addIssue({ code: "custom", ...issue });
      return z.NEVER;
    }
    return expectedOf(read.data);
  });

function plain(issue: z.core.$ZodIssue): readonly { path: PropertyKey[]; message: string }[] {
  if (issue.code !== "unrecognized_keys") return [{ path: issue.path, message: issue.message }];
  return issue.keys.map((key) => ({ path: [...issue.path, key], message: "no such key" }));
}

function expectedOf(read: z.output<typeof grantedSchema> | z.output<typeof deniedSchema>): Expected {
  if ("denied" in read) return { kind: "denied", code: read.denied, claim: read.claim, template: read.template };
  const { granted, credentials, ttl, network, workspace } = read;
  return { kind: "granted", template: granted, credentials, ttl, network, workspace };
}

export const testSchema = z.strictObject({
  it: z.string().min(1, "say in a sentence what should be so").max(200),
  issuer: issuer.optional(),
  claims: claims.default({}),
  at: z.iso.datetime({ offset: true, error: 'write a time with its zone, such as "2026-11-23T10:00:00Z"' }).optional(),
  template: templateName.optional(),
  step: z.string().min(1).optional(),
  command: z.array(z.string()).default([]),
  expect: expectation,
});

/** `NAME.test.yaml` as it is written. */
export const testsSchema = z.strictObject({
  version: z.literal(1),
  issuer: issuer.optional(),
  template: templateName.optional(),
  claims: claims.default({}),
  tests: z.array(testSchema).min(1, "write at least one test"),
});

/** The tests of one file, or everything that is wrong with it. An issuer that is not among `issuers` is left to whoever runs them. Pure. */
export function readTests(
  source: TemplateSource,
  issuers: ReadonlyMap<string, IssuerRoom> = new Map(),
): readonly PolicyTest[] | { readonly problems: readonly Problem[] } {
  const read = readDocument(source);
  if (read.kind === "problems") return read;
  const { document } = read;
  const problems: Problem[] = [];
  const part = readPart(testsSchema, document.value, { document, at: [], problems });
  if (part !== undefined) checkClaims(part.value, { document, issuers, problems });
  const tests = part === undefined ? [] : testsOf(source.file, document, part.value, problems);
  return problems.length === 0 ? tests : { problems };
}

type Written = z.output<typeof testsSchema>;

interface Checking {
  readonly document: TemplateDocument;
  readonly issuers: ReadonlyMap<string, IssuerRoom>;
  readonly problems: Problem[];
}

/** A claim that no token of the issuer has is a misspelt one: the test would be about a job that cannot be. */
function checkClaims(written: Written, { document, issuers, problems }: Checking): void {
  const shared = new Set(written.tests.map(({ issuer: own }) => own ?? written.issuer));
  const check = (claims: Written["claims"], by: readonly (string | undefined)[], at: readonly (string | number)[]): void => {
    const lists = by.flatMap((name) => issuers.get(name ?? "") ?? []).map(({ known }) => known);
    if (lists.length === 0 || lists.includes(undefined)) return;
    const known = lists.flatMap((list) => list ?? []);
    for (const name of Object.keys(claims).filter((one) => !isKnown(one, known)))
      problems.push(document.problem([...at, "claims", name], "no token of this issuer has such a claim", meant(name, known)));
  };
  check(written.claims, [...shared], []);
  written.tests.forEach(({ issuer: own, claims }, index) => check(claims, [own ?? written.issuer], ["tests", index]));
}

function testsOf(file: string, document: TemplateDocument, written: Written, problems: Problem[]): readonly PolicyTest[] {
  return written.tests.flatMap(({ issuer: own, claims: added, at, template = written.template, step, ...test }, index) => {
    const here = document.problem(
      ["tests", index],
      "no issuer is named",
      "write `issuer:` at the file's top, as mayfly.yaml calls it",
    );
    const by = own ?? written.issuer;
    if (by === undefined) {
      problems.push(here);
      return [];
    }
    const whole = { ...written.claims, ...added };
    const instant = at === undefined ? undefined : Date.parse(at);
    return [{ file, line: here.line, issuer: by, claims: whole, at: instant, template, step, ...test }];
  });
}
