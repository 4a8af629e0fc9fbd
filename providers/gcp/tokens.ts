import { decodeJwt } from "jose";
import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import type { Filled } from "../../src/lease/provider.ts";
import { Secret } from "../../src/secret.ts";
import { type Duration, hour, type Instant } from "../../src/time.ts";
import { type Boundary, textOf } from "./boundary.ts";
import type { Google } from "./google.ts";
import { accessTokenType, exchange } from "./identity.ts";

/** generateAccessToken: an hour, and up to this where an organisation's policy lists the account. */
export const longest: Duration = 12 * hour;

/** generateIdToken, and the token service: nobody can ask for less. */
export const fixedLife: Duration = hour;

/** Google's clock may be this far ahead of ours before a life counts as longer than asked; the core allows the same. */
const skew: Duration = 5_000;

export interface Given {
  readonly token: Secret;
  readonly at: Instant;
}

const impersonated = z.object({ accessToken: z.string().min(1), expireTime: z.iso.datetime({ offset: true }) });
const identified = z.object({ token: z.string().min(1) });
const claims = z.object({ aud: z.string(), email: z.string(), exp: z.number() });

/** A token of the service account, for these scopes and no longer than `life`. */
export async function actAs(
  google: Google,
  own: Secret,
  wanted: { readonly account: string; readonly scopes: readonly string[]; readonly life: Duration },
): Promise<Given> {
  const { account, scopes, life } = wanted;
  const body = json({ scope: scopes, lifetime: `${Math.floor(life / 1_000)}s` });
  const path = `/v1/projects/-/serviceAccounts/${account}:generateAccessToken`;
  const answer = impersonated.safeParse(await google.ask({ service: "iamcredentials", path, bearer: own, body }));
  if (!answer.success) throw new Error("the answer is not one of Google's generateAccessToken");
  const at = Date.parse(answer.data.expireTime);
  checkLife(at, google.parts.clock.now(), life);
  return { token: Secret.of(answer.data.accessToken), at };
}

/** A token of the service account that says who it is to one audience; the answer is read, since it can be. */
export async function identify(
  google: Google,
  own: Secret,
  wanted: { readonly account: string; readonly audience: string },
): Promise<Given> {
  const { account, audience } = wanted;
  const path = `/v1/projects/-/serviceAccounts/${account}:generateIdToken`;
  const answer = identified.safeParse(
    await google.ask({ service: "iamcredentials", path, bearer: own, body: json({ audience, includeEmail: true }) }),
  );
  const said = claims.safeParse(answer.success ? payloadOf(answer.data.token) : undefined);
  if (!answer.success || !said.success) throw new Error("the answer is not one of Google's generateIdToken");
  if (said.data.aud !== audience || said.data.email !== account)
    throw new BrokerError("provider-broken-promise", "google gave an ID token for somebody else than was asked for");
  const at = said.data.exp * 1_000;
  checkLife(at, google.parts.clock.now(), fixedLife);
  return { token: Secret.of(answer.data.token), at };
}

/**
 * The same token within a credential access boundary: for Cloud Storage alone. The library's own client for this can only be pointed at
 * Google's public address, so it is one POST of ours.
 */
export async function downscope(google: Google, source: Given, rules: Filled<Boundary>): Promise<Given> {
  const subject = source.token.use((bytes) => bytes.toString("utf8"));
  google.hides(subject);
  const form = new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    requested_token_type: accessTokenType,
    subject_token: subject,
    subject_token_type: accessTokenType,
    options: textOf(rules),
  });
  const { access_token: token, expires_in: seconds } = await exchange(google, form.toString());
  if (token === subject) throw new BrokerError("provider-broken-promise", "google gave the token back without its boundary");
  const now = google.parts.clock.now();
  // Left out, it ends with the token that it was made of; it never lives longer.
  const at = seconds === undefined ? source.at : now + seconds * 1_000;
  checkLife(at, now, source.at - now);
  return { token: Secret.of(token), at: Math.min(at, source.at) };
}

export function checkLife(at: Instant, now: Instant, life: Duration): void {
  const hint = "if it is by seconds, compare this host's clock with a time server's";
  // Asked this way round, a date that is no number is refused too.
  if (!(at <= now + life + skew))
    throw new BrokerError("provider-broken-promise", "google's token lives longer than was asked", { hint });
  if (!(at > now)) throw new BrokerError("provider-broken-promise", "google's token is over already", { hint });
}

export function refused(message: string, hint: string): BrokerError {
  return new BrokerError("provider-refused", message, { hint });
}

function json(body: object): { readonly type: string; readonly text: string } {
  return { type: "application/json", text: JSON.stringify(body) };
}

function payloadOf(token: string): unknown {
  try {
    return decodeJwt(token);
  } catch {
    return undefined;
  }
}
