import { BrokerError } from "../../errors.ts";

type Refusal = readonly [message: string, hint: string];

/** SQLSTATEs (https://www.postgresql.org/docs/current/errcodes-appendix.html) that no waiting will heal. */
const refused: Readonly<Record<string, Refusal>> = {
  "28000": ["the shared store does not let this user in", "check `shared.postgres` in mayfly.yaml, and pg_hba.conf"],
  "28P01": [
    "the shared store does not let this user in with this password",
    "check `user` and `password_file` of `shared.postgres`",
  ],
  "3D000": ["the shared store has no such database", "check `shared.postgres.database` in mayfly.yaml"],
  "42501": [
    "the shared store does not allow this user to make its table",
    "as the owner of the database, run deploy/postgres.sql",
  ],
};

/** OpenSSL's and Node's names for a certificate that is not believed (https://nodejs.org/api/tls.html#x509-certificate-error-codes). */
const certificate =
  /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|ERR_TLS_CERT_|ERR_SSL_|ERR_OSSL_)/;

/** pg's own words, since it gives no code for it. */
const noTls = "The server does not support SSL connections";

export function unavailable(detail: string, cause?: unknown): BrokerError {
  return new BrokerError("store-unavailable", undefined, { detail, cause });
}

/**
 * `config-invalid` for what an operator must put right, `store-unavailable` for everything that may pass. PostgreSQL's own words go to the
 * operator's log only: they can name users, databases and the values of a row.
 */
export function asStoreError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = codeOf(error);
  const [why, hint] = refused[code] ?? tlsTrouble(code, message) ?? [];
  if (why !== undefined && hint !== undefined) return unfit(why, hint, error);
  return unavailable(code === "" ? message : `${code}: ${message}`, error);
}

function tlsTrouble(code: string, message: string): Refusal | undefined {
  if (certificate.test(code))
    return ["the shared store's certificate is not believed", "check `host` and `ca` of `shared.postgres` in mayfly.yaml"];
  return message === noTls ? ["the shared store does not speak TLS", "switch `ssl` on in postgresql.conf"] : undefined;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

export function unfit(message: string, hint: string, cause?: unknown): BrokerError {
  return new BrokerError("config-invalid", message, { hint, ...(cause === undefined ? {} : { cause }) });
}
