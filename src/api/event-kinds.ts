import type { Event } from "../ledger/entry.ts";

/** Total, so that a new kind of entry does not compile until it can be asked for. */
const kinds: Readonly<Record<Event["kind"], true>> = {
  started: true,
  policy: true,
  "policy-refused": true,
  "session-opened": true,
  "session-ended": true,
  "run-opened": true,
  observed: true,
  denied: true,
  intent: true,
  issued: true,
  failed: true,
  unknown: true,
  delivered: true,
  revoked: true,
  "revocation-failed": true,
  expired: true,
  exposed: true,
  "run-ended": true,
  egress: true,
  "fence-raised": true,
  operated: true,
  "identity-renewed": true,
  rotated: true,
  "rotation-failed": true,
  "issuer-keys": true,
  "audit-read": true,
  "denials-counted": true,
};

export const eventKinds: readonly string[] = Object.keys(kinds);

export function isEventKind(text: string): text is Event["kind"] {
  return Object.hasOwn(kinds, text);
}
