import { scopesOf } from "./asker.ts";
import type { Delivery } from "./delivery/delivery.ts";
import { BrokerError } from "./errors.ts";
import type { House } from "./house.ts";
import type { Identity } from "./identity/identity.ts";
import { decide } from "./policy/decide.ts";
import type { Denial } from "./policy/grant.ts";
import type { Isolation, Network } from "./sandbox/sandbox.ts";
import type { JobGrant } from "./still-granted.ts";

/** Who asks for what. */
export interface Request {
  readonly identity: Identity;
  readonly template: string | undefined;
  readonly step: string | undefined;
  readonly command: readonly string[];
}

/** What the templates say, and then the site. */
export interface Decided {
  readonly outcome: JobGrant | Denial;
  /** The id of the site's own decision; undefined where the site has no last word, or it was not needed. */
  readonly lastWord: string | undefined;
}

/** By the policy of now, whole. Rejects with `last-word-unavailable`: what the site would have said nobody knows. */
export async function decided(
  { policy, lastWord, clock }: Pick<House, "policy" | "lastWord" | "clock">,
  request: Request,
  signal: AbortSignal,
): Promise<Decided> {
  const outcome = decide<Delivery, Isolation>(policy(), { ...request, now: clock.now() });
  if (outcome.kind === "denied" || lastWord === undefined) return { outcome, lastWord: undefined };
  const heard = await lastWord.ask(outcome, signal);
  return { outcome: heard.outcome, lastWord: heard.decision };
}

/** Throws the denial's code. */
export function granted({ outcome }: Decided): JobGrant {
  if (outcome.kind === "granted") return outcome;
  throw new BrokerError(outcome.code, outcome.message);
}

/** Where this run may go, in the sandbox's words. */
export function networkOf({ network, observe }: JobGrant): Network {
  const endpoints = network.map(({ host, port }) => ({ host, port }));
  if (observe?.parts.includes("network") === true) return { kind: "observed", endpoints };
  return endpoints.length === 0 ? { kind: "none" } : { kind: "only", endpoints };
}

/** Everything by which containment may reach this run; `contain` names one of them. */
export function scopesOfRun({ identity, template, credentials }: JobGrant, session: string): readonly string[] {
  const providers = new Set(credentials.map(({ provider }) => `provider:${provider}`));
  return [...scopesOf(identity, session), `template:${template}`, ...providers];
}
