import { BrokerError } from "../../src/errors.ts";
import type { Filled, Handle, Intent, Recovered } from "../../src/lease/provider.ts";
import { type Envelope, statusOf, type VaultClient } from "./client.ts";
import { endsOf } from "./engines.ts";
import type { VaultOptions } from "./options.ts";
import { asRole, type Call, madeAt, seconds } from "./session.ts";

/**
 * Ends a lease with the sweeper's identity, and resolves only when Vault itself no longer knows it. The engine's lease goes first and
 * synchronously: revoking a token alone puts its leases into a queue (OpenBao, RevokeByToken) and says 204 before the login is gone. Its
 * children, though, are gone before it is (OpenBao, revokeTree): a child token needs no look of its own.
 */
export async function endLease(call: Call, { accessor, leaseId, path }: Handle): Promise<void> {
  await asRole(call, call.config.sweeper.role, async (client) => {
    if (leaseId !== undefined) await endNow(call, client, leaseId);
    if (accessor !== undefined) await endToken(call, client, accessor);
    if (leaseId === undefined && path !== undefined) await endQueued(call, client, path);
  });
}

/**
 * Finds the token that was made for this lease by its metadata. What it leased is not told by Vault, so the handle holds the engine's
 * path instead: `endLease` waits there until nothing that is past its end is left. For the same reason a token that is gone does not mean
 * that nothing is left: its leases may still wait in Vault's queue, for a database that is down.
 *
 * Where the engine cannot revoke, the token is all that can be ended, so it is ended here, and what a lost answer may have held is told
 * as alive until the intent's last moment.
 */
export async function findLease(
  call: Call,
  { lease, latestExpiry }: Intent,
  options: Filled<VaultOptions>,
): Promise<Recovered> {
  const found = (handle: Handle): Recovered => ({ kind: "found", ending: { kind: "revoke", handle, expiresAt: latestExpiry } });
  return asRole(call, call.config.sweeper.role, async (client) => {
    const accessor = await findToken(client, lease, madeAt(call, options.role));
    if (endsOf(options) === "expires") {
      if (accessor === undefined) return { kind: "never-happened" };
      await endToken(call, client, accessor);
      return { kind: "found", ending: { kind: "expires", at: latestExpiry } };
    }
    const path = endsOf(options) === "revoke" && "path" in options ? options.path : undefined;
    if (path === undefined) return accessor === undefined ? { kind: "never-happened" } : found({ accessor });
    if (accessor !== undefined) return found({ accessor, path });
    return (await overdue(client, path)).length === 0 ? { kind: "never-happened" } : found({ path });
  });
}

/** The token lives so long again; Vault ends with it all that it leased. */
export async function renewLease(call: Call, { accessor, until }: Handle): Promise<void> {
  const { config, clock } = call;
  const span = Math.floor(Math.min(config.dead_man ?? 0, Number(until) - clock.now()) / 1_000);
  if (accessor === undefined || Number.isNaN(span) || span <= 0) return;
  const { auth } = await asRole(call, config.sweeper.role, (client) =>
    client.write("auth/token/renew-accessor", { accessor, increment: seconds(span * 1_000) }),
  );
  if ((auth?.lease_duration ?? 0) >= span - 1) return;
  throw new BrokerError("provider-refused", "vault renewed the lease's token for less than was asked", {
    hint: "the login role's token_max_ttl must be at least the template's ttl",
  });
}

async function findToken(client: VaultClient, lease: string, path: string): Promise<string | undefined> {
  const accessors = await client.list("auth/token/accessors");
  const tokens = await inParts(accessors, async (accessor) => ({ accessor, token: await lookup(client, accessor) }));
  return tokens.find(({ token }) => token !== undefined && isOurs(token, lease, path))?.accessor;
}

/** How many are looked at side by side: Vault has no search, so each is asked for. */
const atOnce = 16;

async function inParts<T, R>(items: readonly T[], look: (item: T) => Promise<R>): Promise<readonly R[]> {
  const seen: R[] = [];
  for (let from = 0; from < items.length; from += atOnce)
    seen.push(...(await Promise.all(items.slice(from, from + atOnce).map(look))));
  return seen;
}

/** Done or taken on (202), when it is gone, also when it never was; an error when the engine could not do it. */
async function endNow(call: Call, client: VaultClient, leaseId: string): Promise<void> {
  await client.write("sys/leases/revoke", { lease_id: leaseId, sync: true });
  await gone(call, "lease", () => lookupLease(client, leaseId));
}

async function endToken(call: Call, client: VaultClient, accessor: string): Promise<void> {
  await client.write("auth/token/revoke-accessor", { accessor }).catch(ifSaid("invalid accessor"));
  await gone(call, "token", () => lookup(client, accessor));
}

/** A revoked token's leases are past their end and wait in Vault's queue; each is taken out and ended now. */
async function endQueued(call: Call, client: VaultClient, path: string): Promise<void> {
  for (const leaseId of await overdue(client, path)) await endNow(call, client, leaseId);
}

/** Between two looks, and how many there are: a Vault that says 202 has only taken it on. */
const pause = 250;
const looks = 8;

async function gone({ clock, signal }: Call, what: string, look: () => Promise<Envelope | undefined>): Promise<void> {
  for (let left = looks; left > 0; left--) {
    if ((await look()) === undefined) return;
    await clock.sleep(pause, signal);
  }
  throw new BrokerError("internal", `vault still knows the ${what} after revoking it`, {
    hint: "vault took the revocation on and has not done it: is what it revokes from reachable?",
  });
}

/** The leases below a path that are past their end and not gone. */
async function overdue(client: VaultClient, path: string): Promise<readonly string[]> {
  const keys = await client.list(`sys/leases/lookup/${path}`);
  const leases = await inParts(keys, async (key) => ({ key, lease: await lookupLease(client, `${path}/${key}`) }));
  return leases
    .filter(({ lease }) => lease !== undefined && Number(lease.data?.["ttl"] ?? 0) <= 0)
    .map(({ key }) => `${path}/${key}`);
}

function lookup(client: VaultClient, accessor: string): Promise<Envelope | undefined> {
  return client.write("auth/token/lookup-accessor", { accessor }).catch(ifSaid("invalid accessor"));
}

function lookupLease(client: VaultClient, leaseId: string): Promise<Envelope | undefined> {
  return client.write("sys/leases/lookup", { lease_id: leaseId }).catch(ifSaid("invalid lease"));
}

/** Vault says "gone" with 400 and "not allowed" with 403, older ones both with 403: only its words tell them apart. */
function ifSaid(words: string): (error: unknown) => undefined {
  return (error) => {
    if (statusOf(error)?.says(words) !== true) throw error;
  };
}

/** Only a login with a proof of ours, or our token role, can have set this metadata on this path. */
function isOurs({ data }: Envelope, lease: string, path: string): boolean {
  const meta = data?.["meta"];
  const named = typeof meta === "object" && meta !== null && "lease" in meta ? meta.lease : undefined;
  return named === lease && data?.["path"] === path;
}
