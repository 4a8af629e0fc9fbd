import { BrokerError, type Code } from "../errors.ts";
import type { JsonObject } from "./json.ts";
import type { Profile } from "./profile.ts";

export type TimeRules = Pick<Profile, "skew" | "maxAge" | "maxLifetime">;

/**
 * When a token is good: RFC 7519 sections 4.1.4 to 4.1.6, in whole seconds and by a clock that may be wrong by the profile's skew. `exp` and
 * `iat` must be there: without them a token would be good for ever.
 */
export function checkTimes({ exp, nbf, iat }: JsonObject, { skew, maxAge, maxLifetime }: TimeRules, at: Date): void {
  if (typeof exp !== "number" || typeof iat !== "number") throw refused("token-claim", "lacks exp and iat");
  const now = Math.floor(at.getTime() / 1000);
  const early = now - skew / 1000;
  const late = now + skew / 1000;
  const begins = typeof nbf === "number" ? nbf : Number.NEGATIVE_INFINITY;
  if (begins > late) throw refused("token-not-yet-valid", "its nbf is to come");
  if (exp <= early) throw refused("token-expired", "its exp is past");
  if (early - iat > maxAge / 1000) throw refused("token-lifetime", "its iat is too long ago");
  if (iat > late) throw refused("token-not-yet-valid", "its iat is to come");
  checkSpan({ begins, iat, exp }, maxLifetime);
}

/** Whatever the time is: what its issuer never makes. */
function checkSpan(
  { begins, iat, exp }: { readonly begins: number; readonly iat: number; readonly exp: number },
  longest: TimeRules["maxLifetime"],
): void {
  const lifetime = (exp - iat) * 1000;
  if (lifetime <= 0 || lifetime > longest) throw refused("token-lifetime", `lives ${lifetime} ms`);
  if (begins > exp) throw refused("token-claim", "lacks an nbf before exp");
}

function refused(code: Code, detail: string): BrokerError {
  return new BrokerError(code, undefined, { detail });
}
