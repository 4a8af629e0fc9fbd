import { decodeJwt } from "jose";
import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import type { Filled } from "../../src/lease/provider.ts";
import type { Duration, Instant } from "../../src/time.ts";
import type { Binding } from "./binding.ts";
import type { Client } from "./client.ts";
import type { KubernetesOptions } from "./options.ts";

/** The API server's clock may be this far ahead of ours. */
const skew: Duration = 5_000;

/** What it takes (Kubernetes, `TokenRequestSpec`, and the API server's validation of it). */
const shortest: Duration = 600_000;
const longest: Duration = 2 ** 32 * 1_000;

export interface Asked {
  readonly options: Filled<KubernetesOptions>;
  /** Undefined where those who take the token never ask whether it was ended. */
  readonly binding: Binding | undefined;
  readonly ttl: Duration;
}

export interface Given {
  readonly token: string;
  readonly expiresAt: Instant;
}

/** Before the call: the API server refuses less, and whoever asks for more did not mean a job's credential. */
export function checkLife(ttl: Duration): void {
  if (ttl < shortest)
    throw new BrokerError("provider-refused", "kubernetes gives no token for less than ten minutes", {
      hint: "write ttl: 10m or more: the token is ended with its job",
    });
  if (ttl > longest) throw new BrokerError("provider-refused", "kubernetes gives no token for more than 2^32 seconds");
}

/** What is more, lives longer or is for somebody else than asked is refused. */
export async function requestToken(client: Client, asked: Asked, now: () => Instant): Promise<Given> {
  const { namespace, service_account: account, audiences } = asked.options;
  const bound = asked.binding;
  const spec = {
    audiences,
    expirationSeconds: Math.floor(asked.ttl / 1_000),
    ...(bound && { boundObjectRef: { kind: "Secret", apiVersion: "v1", name: bound.name, uid: bound.uid } }),
  };
  const { body } = await client.call({
    method: "POST",
    path: `namespaces/${namespace}/serviceaccounts/${account}/token`,
    body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec },
  });
  return checked(body, asked, now());
}

const answered = z.object({
  status: z.object({ token: z.string().min(1), expirationTimestamp: z.iso.datetime({ offset: true }) }),
});

const claims = z.object({
  sub: z.string(),
  aud: z.union([z.string().transform((one) => [one]), z.array(z.string())]),
  exp: z.number(),
  "kubernetes.io": z.object({ secret: z.object({ name: z.string(), uid: z.string() }).optional() }),
});

type Claims = z.output<typeof claims>;

/** The answer says when it expires, and the token itself says so too: it is held against both. */
function checked(body: unknown, asked: Asked, now: Instant): Given {
  const read = answered.safeParse(body);
  // zod's own error would name what it read.
  if (!read.success) throw new Error("kubernetes: the answer holds no token");
  const { token, expirationTimestamp } = read.data.status;
  const said = claimsOf(token);
  checkScope(said, asked);
  const expiresAt = Math.max(said.exp * 1_000, Date.parse(expirationTimestamp));
  if (!(expiresAt > now)) throw broken("kubernetes gave a token that has expired", clocks);
  if (expiresAt > now + asked.ttl + skew) throw broken("kubernetes gave a token that lives longer than was asked", clocks);
  return { token, expiresAt };
}

function checkScope({ sub, aud, "kubernetes.io": { secret } }: Claims, { options, binding }: Asked): void {
  if (sub !== `system:serviceaccount:${options.namespace}:${options.service_account}`)
    throw broken("kubernetes gave a token of another service account");
  if (aud.length === 0 || !aud.every((one) => options.audiences.includes(one)))
    throw broken("kubernetes gave a token for somebody else than was asked");
  if (binding !== undefined && (secret?.name !== binding.name || secret.uid !== binding.uid))
    throw broken("kubernetes gave a token that is not bound to its lease");
}

const clocks = "the API server's clock and this host's may differ: check NTP on both";

function claimsOf(token: string): Claims {
  try {
    return claims.parse(decodeJwt(token));
  } catch {
    throw broken("kubernetes gave a token that does not say what it is for");
  }
}

function broken(message: string, hint?: string): BrokerError {
  return new BrokerError("provider-broken-promise", message, hint === undefined ? {} : { hint });
}
