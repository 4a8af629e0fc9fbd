import { type Asker, scopesOf } from "./asker.ts";
import type { Delivery } from "./delivery/delivery.ts";
import { asBrokerError, BrokerError } from "./errors.ts";
import type { House } from "./house.ts";
import type { Ending } from "./lease/provider.ts";
import { decide } from "./policy/decide.ts";
import type { Denial, GrantedCredential } from "./policy/grant.ts";
import type { Isolation, Network } from "./sandbox/sandbox.ts";
import type { JobGrant } from "./still-granted.ts";
import type { Duration } from "./time.ts";

/** What is asked for. */
export interface Request {
  readonly template: string | undefined;
  readonly step: string | undefined;
  readonly command: readonly string[];
}

/** What the templates say, and then the site. */
export interface Decided {
  readonly outcome: JobGrant | Denial;
  /** What the templates alone grant; undefined where they deny. */
  readonly whole: JobGrant | undefined;
  /** The id of the site's own decision; undefined where the site has no last word, or it was not needed. */
  readonly lastWord: string | undefined;
  /** Why the site's last word could not be had; the outcome is then a denial. */
  readonly unheard?: BrokerError;
}

type Deciding = Pick<House, "policy" | "lastWord" | "clock" | "ledger" | "minting">;

/** By the policy of now, whole. The site is not asked about a token that opens nothing any more: that rejects with `token-spent`. */
export async function decided(house: Deciding, asker: Asker, request: Request, signal: AbortSignal): Promise<Decided> {
  const { identity } = asker;
  const whole = decide<Delivery, Isolation>(house.policy(), { ...request, identity, now: house.clock.now() });
  if (whole.kind === "denied") return { outcome: whole, whole: undefined, lastWord: undefined };
  if (asker.kind === "opens" && (await house.ledger.isSpent(identity.token.key))) throw new BrokerError("token-spent");
  if (house.lastWord === undefined) return { outcome: whole, whole, lastWord: undefined };
  try {
    const { outcome, decision } = await house.lastWord.ask(whole, signal);
    if (outcome.kind === "granted") refuseUnkept(house, whole, outcome);
    return { outcome, whole, lastWord: decision };
  } catch (thrown) {
    const error = asBrokerError(thrown);
    if (error.code !== "last-word-unavailable") throw error;
    return { outcome: unheard(whole, error), whole, lastWord: undefined, unheard: error };
  }
}

/** On record with what was granted, so that an auditor sees what a site that does not answer stands in the way of. */
function unheard({ template, policy }: JobGrant, { code, message }: BrokerError): Denial {
  const lines = [{ line: "the site's last word", held: false, expected: "allow", found: "no answer" }];
  return { kind: "denied", code, message, policy, trace: [{ template, matched: true, lines }] };
}

/** A stored value lives on after the job: an answer that shortens its life believes something that nobody can do. */
function refuseUnkept({ minting }: Deciding, whole: JobGrant, heard: JobGrant): void {
  const unkept = heard.credentials.find(
    (credential) => isShortened(whole, credential) && endOf(minting, credential) === "static",
  );
  if (unkept !== undefined)
    throw new BrokerError("last-word-unavailable", undefined, {
      detail: `the answer shortens the life of ${unkept.name}, a stored value that outlives the job: take it away with \`without\``,
    });
}

type Credential = GrantedCredential<Delivery>;

/** How long a provider is asked to let it live. What can be ended at any time has its template's life, which the broker cuts short. */
export function mintedFor(minting: House["minting"], whole: JobGrant, credential: Credential): Duration {
  return endOf(minting, credential) === "revoke" ? lifeOf(whole, credential) : credential.ttl;
}

/** Whether the site leaves it a shorter life than its template does. */
export function isShortened(whole: JobGrant, credential: Credential): boolean {
  return credential.ttl < lifeOf(whole, credential);
}

function lifeOf({ credentials }: JobGrant, { name, ttl }: Credential): Duration {
  return credentials.find((own) => own.name === name)?.ttl ?? ttl;
}

function endOf({ providers }: House["minting"], { provider, options }: Credential): Ending["kind"] | undefined {
  return providers.get(provider)?.ends(options);
}

/** Throws the denial's code. */
export function granted({ outcome, unheard: error }: Decided): JobGrant {
  if (outcome.kind === "granted") return outcome;
  throw error ?? new BrokerError(outcome.code, outcome.message);
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
