import { haveOpenBao, openBaoPath } from "./openbao-binary.ts";
import { postgresBinaries } from "./postgres.ts";

/** Why the tests that need a real Vault cannot run here; undefined where they can. With MAYFLY_REQUIRE_SERVERS=1 the reporter fails on it. */
export function vaultMissing(): string | undefined {
  if (!haveOpenBao()) return `OpenBao is not at ${openBaoPath()}: run scripts/setup.sh --tests`;
  if (postgresBinaries() === undefined) return "PostgreSQL is not installed: run scripts/setup.sh --tests";
  return undefined;
}
