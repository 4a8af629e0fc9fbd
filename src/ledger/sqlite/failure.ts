import { inspect } from "node:util";
import { BrokerError } from "../../errors.ts";

/** SQLite's primary result codes (https://www.sqlite.org/rescode.html) that mean something to us. */
const logic = 1;
const busy = 5;
const corrupt = 11;
const constraint = 19;
const notADatabase = 26;

function resultCode(error: unknown): number | undefined {
  const extended = error instanceof Error && "errcode" in error ? error.errcode : undefined;
  return typeof extended === "number" ? extended & 0xff : undefined;
}

/**
 * Whether SQLite or the disk failed the whole transaction. What is not is the request's own fault (a refusal, an id used
 * twice) and costs the others nothing.
 */
export function isFatal(error: unknown): boolean {
  const code = resultCode(error);
  return code !== undefined && code !== constraint;
}

/** What SQLite or the disk threw, as what a caller of the ledger is promised. */
export function asLedgerError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const parts = { detail: inspect(error), cause: error };
  const code = resultCode(error);
  if (code === undefined) return new BrokerError(isSystemError(error) ? "ledger-unavailable" : "internal", undefined, parts);
  switch (code) {
    case busy:
      return new BrokerError("ledger-unavailable", "another broker has the ledger open", {
        ...parts,
        hint: "stop it, or give this one a state folder of its own",
      });
    case logic:
      return new BrokerError("ledger-corrupt", "the ledger's file lacks a ledger's tables", parts);
    case corrupt:
    case notADatabase:
      return new BrokerError("ledger-corrupt", "the ledger's file is damaged", parts);
    case constraint:
      return new BrokerError("internal", undefined, parts);
    default:
      return new BrokerError("ledger-unavailable", undefined, parts);
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}
