import type { Filled, Handle, Intent, Proof, Recovered } from "../../src/lease/provider.ts";
import { type ClientParts, type Envelope, statusOf, VaultClient } from "./client.ts";
import type { VaultOptions } from "./config.ts";

/**
 * Ends a lease with the sweeper's identity, and resolves only when Vault itself no longer knows it. The engine's lease goes first and
 * synchronously: revoking a token alone puts its leases into a queue (OpenBao, RevokeByToken) and says 204 before the login is gone.
 */
export async function endLease(parts: ClientParts, handle: Handle, proof: Proof): Promise<void> {
  await asSweeper(parts, proof, async (client) => {
    const { accessor, leaseId, path } = handle;
    if (leaseId !== undefined) await endNow(client, leaseId);
    if (accessor !== undefined) await endToken(client, accessor);
    if (leaseId === undefined && path !== undefined) await endQueued(client, path);
  });
}

/**
 * Finds the token that was made for this lease by its metadata. What it leased is not told by Vault, so the handle holds the engine's
 * path instead: `endLease` waits there until nothing that is past its end is left. For the same reason a token that is gone does not mean
 * that nothing is left: its leases may still wait in Vault's queue, for a database that is down.
 */
export async function findLease(
  parts: ClientParts,
  { lease, latestExpiry }: Intent,
  { path, kind }: Filled<VaultOptions>,
  proof: Proof,
): Promise<Recovered> {
  const found = (handle: Handle): Recovered => ({ kind: "found", ending: { kind: "revoke", handle, expiresAt: latestExpiry } });
  return asSweeper(parts, proof, async (client) => {
    const accessor = await findToken(client, lease, `auth/${parts.config.login.mount}/login`);
    if (kind === "kv") return accessor === undefined ? { kind: "never-happened" } : found({ accessor });
    if (accessor !== undefined) return found({ accessor, path });
    return (await overdue(client, path)).length === 0 ? { kind: "never-happened" } : found({ path });
  });
}

async function findToken(client: VaultClient, lease: string, loginPath: string): Promise<string | undefined> {
  const accessors = await client.list("auth/token/accessors");
  const tokens = await inParts(accessors, async (accessor) => ({ accessor, token: await lookup(client, accessor) }));
  return tokens.find(({ token }) => token !== undefined && isOurs(token, lease, loginPath))?.accessor;
}

/** How many are looked at side by side: Vault has no search, so each is asked for. */
const atOnce = 16;

async function inParts<T, R>(items: readonly T[], look: (item: T) => Promise<R>): Promise<readonly R[]> {
  const seen: R[] = [];
  for (let from = 0; from < items.length; from += atOnce)
    seen.push(...(await Promise.all(items.slice(from, from + atOnce).map(look))));
  return seen;
}

async function asSweeper<T>(parts: ClientParts, proof: Proof, work: (client: VaultClient) => Promise<T>): Promise<T> {
  const client = new VaultClient(parts);
  await client.login(parts.config.sweeper.role, await proof.token(parts.config.login.audience));
  try {
    return await work(client);
  } finally {
    // Best effort: it can only revoke, and it lives as long as its role allows at most.
    await client.write("auth/token/revoke-self", {}).catch(() => undefined);
  }
}

/** 204 when it is gone, also when it never was; an error when the engine could not do it. */
async function endNow(client: VaultClient, leaseId: string): Promise<void> {
  await client.write("sys/leases/revoke", { lease_id: leaseId, sync: true });
  if ((await lookupLease(client, leaseId)) !== undefined) throw new Error("vault still knows the lease after revoking it");
}

async function endToken(client: VaultClient, accessor: string): Promise<void> {
  await client.write("auth/token/revoke-accessor", { accessor }).catch(ifSaid("invalid accessor"));
  if ((await lookup(client, accessor)) !== undefined) throw new Error("vault still knows the token after revoking it");
}

/** A revoked token's leases are past their end and wait in Vault's queue; each is taken out and ended now. */
async function endQueued(client: VaultClient, path: string): Promise<void> {
  for (const leaseId of await overdue(client, path)) await endNow(client, leaseId);
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

/** Only a login with a proof of ours can have set this metadata on this path. */
function isOurs({ data }: Envelope, lease: string, loginPath: string): boolean {
  const meta = data?.["meta"];
  const named = typeof meta === "object" && meta !== null && "lease" in meta ? meta.lease : undefined;
  return named === lease && data?.["path"] === loginPath;
}
