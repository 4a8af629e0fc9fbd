import type { Identity } from "./identity.ts";
import { joined } from "./join.ts";
import type { Claims, Profile } from "./profile.ts";
import { replayKey } from "./replay-key.ts";
import type { Matter } from "./rules.ts";

/** Who a token says it is, in the terms of its issuer's profile. True only of a token that is signed and has passed every rule. */
export function identityOf({ token, profile, claims }: Matter): Identity {
  return {
    issuer: profile.name,
    subject: String(claims["sub"]),
    ...idsOf(claims, profile),
    trust: profile.trust(claims),
    claims,
    token: { key: replayKey(token, profile), expiresAt: Number(token.claims["exp"]) * 1000 },
  };
}

/** An id that was not sent keeps its place, so that those around it cannot be read as it. */
function idsOf(claims: Claims, profile: Profile): Pick<Identity, "workload" | "job"> {
  const ids = (names: readonly string[]): readonly string[] => names.map((name) => String(claims[name] ?? ""));
  const workload = [profile.name, ...ids(profile.workload)];
  return { workload: joined(workload), job: joined([...workload, ...ids(profile.job), ...ids(profile.jobWhereSent)]) };
}
