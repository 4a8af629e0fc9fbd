import type { JsonObject } from "./json.ts";
import type { Profile } from "./profile.ts";

/**
 * Whether a token says that it is this issuer's. Nothing in it is believed yet: this only chooses among the configured, by exact bytes
 * (RFC 8725 section 3.8), and the chosen issuer's own keys must then verify it.
 */
export function isOf(profile: Pick<Profile, "issuer" | "chosenBy">, claims: JsonObject): boolean {
  switch (profile.chosenBy) {
    case "iss":
      return claims["iss"] === profile.issuer;
    case "trust-domain": {
      const { sub } = claims;
      // The slash ends the trust domain: spiffe://example.org.evil is another one (SPIFFE-ID section 2).
      return typeof sub === "string" && sub.startsWith(`${profile.issuer}/`);
    }
  }
}
