import { createHash } from "node:crypto";
import { joined } from "./join.ts";
import type { Json } from "./json.ts";
import type { ParsedToken } from "./parse.ts";
import type { Profile } from "./profile.ts";

const longest = 256;

/**
 * Which token this was, for the one place where a token is spent. Brokers that share it may be configured differently, so it is told by
 * the token and its issuer alone: whether the profile asks for a jti changes nothing. RFC 7519 section 4.1.7 has a jti name one token of
 * its issuer, so another one with the same jti is refused as that one; and a jti is unique for its issuer only.
 *
 * Without a jti it is a digest of the signing input, not of the whole: an ECDSA signature has a twin (r, n - s), and so two spellings.
 */
export function replayKey({ claims: { jti }, signingInput }: ParsedToken, { issuer }: Pick<Profile, "issuer">): string {
  return namesItsToken(jti)
    ? joined(["jti", issuer, jti])
    : joined(["sha256", createHash("sha256").update(signingInput).digest("hex")]);
}

/** A longer one would fill the ledger. */
export function namesItsToken(jti: Json | undefined): jti is string {
  return typeof jti === "string" && jti.length <= longest;
}
