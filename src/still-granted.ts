import { isDeepStrictEqual } from "node:util";
import type { Delivery } from "./delivery/delivery.ts";
import type { Identity } from "./identity/identity.ts";
import type { Policy } from "./policy/compile.ts";
import { decide } from "./policy/decide.ts";
import type { Denial, Grant, GrantedCredential } from "./policy/grant.ts";
import type { Isolation } from "./sandbox/sandbox.ts";
import type { Instant } from "./time.ts";

export type JobGrant = Grant<Delivery, Isolation>;

/**
 * Why a job may not go on with what it holds, by the policy of now; undefined where it may. Its fresh token must be granted the same
 * template and step. What that gives is compared for the identity that the job began with: a claim that differs from token to token fills
 * a slot differently, and that is no change of the template.
 */
export function noLongerGranted(
  policy: Policy<Delivery, Isolation>,
  held: JobGrant,
  { identity, now }: { readonly identity: Identity; readonly now: Instant },
): Denial | undefined {
  const { template, step, command } = held;
  const fresh = decide(policy, { identity, template, step, command, now });
  if (fresh.kind === "denied") return fresh;
  const again = decide(policy, { identity: held.identity, template, step, command, now });
  if (again.kind === "denied") return again;
  if (covers(again, held)) return undefined;
  const message = `template ${template} no longer gives what this job holds`;
  return { kind: "denied", code: "no-match", message, policy: again.policy, trace: [] };
}

/** More of what is counted is no reason to end a job; anything else that differs is. */
function covers(now: JobGrant, held: JobGrant): boolean {
  return (
    now.workspace === held.workspace &&
    isolates(now.isolation, held.isolation) &&
    held.credentials.every((credential) => now.credentials.some((given) => gives(given, credential)))
  );
}

function gives(now: GrantedCredential<Delivery>, held: GrantedCredential<Delivery>): boolean {
  const { ttl, ...rest } = now;
  const { ttl: heldTtl, ...heldRest } = held;
  return ttl >= heldTtl && isDeepStrictEqual(rest, heldRest);
}

function isolates(now: Isolation, held: Isolation): boolean {
  const limits = ["memory", "cpus", "pids", "timeout"] as const;
  const rest = ({ memory: _m, cpus: _c, pids: _p, timeout: _t, ...others }: Isolation): unknown => others;
  return limits.every((limit) => now[limit] >= held[limit]) && isDeepStrictEqual(rest(now), rest(held));
}
