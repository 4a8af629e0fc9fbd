import { z } from "zod";
import { BrokerError } from "../../../src/errors.ts";
import { Secret } from "../../../src/secret.ts";
import { minute } from "../../../src/time.ts";
import type { Envelope } from "../client.ts";
import { broken, seconds } from "../session.ts";
import { type Asking, ahead, type Given, leased, limit, type Of, textOf } from "./engine.ts";

const shortest = 10 * minute;

export function checkKubernetes(ttl: number): void {
  if (ttl < shortest)
    throw limit("kubernetes gives no service-account token for less than 10m", "set the credential's ttl to at least 10m");
}

/**
 * A service account's token. Where the role makes an account for the lease, Vault deletes it at the lease's end, and the token with it. A
 * token of an account that stays cannot be called back, whatever Vault answers to a revocation.
 */
export async function kubernetes({ client, intent, now }: Asking, asked: Of<"kubernetes">): Promise<Given> {
  const { path, namespace, audiences, account } = asked;
  // Vault says nowhere else that a revocation does nothing.
  if (account === "generated") checkRole(await client.read(path.replace(/\/creds\/([^/]+)$/, "/roles/$1")));
  const answer = await client.write(path, {
    kubernetes_namespace: namespace,
    ttl: seconds(intent.ttl),
    audiences: audiences.join(","),
    cluster_role_binding: false,
  });
  const token = textOf(answer, "service_account_token");
  const until = ahead(checkedExpiry(token, asked), now(), intent.ttl, "service-account token");
  const material = { kind: "bearer", token: Secret.of(token) } as const;
  return account === "generated" ? { material, ...leased(answer, path, intent.ttl) } : { material, until };
}

function checkRole({ data }: Envelope): void {
  const name = data?.["service_account_name"];
  if (name === undefined || name === null || name === "") return;
  throw new BrokerError("provider-refused", "vault's kubernetes role gives tokens of an account that stays", {
    hint: "write account: existing, and live with a token that only expires; or let the role generate its account",
  });
}

const claims = z.object({
  exp: z.number(),
  aud: z.union([z.string().transform((one) => [one]), z.array(z.string())]),
  "kubernetes.io": z.object({ namespace: z.string() }),
});

/** What the token says of itself: for these audiences and this namespace, or it is not what was asked. */
function checkedExpiry(token: string, { audiences, namespace }: Of<"kubernetes">): number {
  const read = claims.safeParse(payloadOf(token));
  if (!read.success) throw broken("kubernetes' token cannot be read, so its scope is unknown");
  const { exp, aud, "kubernetes.io": place } = read.data;
  if (place.namespace !== namespace || !aud.every((one) => audiences.includes(one)))
    throw broken("kubernetes' token is for another audience or namespace than was asked");
  return exp * 1_000;
}

function payloadOf(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
}
