import { BrokerError } from "../../../src/errors.ts";
import type { Filled, Intent } from "../../../src/lease/provider.ts";
import type { Material } from "../../../src/material.ts";
import { Secret } from "../../../src/secret.ts";
import type { Duration, Instant } from "../../../src/time.ts";
import type { Envelope, VaultClient } from "../client.ts";
import type { Kind, VaultOptions } from "../options.ts";
import { broken } from "../session.ts";

/** What an engine is asked with: a client that speaks as the lease's own token. */
export interface Asking {
  readonly client: VaultClient;
  readonly intent: Intent;
  readonly now: () => Instant;
}

export type Of<K extends Kind> = Extract<Filled<VaultOptions>, { readonly kind: K }>;

/** A credential, and as much as the engine says of its end. */
export interface Given {
  readonly material: Material;
  /** What ends it, beside the lease's token. */
  readonly handle?: Readonly<Record<string, string>>;
  /** From now. */
  readonly life?: Duration;
  /** Where nobody can end it earlier. */
  readonly until?: Instant;
}

/** Clocks of two hosts may differ by this much. */
export const skew: Duration = 5_000;

/** Vault's lease of a credential that it can take back, below the path that was asked: there `recover` looks for it. */
export function leased(
  { lease_id, lease_duration }: Envelope,
  path: string,
  ttl: Duration,
): Required<Pick<Given, "handle" | "life">> {
  if (lease_id === "")
    throw broken("vault gave a credential without a lease, which nobody could end", "check the kind that the template names");
  if (!lease_id.startsWith(`${path}/`))
    throw broken(
      "vault's lease is in another namespace than the provider's",
      "name the namespace in the provider's entry, not in the path",
    );
  if (lease_duration * 1_000 > ttl)
    throw broken("vault's lease lives longer than was asked", "set the engine role's max_ttl to at most the template's ttl");
  return { handle: { leaseId: lease_id, path }, life: lease_duration * 1_000 };
}

/** The end of what cannot be ended earlier. It must lie ahead, or the answer is an old one. */
export function ahead(until: number, now: Instant, ttl: Duration, what: string): Instant {
  if (!Number.isFinite(until) || until <= now) throw broken(`vault's ${what} has expired already`, "check the clocks");
  if (until > now + ttl + skew)
    throw broken(`vault's ${what} lives longer than was asked`, "lower the engine role's ttl and max_ttl");
  return until;
}

/** A text of the answer's data; nothing of the answer is in the error. */
export function textOf({ data }: Envelope, field: string): string {
  const text = data?.[field];
  if (typeof text === "string" && text !== "") return text;
  throw broken(`vault's answer has no ${field}`, "check the path and the kind that the template names");
}

export function secretOf(answer: Envelope, field: string): Secret {
  return Secret.of(textOf(answer, field));
}

export function limit(message: string, hint: string): BrokerError {
  return new BrokerError("provider-refused", message, { hint });
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
