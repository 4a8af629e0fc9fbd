import { z } from "zod";
import { isBinding, type Pattern, readPattern } from "./pattern.ts";

/** One line of `who`, in the template's own order. */
export interface WhoLine {
  /** A claim's name, or `issuer` or `trust`, which are the broker's words and never a token's. */
  readonly claim: string;
  /** A line of `not`: none of these. */
  readonly negated: boolean;
  readonly patterns: readonly Pattern[];
  /** As the template says it; for those who may see it. */
  readonly expected: string;
}

type Complain = (path: readonly (string | number)[], message: string) => void;

const trusts = ["protected", "branch", "pull_request", "fork"];

/**
 * `who` as its lines. It must name an issuer, and at least one claim with something in it: a template that says only which
 * CI system asks would be everybody's (hardening R-16).
 */
export const whoSchema = z
  .record(z.string(), z.unknown(), "write the claims that the job's token must have")
  .transform((who, context): readonly WhoLine[] => {
    const complain: Complain = (path, message) => context.addIssue({ code: "custom", path: [...path], message });
    const lines = Object.entries(who).flatMap(([claim, value]) =>
      claim === "not" ? notLines(value, complain) : lineOf(claim, value, complain),
    );
    checkBinding(lines, complain);
    return lines;
  });

function notLines(value: unknown, complain: Complain): readonly WhoLine[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    complain(["not"], "write the claims and the values that they must not have");
    return [];
  }
  const nested: Complain = (path, message) => complain(["not", ...path], message);
  return Object.entries(value).flatMap(([claim, accepted]) =>
    lineOf(claim, accepted, nested).map((line) => ({ ...line, negated: true })),
  );
}

function lineOf(claim: string, value: unknown, complain: Complain): readonly WhoLine[] {
  if (!/^[\x21-\x7e]{1,128}$/.test(claim)) complain([claim], "a claim's name is printable ASCII without blanks");
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (values.length === 0) complain([claim], "an empty list accepts nothing");
  const patterns = values.flatMap((item, index) => {
    const path = Array.isArray(value) ? [claim, index] : [claim];
    const read = readPattern(item);
    const message = read.kind === "flaw" ? read.message : wordFlaw(claim, item);
    if (message !== undefined) complain(path, message);
    return read.kind === "pattern" ? [read.pattern] : [];
  });
  return [{ claim, negated: false, patterns, expected: JSON.stringify(value) }];
}

/** `issuer` and `trust` are closed sets, so a glob there would only hide a mistake. */
function wordFlaw(claim: string, value: unknown): string | undefined {
  if (claim === "issuer" && !(typeof value === "string" && /^[a-z][a-z0-9-]*$/.test(value)))
    return "an issuer is named as in mayfly.yaml";
  if (claim === "trust" && !trusts.some((trust) => trust === value))
    return `trust is one of ${trusts.join(", ")}; 'unknown' can never be asked for`;
  return undefined;
}

function checkBinding(lines: readonly WhoLine[], complain: Complain): void {
  const asked = lines.filter((line) => !line.negated);
  if (!asked.some((line) => line.claim === "issuer")) complain([], "name the issuer, as mayfly.yaml calls it");
  const binding = asked.filter((line) => line.claim !== "issuer" && line.claim !== "trust" && line.patterns.every(isBinding));
  if (binding.length === 0) complain([], "name at least one claim that says whose job it is, such as repository_id");
}
