import { BrokerError } from "../../src/errors.ts";

/** What to do about the usual ones, by SQLSTATE (PostgreSQL, appendix A). */
const hints: Readonly<Record<string, string>> = {
  "28P01": "the login's password is wrong: was it changed without the broker?",
  "28000": "pg_hba.conf lets this login in from here neither with a password nor with this certificate",
  "3D000": "there is no such database: check `database` of this provider in mayfly.yaml",
  "42501": "the login lacks a right: docs/providers/postgres.md lists what it needs",
  "42704": "a role that the template names does not exist: create it, or mend the template",
  "25006": "this server is a standby: name the primary in mayfly.yaml",
  "53300": "the server has no connection left: raise max_connections, or give fewer jobs sessions",
  "57P03": "the server starts or stops: it is asked again",
  "55P03": "somebody holds a lock on what is to be changed: look at pg_locks",
  "2BP01": "something still depends on the job's role: the detail in the broker's log names it",
  CERT_HAS_EXPIRED: "the server's certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is made out to another name than `host`",
  SELF_SIGNED_CERT_IN_CHAIN: "name the server's authority with `ca` in mayfly.yaml",
  DEPTH_ZERO_SELF_SIGNED_CERT: "name the server's certificate with `ca` in mayfly.yaml",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "name the server's authority with `ca` in mayfly.yaml",
};

/** What passes by itself: no resources, a standby, a lock, a shutdown, a fault inside, no connection; a race of two (40). */
const passing = /^(?:08|25006|40|53|55|57|58|XX)/;

/** Where nothing happened: whether it is worth asking again. The server's words are for the operator alone. */
export function certain(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const state = codeOf(error);
  const hint = state === undefined ? undefined : hints[state];
  const parts = { detail: wordsOf(error), ...(hint === undefined ? {} : { hint }) };
  const said = saidByServer(error) && !passing.test(state ?? "");
  return new BrokerError(said ? "provider-refused" : "provider-unavailable", undefined, parts);
}

/** Where something may have happened. pg's own error is not kept: it holds what it was told of the query. */
export function uncertain(error: unknown): BrokerError {
  const told = error instanceof BrokerError ? error : certain(error);
  return new BrokerError("internal", "postgres did not say whether it did what it was asked", {
    ...(told.detail === undefined ? {} : { detail: told.detail }),
    ...(told.hint === undefined ? {} : { hint: told.hint }),
  });
}

/** Said before anything was asked, so all of it may be asked again with another password. */
export function isWrongPassword(error: unknown): boolean {
  return (
    error instanceof BrokerError && error.code === "provider-refused" && error.detail?.startsWith("postgres: 28P01") === true
  );
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Node's own errors have codes too, some of five letters. */
function saidByServer(error: unknown): boolean {
  return error instanceof Error && "severity" in error;
}

/** A verifier is no password, but it is nobody's business either. */
function wordsOf(error: unknown): string {
  const code = codeOf(error);
  const text = error instanceof Error ? error.message : "an unknown error";
  const clean = text.replaceAll(/SCRAM-SHA-256\$\S*/g, "[verifier]").slice(0, 500);
  return `postgres: ${code === undefined ? "" : `${code}: `}${clean}`;
}
