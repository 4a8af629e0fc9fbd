import { decodeJwt } from "jose";
import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import type { Duration, Instant } from "../../src/time.ts";

export interface Repository {
  readonly name: string;
  readonly actions: readonly string[];
}

/** A registry's token (CNCF distribution, "Docker Registry v2 Bearer token specification"). */
const claims = z.object({
  iss: z.string().optional(),
  aud: z.union([z.string(), z.array(z.string())]),
  exp: z.number(),
  nbf: z.number().optional(),
  iat: z.number().optional(),
  access: z.array(z.object({ type: z.string(), name: z.string(), actions: z.array(z.string()) })).nullish(),
});

type Claims = z.output<typeof claims>;

export interface Asked {
  readonly repositories: readonly Repository[];
  readonly service: string;
  readonly issuer: string | undefined;
  readonly now: Instant;
  readonly ttl: Duration;
}

/** Registries take a token for so long after its time (distribution, `token.Leeway`), so that is part of its life. */
const leeway: Duration = 60_000;

/** Two hosts' clocks may differ by this much. */
const skew: Duration = 30_000;

/**
 * Until when the token lives, once it is certain that it says just what was asked. A token server grants what the account may have of what
 * was asked, and says so only in here; the registry decides by the same words. The signature is the registry's business.
 */
export function checkToken(token: string, asked: Asked): Instant {
  const said = read(token);
  const [granted, wanted] = [
    grantsOf(said.access ?? []),
    grantsOf(asked.repositories.map((one) => ({ type: "repository", ...one }))),
  ];
  if ([...granted].some((grant) => !wanted.has(grant))) throw broken("the token is good for more than was asked");
  checkParty(said, asked);
  const lacking = [...wanted].filter((grant) => !granted.has(grant));
  if (lacking.length > 0) throw tooNarrow(lacking);
  return checkTime(said, asked);
}

function read(token: string): Claims {
  try {
    return claims.parse(decodeJwt(token));
  } catch {
    // Both would quote what they read.
    throw broken(
      "the token does not say what it is good for",
      "this token server's tokens are opaque: the broker cannot vouch for them",
    );
  }
}

function grantsOf(access: readonly (Repository & { readonly type: string })[]): ReadonlySet<string> {
  return new Set(access.flatMap(({ type, name, actions }) => actions.map((action) => `${type}:${name}:${action}`)));
}

function checkParty({ aud, iss }: Claims, { service, issuer }: Asked): void {
  const audiences = typeof aud === "string" ? [aud] : aud;
  if (audiences.length !== 1 || audiences[0] !== service) throw broken("the token is made out to another service");
  if (issuer !== undefined && iss !== issuer) throw broken("the token is another issuer's");
}

function checkTime({ exp, nbf, iat }: Claims, { now, ttl }: Asked): Instant {
  const expiry = exp * 1_000 + leeway;
  if (expiry > now + ttl) {
    throw broken(
      "the token lives longer than was asked",
      "a registry takes it for a minute after its time: the template's ttl must be a minute more than the token server's expiry",
    );
  }
  if (expiry - leeway <= now)
    throw broken("the token has already expired", "compare the token server's clock with the broker's");
  if (Math.max(nbf ?? 0, iat ?? 0) * 1_000 > now + skew)
    throw broken("the token is not valid yet", "compare the token server's clock with the broker's");
  return expiry;
}

/** A refusal, since nobody holds what came: it is dropped here, and the server keeps nothing of it. */
function tooNarrow(lacking: readonly string[]): BrokerError {
  return new BrokerError("provider-refused", "the token server gives the account less than the template asks for", {
    hint: "give the account these rights, or take them from the template",
    detail: `oci-registry: not granted: ${lacking.join(", ")}`,
  });
}

function broken(message: string, hint?: string): BrokerError {
  return new BrokerError("provider-broken-promise", message, hint === undefined ? {} : { hint });
}
