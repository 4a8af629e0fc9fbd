import type { Credentials, Peer } from "./contract.ts";
import { BrokerError } from "./errors.ts";
import type { House } from "./house.ts";
import { newId } from "./id.ts";
import type { Identity } from "./identity/identity.ts";
import { digestOf, newHandle, parseIdentity, serialiseIdentity } from "./identity/session.ts";
import type { IdentitySeen, PeerSeen } from "./ledger/entry.ts";
import type { SessionOpening } from "./ledger/ledger.ts";
import type { Secret } from "./secret.ts";
import type { Duration, Instant } from "./time.ts";

/** Who asks: a believed identity, and the session that its token would open or that it already stands in. */
export type Asker = Opener | Insider;

export interface Insider {
  readonly kind: "within";
  readonly identity: Identity;
  readonly session: string;
  /** When the session's job last proved itself. */
  readonly provedAt: Instant;
}

export interface Opener {
  readonly kind: "opens";
  readonly identity: Identity;
  readonly opening: SessionOpening;
  /** Undefined where the session cannot be bound to the runner that it should be bound to: then nobody can come back to it. */
  readonly handle: Secret | undefined;
}

/** The session that it stands in, or would open. */
export function sessionOf(asker: Asker): string {
  return asker.kind === "opens" ? asker.opening.id : asker.session;
}

/** A token cannot be presented again this long after its expiry, however far apart two clocks are. */
export const forgetTokensAfter: Duration = 10 * 60_000;

/** Step 1: the token is verified, or the session's handle is looked up; nothing is spent yet. */
export async function identify(house: House, credentials: Credentials, peer: Peer, signal: AbortSignal): Promise<Asker> {
  if (credentials.kind === "session") return within(house, credentials.handle, peer);
  return opens(house, await house.verifier.verify(credentials.token, signal), peer);
}

/**
 * The session that this identity's token would open, for this runner of the host only. A runner whose control group cannot be read is not
 * told from its neighbours, so the handle is thrown away unseen: the token is good for one run.
 */
export function opens(house: House, identity: Identity, peer: Peer): Opener {
  const handle = newHandle(house.random);
  const id = newId("session", house.random);
  const until = house.clock.now() + house.longestSession;
  const { token } = identity;
  const cgroup = house.boundTo === "runner" ? peer.cgroup : null;
  const opening: SessionOpening = {
    id,
    handleDigest: digestOf(handle),
    peer: peer.uid,
    cgroup: cgroup ?? null,
    until,
    identity: serialiseIdentity(identity),
    scopes: scopesOf(identity, id),
    token: { key: token.key, forgetAfter: token.expiresAt + forgetTokensAfter },
    event: {
      kind: "session-opened",
      ...identitySeen(identity),
      session: id,
      token: token.key,
      peer: seen(peer),
      until,
    },
  };
  return { kind: "opens", identity, opening, handle: cgroup === undefined ? undefined : handle };
}

/** For providers that show the job's own token, in later runs of its session too; kept only where there is one. */
export function keepToken({ minting }: House, credentials: Credentials, { identity, opening }: Opener): void {
  if (credentials.kind !== "token") return;
  const { id: session, scopes, until } = opening;
  const { token } = credentials;
  minting.jobTokens.keep({ session, scopes, token, until: Math.min(until, identity.token.expiresAt) });
}

/** Everything by which containment may reach a session. */
export function scopesOf(identity: Identity, session: string): readonly string[] {
  const { issuer, workload, job } = identity;
  return ["all", `issuer:${issuer}`, `workload:${workload}`, `job:${job}`, `session:${session}`];
}

/**
 * How long until a session's job must prove itself again; undefined where its issuer asks for no proof. A clock that was set back buys
 * nobody more than one whole span.
 */
export function dueIn({ verifier, clock }: House, issuer: string, provedAt: Instant): Duration | undefined {
  const fresh = verifier.freshAfter(issuer);
  return fresh === undefined ? undefined : Math.max(0, Math.min(fresh, provedAt + fresh - clock.now()));
}

/** As the ledger keeps it; a fraction by its text, since no two languages spell one alike. No template tells the two apart. */
export function identitySeen({ issuer, subject, workload, job, trust, claims }: Identity): IdentitySeen {
  const kept = Object.entries(claims).map(([name, value]) => [name, isFraction(value) ? String(value) : value] as const);
  return { issuer, subject, workload, job, trust, claims: Object.fromEntries(kept) };
}

function isFraction(value: Identity["claims"][string]): value is number {
  return typeof value === "number" && !Number.isSafeInteger(value);
}

/** As the ledger keeps it. */
export function seen({ uid, pid, cgroup }: Peer): PeerSeen {
  return { uid, pid, cgroup: cgroup ?? null };
}

/** A handle is useless to every other user of the host, and to every other runner of the same user: they learn only that it is not theirs. */
export async function within(house: House, handle: Secret, peer: Peer): Promise<Insider> {
  const session = await house.ledger.findSession(digestOf(handle));
  if (session === undefined) throw new BrokerError("session-unknown");
  if (session.peer !== peer.uid || !isBeneath(session.cgroup, peer.cgroup)) throw new BrokerError("session-peer");
  if (session.ended || session.until <= house.clock.now()) throw new BrokerError("session-ended");
  const { id, provedAt } = session;
  return { kind: "within", identity: parseIdentity(session.identity), session: id, provedAt };
}

/**
 * Whether a peer is in the control group that a session is bound to, or beneath it, where a runner puts its jobs. A group that cannot be
 * read is in none. The kernel writes `/..` for each level above this broker's own namespace, so a path may begin like another and yet lie above it.
 */
export function isBeneath(bound: string | null, found: string | undefined): boolean {
  if (bound === null) return true;
  if (found === undefined || !found.startsWith(bound)) return false;
  const rest = found.slice(bound.length);
  return rest === "" || (rest.startsWith("/") && !/^\/\.\.(\/|$)/.test(rest));
}
