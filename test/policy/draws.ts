import fc from "fast-check";
import { bare } from "../../src/identity/bare.ts";
import type { Identity } from "../../src/identity/identity.ts";
import { identityWith } from "./identities.ts";

/** Few values and few claims, so that what is drawn meets by chance; among them what every object inherits (hardening P-13, P-14). */
const text = fc.constantFrom("a", "b", "a/b", "a/*", "*", "a/**", "", "..", "a/..");
const accepted = fc.oneof(text, fc.boolean(), fc.constantFrom("0", "1"), fc.array(text, { minLength: 1, maxLength: 3 }));
const claimName = fc.constantFrom("x", "y", "z", "toString", "hasOwnProperty", "constructor");
const names = fc.uniqueArray(claimName, { minLength: 1, maxLength: 2 });
const dictionary = fc.dictionary(claimName, accepted, { minKeys: 1, maxKeys: 2, noNullPrototype: true });

/** One line of `who`, as a member of its own. */
const claimLine = fc.oneof(
  fc.record({ claim: claimName, accepted }).map(({ claim, accepted: value }): Written => ({ [claim]: value })),
  dictionary.map((not): Written => ({ not })),
  names.map((absent): Written => ({ absent })),
);

export const line: fc.Arbitrary<Written> = fc.oneof(
  { weight: 3, arbitrary: claimLine },
  {
    weight: 1,
    arbitrary: fc
      .array(fc.array(claimLine, { minLength: 1, maxLength: 2 }).map(joined), { minLength: 1, maxLength: 3 })
      .map((any): Written => ({ any })),
  },
);

export type Written = Readonly<Record<string, unknown>>;

/** Whatever a name is, it becomes an own member. */
function joined(parts: readonly Written[]): Written {
  return Object.fromEntries(parts.flatMap((part) => Object.entries(part)));
}

export const identity: fc.Arbitrary<Identity> = fc
  .record({
    claims: fc.dictionary(
      fc.oneof({ weight: 9, arbitrary: claimName }, { weight: 1, arbitrary: fc.constant("__proto__") }),
      fc.oneof(text, fc.boolean(), fc.nat(3), fc.array(text, { maxLength: 3 })),
      { maxKeys: 4 },
    ),
    issuer: fc.constantFrom("github", "github", "gitlab"),
    trust: fc.constantFrom("protected", "branch", "unknown"),
  })
  .map(({ claims, ...rest }) => identityWith(bare(Object.entries(claims)), rest));
