import type { Credentials, Peer } from "./contract.ts";
import { BrokerError } from "./errors.ts";
import type { House } from "./house.ts";
import { newId } from "./id.ts";
import type { Identity } from "./identity/identity.ts";
import { digestOf, newHandle, parseIdentity, serialiseIdentity } from "./identity/session.ts";
import type { PeerSeen } from "./ledger/entry.ts";
import type { SessionOpening } from "./ledger/ledger.ts";
import type { Secret } from "./secret.ts";
import type { Duration } from "./time.ts";

/** Who asks: a believed identity, and the session that its token would open or that it already stands in. */
export type Asker = Opener | { readonly kind: "within"; readonly identity: Identity; readonly session: string };

export interface Opener {
  readonly kind: "opens";
  readonly identity: Identity;
  readonly opening: SessionOpening;
  readonly handle: Secret;
}

/** A token cannot be presented again this long after its expiry, however far apart two clocks are. */
export const forgetTokensAfter: Duration = 10 * 60_000;

/** Step 1: the token is verified, or the session's handle is looked up; nothing is spent yet. */
export async function identify(house: House, credentials: Credentials, peer: Peer, signal: AbortSignal): Promise<Asker> {
  if (credentials.kind === "session") return within(house, credentials.handle, peer);
  return opens(house, await house.verifier.verify(credentials.token, signal), peer);
}

/** The session that this identity's token would open, for this runner of the host only. */
export function opens(house: House, identity: Identity, peer: Peer): Opener {
  const handle = newHandle(house.random);
  const id = newId("session", house.random);
  const until = house.clock.now() + house.longestSession;
  const { issuer, subject, workload, job, trust, token } = identity;
  const opening: SessionOpening = {
    id,
    handleDigest: digestOf(handle),
    peer: peer.uid,
    cgroup: house.boundTo === "runner" ? (peer.cgroup ?? null) : null,
    until,
    identity: serialiseIdentity(identity),
    token: { key: token.key, forgetAfter: token.expiresAt + forgetTokensAfter },
    event: {
      kind: "session-opened",
      session: id,
      issuer,
      subject,
      workload,
      job,
      trust,
      token: token.key,
      peer: seen(peer),
      until,
    },
  };
  return { kind: "opens", identity, opening, handle };
}

/** As the ledger keeps it. */
export function seen({ uid, pid, cgroup }: Peer): PeerSeen {
  return { uid, pid, cgroup: cgroup ?? null };
}

/** A handle is useless to every other user of the host, and to every other runner of the same user: they learn only that it is not theirs. */
export async function within(house: House, handle: Secret, peer: Peer): Promise<Extract<Asker, { kind: "within" }>> {
  const session = await house.ledger.findSession(digestOf(handle));
  if (session === undefined) throw new BrokerError("session-unknown");
  if (session.peer !== peer.uid || !isBeneath(session.cgroup, peer.cgroup)) throw new BrokerError("session-peer");
  if (session.ended || session.until <= house.clock.now()) throw new BrokerError("session-ended");
  return { kind: "within", identity: parseIdentity(session.identity), session: session.id };
}

/**
 * Whether a peer is in the control group that a session is bound to, or beneath it, where a runner puts its jobs. A group that cannot be
 * read is in none. The kernel writes `/..` for each level above this broker's own namespace, so a path may begin like another and yet lie above it.
 */
export function isBeneath(bound: string | null, found: string | undefined): boolean {
  if (bound === null) return true;
  const above = bound === "/" ? "" : bound;
  if (found === undefined || !found.startsWith(above)) return false;
  const rest = found.slice(above.length);
  return rest === "" || (rest.startsWith("/") && !/^\/\.\.(\/|$)/.test(rest));
}
