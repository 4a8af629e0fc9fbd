import { decodeJwt } from "jose";
import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import { ask } from "../../src/lease/http.ts";
import type { Proof } from "../../src/lease/provider.ts";
import { Secret } from "../../src/secret.ts";
import { type Clock, type Duration, day, type Instant } from "../../src/time.ts";
import { type AzureConfig, audienceOf, tokenUrl } from "./config.ts";
import { explainedByEntra } from "./refusals.ts";

export interface Parts {
  readonly config: AzureConfig;
  /** PEM. */
  readonly authority: string | undefined;
  readonly clock: Clock;
  readonly proof: Proof;
  readonly signal: AbortSignal;
}

export interface Given {
  readonly token: Secret;
  readonly at: Instant;
}

const answered = z.object({
  token_type: z.string().regex(/^bearer$/i),
  expires_in: z.number().positive(),
  access_token: z.string().min(1),
});

/** What a token says of itself, where it can be read at all: it is the resource's, not ours. */
const readable = z.object({
  tid: z.string().optional(),
  appid: z.string().optional(),
  azp: z.string().optional(),
  exp: z.number().optional(),
});

/** Entra's clock may be this far ahead of ours before a life counts as longer than asked; the core allows the same. */
const skew: Duration = 5_000;

/**
 * An access token of the app for one resource, for an assertion of ours (RFC 7523 section 2.2). Its life is Entra's: it cannot be asked for
 * less, and a token cannot be ended.
 */
export async function tokenFor(
  parts: Parts,
  wanted: { readonly client: string; readonly scope: string; readonly life?: Duration },
): Promise<Given> {
  const { config, authority, clock, signal } = parts;
  const assertion = (await parts.proof.token(audienceOf(config))).use((bytes) => bytes.toString("utf8"));
  const form = new URLSearchParams({
    grant_type: "client_credentials",
    client_id: wanted.client,
    scope: wanted.scope,
    client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    client_assertion: assertion,
  });
  const upstream = {
    name: "entra",
    clock,
    timeout: config.timeout,
    explain: (_: number, body: unknown) =>
      explainedByEntra(body, (text) => text.replaceAll(assertion, "[secret]").slice(0, 500)),
  };
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const { body } = await ask(upstream, {
    method: "POST",
    url: tokenUrl(config),
    headers,
    body: form.toString(),
    authority,
    signal,
  });
  const answer = answered.safeParse(body);
  // zod's own error would name what it read.
  if (!answer.success) throw new Error("the answer is not one of Entra's");
  const { access_token: token, expires_in: seconds } = answer.data;
  const said = claimsOf(token);
  checkOwner(said, config.tenant, wanted.client);
  const now = clock.now();
  const at = Math.max(now + seconds * 1_000, (said.exp ?? 0) * 1_000);
  checkLife(at, now, wanted.life ?? day);
  return { token: Secret.of(token), at };
}

function checkOwner({ tid, appid, azp }: z.output<typeof readable>, tenant: string, client: string): void {
  const isOurs = (id: string | undefined, own: string): boolean => id === undefined || id.toLowerCase() === own.toLowerCase();
  if (!isOurs(tid, tenant) || !isOurs(appid ?? azp, client))
    throw broken("entra gave a token of another app than was asked for");
}

function checkLife(at: Instant, now: Instant, life: Duration): void {
  // Asked this way round, a date that is no number is refused too.
  if (!(at <= now + life + skew))
    throw broken(
      "entra's token lives longer than the credential may",
      "a token lifetime policy: set `token_life` in mayfly.yaml and the credential's ttl to it",
    );
  if (!(at > now)) throw broken("entra's token is over already", "compare this host's clock with a time server's");
}

function broken(message: string, hint?: string): BrokerError {
  return new BrokerError("provider-broken-promise", message, hint === undefined ? {} : { hint });
}

function claimsOf(token: string): z.output<typeof readable> {
  try {
    const claims = readable.safeParse(decodeJwt(token));
    return claims.success ? claims.data : {};
  } catch {
    return {};
  }
}
