import { bare } from "../../src/identity/bare.ts";
import type { Claim, Identity } from "../../src/identity/identity.ts";

/** A job of one repository, with these claims. */
export function identityWith(claims: Readonly<Record<string, Claim>>, changes: Partial<Identity> = {}): Identity {
  return {
    issuer: "github",
    subject: "repo:octo/shop",
    workload: "github:519283746",
    job: "github:519283746:77",
    trust: "protected",
    claims: bare(Object.entries(claims)),
    token: { key: "jti:github:1", expiresAt: 1_790_000_300_000 },
    ...changes,
  };
}
