import { errors, jwtVerify } from "jose";
import { BrokerError, type Code } from "../errors.ts";
import type { Secret } from "../secret.ts";
import type { Clock } from "../time.ts";
import { identityOf } from "./claims.ts";
import { discoverKeys } from "./discover.ts";
import type { Identity } from "./identity.ts";
import { Keys, type KeysState } from "./keys.ts";
import type { Fetch } from "./network.ts";
import { type ParsedToken, parseToken } from "./parse.ts";
import type { Profile } from "./profile.ts";

export interface Verifier {
  /**
   * Who presents this token. Throws a `BrokerError` whose message is the code's own sentence: somebody who cannot sign learns
   * nothing about what would have passed. `issuer-unavailable` says nothing against the token.
   */
  verify(token: Secret, signal: AbortSignal): Promise<Identity>;
  /** Which issuers could be asked just now; for `status`. */
  readiness(): readonly IssuerReadiness[];
}

export interface IssuerReadiness {
  readonly issuer: string;
  readonly keys: KeysState;
  readonly trouble: string | undefined;
}

export interface VerifierParts {
  readonly profiles: readonly Profile[];
  readonly fetch: Fetch;
  readonly clock: Clock;
}

interface Gate {
  readonly profile: Profile;
  readonly keys: Keys;
}

export function createVerifier({ profiles, fetch, clock }: VerifierParts): Verifier {
  const gates = profiles.map(
    (profile): Gate => ({ profile, keys: new Keys((signal) => discoverKeys(profile, fetch, signal), clock) }),
  );
  return {
    async verify(token, signal) {
      const parsed = parseToken(token);
      // By the exact bytes of a claim that is not believed yet: it only chooses among the configured (RFC 8725 section 3.8).
      const gate = gates.find(({ profile }) => profile.issuer === parsed.claims["iss"]);
      if (gate === undefined) throw new BrokerError("token-issuer");
      checkHeader(parsed, gate.profile);
      await checkSigned(parsed, gate, { now: new Date(clock.now()), signal });
      return identityOf(parsed, gate.profile);
    },
    readiness: () => gates.map(({ profile, keys }) => ({ issuer: profile.name, keys: keys.state, trouble: keys.trouble })),
  };
}

/** No member that could change what is verified, such as `jwk`, `jku`, `x5u`, `crit` or `zip` (RFC 8725 section 3.10). */
function checkHeader(parsed: ParsedToken, profile: Profile): void {
  const { typ, others } = parsed.header;
  const malformed = (detail: string): BrokerError => new BrokerError("token-malformed", undefined, { detail });
  if (parsed.compact.length > profile.maxSize) throw malformed("longer than its profile allows");
  if (!isType(typ, profile.type)) throw malformed("a typ that its profile does not expect");
  if (others.some((name) => !profile.header.includes(name))) throw malformed("a header member that its profile does not know");
}

/** RFC 7515 section 4.1.9: a media type, without regard to case, `application/` left out or not. */
function isType(typ: string | undefined, expected: Profile["type"]): boolean {
  if (typ === undefined) return expected === "JWT";
  return typ.toLowerCase().replace(/^application\//, "") === expected.toLowerCase();
}

async function checkSigned(
  parsed: ParsedToken,
  gate: Gate,
  at: { readonly now: Date; readonly signal: AbortSignal },
): Promise<void> {
  const { profile, keys } = gate;
  try {
    await jwtVerify(parsed.compact, () => keys.find(parsed.header, at.signal), {
      algorithms: [...profile.algorithms],
      issuer: profile.issuer,
      audience: profile.audience,
      requiredClaims: ["exp", "iat", "sub"],
      clockTolerance: profile.skew / 1000,
      maxTokenAge: profile.maxAge / 1000,
      currentDate: at.now,
    });
  } catch (error) {
    throw refusal(error, at.signal);
  }
}

/** jose's claim errors carry every claim, so they are read here and never passed on as a cause. */
function refusal(error: unknown, signal: AbortSignal): unknown {
  if (error instanceof BrokerError || signal.aborted) return error;
  if (error instanceof errors.JWTExpired)
    return refused(error.claim === "exp" ? "token-expired" : "token-lifetime", error.claim);
  if (error instanceof errors.JWTClaimValidationFailed) return refused(claimCode(error), `${error.claim}: ${error.reason}`);
  return refused("token-signature", error instanceof errors.JOSEError ? error.code : "the signature cannot be checked");
}

function refused(code: Code, detail: string): BrokerError {
  return new BrokerError(code, undefined, { detail });
}

function claimCode(error: errors.JWTClaimValidationFailed): Code {
  if (error.claim === "iss") return "token-issuer";
  if (error.claim === "aud") return "token-audience";
  const early = error.reason === "check_failed" && (error.claim === "nbf" || error.claim === "iat");
  return early ? "token-not-yet-valid" : "token-claim";
}
