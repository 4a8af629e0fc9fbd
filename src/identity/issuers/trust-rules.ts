import { z } from "zod";
import type { Claim, Trust } from "../identity.ts";
import type { Claims } from "../profile.ts";
import { claimName } from "./claim-name.ts";

/** Literal values only; the strings that CI systems write for booleans are strings here too. */
const claimValues = z.union([z.string().min(1), z.boolean(), z.array(z.string().min(1)).min(1)]);
const trustRule = z
  .record(claimName, claimValues)
  .refine((rule) => Object.keys(rule).length > 0, "name at least one claim: an empty rule would trust every token");

type TrustRule = z.output<typeof trustRule>;

/** `trust:` of an issuer whose claims prove nothing by themselves; whoever writes it vouches for them. */
export const trustRules = z.strictObject({
  fork: trustRule.optional(),
  pull_request: trustRule.optional(),
  protected: trustRule.optional(),
  branch: trustRule.optional(),
});

export type TrustRules = z.output<typeof trustRules>;

/** Caution first: a token that two rules fit gets the lower trust, but `protected` is read before the wider `branch`. */
const trustOrder = ["fork", "pull_request", "protected", "branch"] as const satisfies readonly Trust[];

/** A token that may be a fork's or a pull request's, for all that it says, is `unknown`: it never gets a higher trust by silence. */
export function trustBy(rules: TrustRules): (claims: Claims) => Trust {
  return (claims) => {
    for (const trust of trustOrder) {
      const found = fitOf(rules[trust], claims);
      if (found === "fits") return trust;
      if (found === "open" && (trust === "fork" || trust === "pull_request")) return "unknown";
    }
    return "unknown";
  };
}

/** `open`: nothing in the token speaks against it, and something that would speak for it is not there. */
type Fit = "fits" | "open" | "differs";

function fitOf(rule: TrustRule | undefined, claims: Claims): Fit {
  if (rule === undefined) return "differs";
  const fits = Object.entries(rule).map(([claim, accepted]) =>
    fitOfClaim(Object.hasOwn(claims, claim) ? claims[claim] : undefined, [accepted].flat()),
  );
  return fits.find((fit) => fit === "differs") ?? fits.find((fit) => fit === "open") ?? "fits";
}

/** A list fits when one of its items does. What differs by its type alone, as true and "true" do, says neither. */
function fitOfClaim(value: Claim | undefined, accepted: readonly (string | boolean)[]): Fit {
  if (value === undefined) return "open";
  const said = typeof value === "object" ? value : [typeof value === "number" ? String(value) : value];
  if (said.some((item) => accepted.includes(item))) return "fits";
  return said.some((item) => accepted.map(String).includes(String(item))) ? "open" : "differs";
}
