import { BrokerError, type Code } from "../errors.ts";
import type { JsonObject } from "./json.ts";
import type { Profile } from "./profile.ts";

/**
 * RFC 7519 sections 4.1.4 to 4.1.6, in whole seconds and by a clock that may be wrong by the profile's skew. `exp` and `iat` must be
 * there: without them a token would be good for ever.
 */
export function checkTimes({ exp, nbf, iat }: JsonObject, profile: Pick<Profile, "skew" | "maxAge">, at: Date): void {
  if (typeof exp !== "number" || typeof iat !== "number") throw refused("token-claim", "lacks exp and iat");
  const now = Math.floor(at.getTime() / 1000);
  const skew = profile.skew / 1000;
  if (typeof nbf === "number" && nbf > now + skew) throw refused("token-not-yet-valid", "its nbf is to come");
  if (exp <= now - skew) throw refused("token-expired", "its exp is past");
  if (now - iat - skew > profile.maxAge / 1000) throw refused("token-lifetime", "its iat is too long ago");
  if (iat > now + skew) throw refused("token-not-yet-valid", "its iat is to come");
}

function refused(code: Code, detail: string): BrokerError {
  return new BrokerError(code, undefined, { detail });
}
