import { z } from "zod";
import { isBinding, type Pattern, readPattern } from "./pattern.ts";

/** One line of `who`, in the template's own order. */
export type WhoLine =
  /** The claim is there and one of these accepts it; `not`: none of them does, or it is not there. */
  | {
      readonly kind: "claim" | "not";
      /** A claim's name, or `issuer` or `trust`, which are the broker's words and never a token's. */
      readonly claim: string;
      readonly patterns: readonly Pattern[];
      /** As the template says it; for those who may see it. */
      readonly expected: string;
    }
  /** The token has no such claim, whatever is in it: an empty one is there. */
  | { readonly kind: "absent"; readonly claim: string }
  /** At least one of these holds, with all of its lines; each has at least one. */
  | { readonly kind: "any"; readonly alternatives: readonly (readonly ClaimLine[])[]; readonly expected: string };

export type ClaimLine = Exclude<WhoLine, { kind: "any" }>;

/** Every decision goes through what is written here, and so does every rule of `lint/`. */
const most = { lines: 64, alternatives: 32, values: 256 } as const;

function isTooLong(lines: object, complain: Complain): boolean {
  const tooLong = Object.keys(lines).length > most.lines;
  if (tooLong) complain([], `${most.lines} lines at most`);
  return tooLong;
}

type Complain = (path: readonly (string | number)[], message: string) => void;

const trusts = ["protected", "branch", "pull_request", "fork"];

/**
 * `who` as its lines, whole or not: what a template adds to its base's, or a folder to that of each template beneath. What all of them come
 * to is for `bindingFlaws`.
 */
export const whoLinesSchema = z
  .record(z.string(), z.unknown(), "write the claims that the job's token must have")
  .transform((who, context): readonly WhoLine[] => {
    const complain: Complain = (path, message) => context.addIssue({ code: "custom", path: [...path], message });
    if (isTooLong(who, complain)) return z.NEVER;
    const lines = Object.entries(who).flatMap(([key, value]) =>
      key === "any" ? anyLine(value, complain) : claimLines(key, value, complain),
    );
    if (lines.length === 0) complain([], "it asks for nothing: name a claim");
    return lines;
  });

/** A `who` that stands alone. */
export const whoSchema = whoLinesSchema.superRefine((lines, context) => {
  for (const message of bindingFlaws(lines)) context.addIssue({ code: "custom", message });
});

/**
 * What a whole `who` lacks. It must name an issuer, and at least one claim with something in it: a template that says only which CI system
 * asks would be everybody's (hardening R-16). That claim stands at the top, or in every alternative of an `any`.
 */
export function bindingFlaws(lines: readonly WhoLine[]): readonly string[] {
  const issued = lines.some((line) => line.kind === "claim" && line.claim === "issuer");
  const bound = lines.some((line) => (line.kind === "any" ? line.alternatives.every((one) => one.some(binds)) : binds(line)));
  return [
    ...(issued ? [] : ["name the issuer, as mayfly.yaml calls it"]),
    ...(bound ? [] : ["name at least one claim that says whose job it is, such as repository_id"]),
  ];
}

function binds(line: ClaimLine): boolean {
  return line.kind === "claim" && line.claim !== "issuer" && line.claim !== "trust" && line.patterns.every(isBinding);
}

function anyLine(value: unknown, complain: Complain): readonly WhoLine[] {
  const within = at(complain, "any");
  if (!Array.isArray(value) || value.length === 0) {
    within([], "write a list of alternatives, of which one must hold as a whole");
    return [];
  }
  if (value.length > most.alternatives) {
    within([], `${most.alternatives} alternatives at most`);
    return [];
  }
  const alternatives = value.map((one: unknown, index) => alternative(one, at(within, index)));
  return [{ kind: "any", alternatives, expected: JSON.stringify(value) }];
}

function alternative(value: unknown, complain: Complain): readonly ClaimLine[] {
  if (!isRecord(value) || Object.keys(value).length === 0) {
    complain([], "write the claims of this alternative: an empty one would hold for everybody");
    return [];
  }
  if (isTooLong(value, complain)) return [];
  return Object.entries(value).flatMap(([key, accepted]) => {
    if (key === "issuer") complain([key], "the issuer stands at the top of 'who', and is one for all alternatives");
    if (key === "any") complain([key], "an alternative has no alternatives of its own: write each of them out");
    return key === "any" ? [] : claimLines(key, accepted, complain);
  });
}

function claimLines(key: string, value: unknown, complain: Complain): readonly ClaimLine[] {
  if (key === "not") return notLines(value, at(complain, key));
  if (key === "absent") return absentLines(value, at(complain, key));
  return [lineOf("claim", key, { value, complain })];
}

function notLines(value: unknown, complain: Complain): readonly ClaimLine[] {
  if (!isRecord(value) || Object.keys(value).length === 0) {
    complain([], "write the claims and the values that they must not have");
    return [];
  }
  if (isTooLong(value, complain)) return [];
  return Object.entries(value).map(([claim, accepted]) => lineOf("not", claim, { value: accepted, complain }));
}

function absentLines(value: unknown, complain: Complain): readonly ClaimLine[] {
  const claims: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (claims.length === 0) complain([], "name the claims that the token must not have");
  if (isTooLong(claims, complain)) return [];
  return claims.flatMap((claim, index) => {
    const path = Array.isArray(value) ? [index] : [];
    const flaw = typeof claim === "string" ? nameFlaw(claim) : "name a claim that the token must not have";
    if (flaw !== undefined) complain(path, flaw);
    if (claim === "issuer" || claim === "trust") complain(path, `${claim} is never absent: the broker itself says it`);
    return typeof claim === "string" ? [{ kind: "absent", claim } as const] : [];
  });
}

function lineOf(
  kind: "claim" | "not",
  claim: string,
  { value, complain }: { readonly value: unknown; readonly complain: Complain },
): ClaimLine {
  const flaw = nameFlaw(claim);
  if (flaw !== undefined) complain([claim], flaw);
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (values.length === 0) complain([claim], "an empty list accepts nothing");
  if (values.length > most.values) complain([claim], `${most.values} values at most`);
  const patterns = values.slice(0, most.values).flatMap((item, index) => {
    const path = Array.isArray(value) ? [claim, index] : [claim];
    const read = readPattern(item);
    const message = read.kind === "flaw" ? read.message : wordFlaw(claim, item);
    if (message !== undefined) complain(path, message);
    return read.kind === "pattern" ? [read.pattern] : [];
  });
  return { kind, claim, patterns, expected: JSON.stringify(value) };
}

function nameFlaw(claim: string): string | undefined {
  return /^[\x21-\x7e]{1,128}$/.test(claim) ? undefined : "a claim's name is printable ASCII without blanks";
}

/** `issuer` and `trust` are closed sets, so a glob there would only hide a mistake. */
function wordFlaw(claim: string, value: unknown): string | undefined {
  if (claim === "issuer" && !(typeof value === "string" && /^[a-z][a-z0-9-]*$/.test(value)))
    return "an issuer is named as in mayfly.yaml";
  if (claim === "trust" && !trusts.some((trust) => trust === value))
    return `trust is one of ${trusts.join(", ")}; 'unknown' can never be asked for`;
  return undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function at(complain: Complain, key: string | number): Complain {
  return (path, message) => complain([key, ...path], message);
}
