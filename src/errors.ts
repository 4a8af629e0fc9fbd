/**
 * The closed list of what can go wrong.
 *
 * A `BrokerError` speaks twice: `message` and `hint` may cross a socket, so they never hold a secret, a claim's expected
 * value or an upstream's own words; `detail` and `cause` are for the operator's log. A code is never reused or renamed:
 * runners and dashboards act on it. How a code maps to a wire status and an exit code is `api/codes.ts`.
 */
export const codes = {
  // who is asking
  "token-missing": "no identity token was found",
  "token-malformed": "the identity token is not a well-formed signed JWT",
  "token-signature": "the identity token's signature does not verify",
  "token-issuer": "the identity token comes from an issuer that is not configured",
  "token-audience": "the identity token was not made for this broker",
  "token-expired": "the identity token has expired",
  "token-not-yet-valid": "the identity token is not valid yet",
  "token-lifetime": "the identity token lives longer, or is older, than its issuer's profile allows",
  "token-claim": "the identity token lacks a claim that its issuer's profile requires",
  "token-spent": "the identity token has already opened a session",
  "token-other-job": "the fresh identity token is not of the job that asked first",
  "token-stale": "the job did not prove itself afresh in time",
  "issuer-unavailable": "the issuer's keys cannot be read at the moment",
  "key-held": "the token is signed with a new key of its issuer, which is not accepted yet",
  "session-unknown": "no open session has this handle",
  "session-ended": "the session has ended",
  "session-peer": "the session belongs to another user or runner of this host",
  // what may they have
  "template-unknown": "no template has this name",
  "step-unknown": "the template has no step of this name",
  "step-required": "the template has steps, and none was named",
  "step-command": "the template pins another command for this step",
  "no-match": "no template is meant for this identity",
  "claim-mismatch": "a claim of this identity does not match the template",
  ambiguous: "more than one template is meant for this identity",
  "slot-unfillable": "a claim's value cannot be put into the template safely",
  "outside-hours": "the template cannot be used at this time",
  overruled: "the site's last word refused what a template grants",
  "last-word-unavailable": "the site's last word could not be had, so the answer is no",
  "policy-invalid": "the templates do not load",
  fenced: "access of this workload was contained",
  // bring it into being
  "provider-unknown": "the template names a provider that is not configured",
  "provider-refused": "the provider refused to issue the credential",
  "provider-unavailable": "the provider cannot be reached at the moment",
  "provider-broken-promise": "the provider gave more than was asked for, so the credential was ended",
  "lease-unknown": "no lease has this id",
  "lease-state": "the lease is in a state from which this cannot happen",
  // run the job
  "workspace-outside": "the workspace lies outside the configured roots",
  "workspace-symlink": "the path to the workspace goes through a symbolic link",
  "workspace-owner": "the workspace does not belong to the user who asks",
  "workspace-missing": "the workspace does not exist",
  "command-not-found": "the command does not exist inside the sandbox",
  "sandbox-unmet": "this host cannot give the isolation that the template requires",
  "sandbox-failed": "the sandbox could not be made",
  "delivery-failed": "the credentials could not be placed into the sandbox",
  timeout: "the job ran longer than its template allows",
  cancelled: "the client went away, so the job was ended",
  busy: "the host runs as many jobs as it may",
  // write it down
  "ledger-unavailable": "the ledger cannot be written, so nothing is issued",
  "store-unavailable": "the store that brokers share cannot be reached, so no token is accepted",
  "ledger-corrupt": "the ledger does not verify",
  "entry-unknown": "the ledger has no such entry",
  // the door
  usage: "the command line or request is not understood",
  "config-invalid": "the configuration does not load",
  "environment-unfit": "this machine lacks something that Mayfly needs",
  "socket-in-use": "another broker already listens on this socket",
  "broker-unreachable": "no broker answers on the socket",
  "not-allowed": "this socket does not offer that call",
  "peer-not-allowed": "this socket is not for this user",
  draining: "the broker is shutting down and takes no new work",
  internal: "an internal error; the broker's log has the detail under this id",
} as const;

export type Code = keyof typeof codes;

export interface ErrorParts {
  /** What to do about it; safe to show to the caller. */
  readonly hint?: string;
  /** For the operator's log only. */
  readonly detail?: string;
  /** A denial's id, which `mayfly explain` expands for those who may see more. */
  readonly id?: string;
  readonly cause?: unknown;
}

export class BrokerError extends Error {
  override readonly name = "BrokerError";
  readonly code: Code;
  readonly hint: string | undefined;
  readonly detail: string | undefined;
  readonly id: string | undefined;

  /** `message` defaults to the code's own sentence; lower case, no full stop. */
  constructor(code: Code, message?: string, parts: ErrorParts = {}) {
    super(message ?? codes[code], "cause" in parts ? { cause: parts.cause } : undefined);
    this.code = code;
    this.hint = parts.hint;
    this.detail = parts.detail;
    this.id = parts.id;
  }
}

/** Any thrown value as a `BrokerError`; what we did not foresee becomes `internal`, its text kept from the caller. */
export function asBrokerError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new BrokerError("internal", undefined, { detail, cause: error });
}

export function isCode(text: string): text is Code {
  return Object.hasOwn(codes, text);
}
