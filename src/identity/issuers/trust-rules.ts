import { z } from "zod";
import type { Trust } from "../identity.ts";
import type { Claims } from "../profile.ts";
import { claimName } from "./claim-name.ts";

/** Literal values only; the strings that CI systems write for booleans are strings here too. */
const claimValues = z.union([z.string().min(1), z.boolean(), z.array(z.string().min(1)).min(1)]);
const trustRule = z
  .record(claimName, claimValues)
  .refine((rule) => Object.keys(rule).length > 0, "name at least one claim: an empty rule would trust every token");

/** `trust:` of an issuer whose claims prove nothing by themselves; whoever writes it vouches for them. */
export const trustRules = z.strictObject({
  fork: trustRule.optional(),
  pull_request: trustRule.optional(),
  protected: trustRule.optional(),
  branch: trustRule.optional(),
});

/** Caution first: a token that two rules fit gets the lower trust, but `protected` is read before the wider `branch`. */
const trustOrder = ["fork", "pull_request", "protected", "branch"] as const satisfies readonly Trust[];

export function trustBy(rules: z.output<typeof trustRules>): (claims: Claims) => Trust {
  return (claims) => trustOrder.find((trust) => fits(rules[trust], claims)) ?? "unknown";
}

function fits(rule: z.output<typeof trustRule> | undefined, claims: Claims): boolean {
  if (rule === undefined) return false;
  return Object.entries(rule).every(([claim, accepted]) => {
    const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
    return Array.isArray(accepted) ? typeof value === "string" && accepted.includes(value) : value === accepted;
  });
}
