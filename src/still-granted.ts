import { isDeepStrictEqual } from "node:util";
import type { Delivery } from "./delivery/delivery.ts";
import type { Identity } from "./identity/identity.ts";
import { decideBegun } from "./policy/decide.ts";
import type { Decision, Denial, Grant, GrantedCredential, Observe } from "./policy/grant.ts";
import { covers } from "./policy/network.ts";
import type { Policy } from "./policy/policy.ts";
import type { Isolation } from "./sandbox/sandbox.ts";
import type { Instant } from "./time.ts";

export type JobGrant = Grant<Delivery, Isolation>;

/**
 * Why a job may not go on with what it holds, by the policy of now; undefined where it may. Its fresh token must be granted the same
 * template and step. The credentials are compared for the identity that the job began with: a claim that differs from token to token fills
 * a slot differently, and that is no change of the template. A template's hours were asked when the job began.
 */
export function noLongerGranted(
  policy: Policy<Delivery, Isolation>,
  held: JobGrant,
  { identity, now }: { readonly identity: Identity; readonly now: Instant },
): Denial | undefined {
  const { template, step, command } = held;
  const ask = { template, step, command, now: asOf(held.observe, now) };
  const fresh = decideBegun(policy, { ...ask, identity });
  if (fresh.kind === "denied") return fresh;
  const again = decideBegun(policy, { ...ask, identity: held.identity });
  if (again.kind === "denied") return again;
  return confines(fresh, held) && gives(again, held) ? undefined : narrowed(again);
}

/** Why not, once the site's last word was heard on what the job holds; undefined where all of it is left. */
export function overruled(heard: Decision<Delivery, Isolation>, held: JobGrant): Denial | undefined {
  if (heard.kind === "denied") return heard;
  return confines(heard, held) && gives(heard, held) ? undefined : narrowed(heard);
}

function narrowed({ template, policy }: JobGrant): Denial {
  const message = `template ${template} no longer gives what this job holds`;
  return { kind: "denied", code: "no-match", message, policy, trace: [] };
}

/** A job that began while parts were only observed goes on so: nothing can be tightened around it, and the end of the observation is no fault of its. */
function asOf(observe: Observe | undefined, now: Instant): Instant {
  return observe === undefined ? now : Math.min(now, observe.until - 1);
}

/** More of what is counted is no reason to end a job; anything else that differs is. */
function confines(now: JobGrant, held: JobGrant): boolean {
  return now.workspace === held.workspace && isolates(now.isolation, held.isolation) && reaches(now, held);
}

function isolates(now: Isolation, held: Isolation): boolean {
  const limits = ["memory", "cpus", "pids", "timeout"] as const;
  const rest = ({ memory: _m, cpus: _c, pids: _p, timeout: _t, ...others }: Isolation): unknown => others;
  return limits.every((limit) => now[limit] >= held[limit]) && isDeepStrictEqual(rest(now), rest(held));
}

/** As far as before, or farther. */
function reaches(now: JobGrant, held: JobGrant): boolean {
  if (now.observe?.parts.includes("network") === true) return true;
  const open = held.observe?.parts.includes("network") === true;
  return !open && held.network.every((endpoint) => now.network.some((given) => covers(given, endpoint)));
}

function gives(now: JobGrant, held: JobGrant): boolean {
  return held.credentials.every((credential) => now.credentials.some((given) => isSame(given, credential)));
}

/** For as long, or longer; what a run does while a provider is down was over when it began. */
function isSame(now: GrantedCredential<Delivery>, held: GrantedCredential<Delivery>): boolean {
  const { ttl, wait: _w, optional: _o, ...rest } = now;
  const { ttl: heldTtl, wait: _heldWait, optional: _heldOptional, ...heldRest } = held;
  return ttl >= heldTtl && isDeepStrictEqual(rest, heldRest);
}
