import { Code as Status } from "@connectrpc/connect";
import type { Code } from "../errors.ts";

/** Mayfly's own exit codes; what a job exits with is passed through, and `--result FILE` tells the two apart. */
export const exits = {
  /** The identity may not have this; asking again changes nothing. */
  denied: 120,
  /** Something upstream is down; nothing was spent, so try again later. */
  upstream: 121,
  /** The job could not be isolated, or its workspace not be used. */
  sandbox: 122,
  /** The job was ended before it was done. */
  ended: 123,
  /** The command line, a template or the configuration is wrong. */
  usage: 124,
  /** The host is full or shutting down; try again, or elsewhere. */
  busy: 125,
  /** No broker answers, or it cannot do its work: an operator must look. */
  broker: 126,
  /** As a shell says it. */
  notFound: 127,
} as const;

export type Exit = keyof typeof exits;

/** What a failure looks like outside: the protocol's status, and the exit code of `mayfly`. */
export interface Outside {
  readonly status: Status;
  readonly exit: Exit;
}

const bad: Outside = { status: Status.Unauthenticated, exit: "denied" };
const denied: Outside = { status: Status.PermissionDenied, exit: "denied" };
const unmet: Outside = { status: Status.FailedPrecondition, exit: "sandbox" };
const wrong: Outside = { status: Status.InvalidArgument, exit: "usage" };
const absent: Outside = { status: Status.NotFound, exit: "usage" };
const later: Outside = { status: Status.Unavailable, exit: "upstream" };
const broken: Outside = { status: Status.Internal, exit: "broker" };

/** Total, so that a new code does not compile until somebody has decided what it looks like. */
export const outside: Readonly<Record<Code, Outside>> = {
  "token-missing": bad,
  "token-malformed": bad,
  "token-signature": bad,
  "token-issuer": bad,
  "token-audience": bad,
  "token-expired": bad,
  "token-not-yet-valid": bad,
  "token-lifetime": bad,
  "token-claim": bad,
  "token-spent": bad,
  "token-other-job": denied,
  "token-stale": { status: Status.DeadlineExceeded, exit: "ended" },
  "issuer-unavailable": later,
  "key-held": later,
  "session-unknown": bad,
  "session-ended": bad,
  "session-peer": denied,
  "template-unknown": { status: Status.NotFound, exit: "denied" },
  "step-unknown": { status: Status.NotFound, exit: "denied" },
  "step-required": { status: Status.InvalidArgument, exit: "denied" },
  "step-command": denied,
  "no-match": denied,
  "claim-mismatch": denied,
  ambiguous: { status: Status.FailedPrecondition, exit: "denied" },
  "slot-unfillable": denied,
  "outside-hours": denied,
  overruled: denied,
  "last-word-unavailable": later,
  "policy-invalid": { status: Status.FailedPrecondition, exit: "usage" },
  fenced: denied,
  "provider-unknown": { status: Status.FailedPrecondition, exit: "usage" },
  "provider-refused": denied,
  "provider-unavailable": later,
  "provider-broken-promise": broken,
  "lease-unknown": absent,
  "lease-state": { status: Status.FailedPrecondition, exit: "usage" },
  "workspace-outside": unmet,
  "workspace-symlink": unmet,
  "workspace-owner": unmet,
  "workspace-missing": unmet,
  "command-not-found": { status: Status.NotFound, exit: "notFound" },
  "sandbox-unmet": unmet,
  "sandbox-failed": { status: Status.Internal, exit: "sandbox" },
  "delivery-failed": { status: Status.Internal, exit: "sandbox" },
  timeout: { status: Status.DeadlineExceeded, exit: "ended" },
  cancelled: { status: Status.Canceled, exit: "ended" },
  busy: { status: Status.ResourceExhausted, exit: "busy" },
  "ledger-unavailable": { status: Status.Unavailable, exit: "broker" },
  "store-unavailable": { status: Status.Unavailable, exit: "broker" },
  "ledger-corrupt": { status: Status.DataLoss, exit: "broker" },
  "entry-unknown": absent,
  usage: wrong,
  "config-invalid": { status: Status.FailedPrecondition, exit: "usage" },
  "environment-unfit": { status: Status.FailedPrecondition, exit: "sandbox" },
  "socket-in-use": { status: Status.AlreadyExists, exit: "broker" },
  "broker-unreachable": { status: Status.Unavailable, exit: "broker" },
  "not-allowed": denied,
  "peer-not-allowed": denied,
  draining: { status: Status.Unavailable, exit: "busy" },
  internal: broken,
};

export function exitOf(code: Code): number {
  return exits[outside[code].exit];
}
