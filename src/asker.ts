import type { Credentials, Peer } from "./contract.ts";
import { BrokerError } from "./errors.ts";
import type { House } from "./house.ts";
import { newId } from "./id.ts";
import type { Identity } from "./identity/identity.ts";
import { digestOf, newHandle, parseIdentity, serialiseIdentity } from "./identity/session.ts";
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
const forgetTokensAfter: Duration = 10 * 60_000;

/** Step 1: the token is verified, or the session's handle is looked up; nothing is spent yet. */
export async function identify(house: House, credentials: Credentials, peer: Peer, signal: AbortSignal): Promise<Asker> {
  if (credentials.kind === "session") return within(house, credentials.handle, peer);
  return opens(house, await house.verifier.verify(credentials.token, signal), peer);
}

/** The session that this identity's token would open, for this user of the host only. */
export function opens(house: House, identity: Identity, peer: Peer): Opener {
  const handle = newHandle(house.random);
  const id = newId("session", house.random);
  const until = house.clock.now() + house.longestSession;
  const { issuer, subject, workload, job, trust, token } = identity;
  const opening: SessionOpening = {
    id,
    handleDigest: digestOf(handle),
    peer: peer.uid,
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
      peer: peer.uid,
      until,
    },
  };
  return { kind: "opens", identity, opening, handle };
}

/** A handle is useless to every other user of the host: another uid learns only that it is not its session. */
export async function within(house: House, handle: Secret, peer: Peer): Promise<Extract<Asker, { kind: "within" }>> {
  const session = await house.ledger.findSession(digestOf(handle));
  if (session === undefined) throw new BrokerError("session-unknown");
  if (session.peer !== peer.uid) throw new BrokerError("session-peer");
  if (session.ended || session.until <= house.clock.now()) throw new BrokerError("session-ended");
  return { kind: "within", identity: parseIdentity(session.identity), session: session.id };
}
