import type { BrokerError } from "../errors.ts";
import type { Instant } from "../time.ts";
import type { SpentToken } from "./ledger.ts";

/**
 * What brokers must agree on: which identity tokens are spent. Opened for one broker, under the origin of its ledger; it knows no token but
 * by the SHA-256 of its key. A claim is one broker's word that it is about to open a session with a token; it stands until that broker, or
 * time, takes it away. While it stands, nobody else's claim to that token does.
 *
 * Each call rejects with `store-unavailable` within 2 s when the store does not answer; whether it was done is then not known. Calls of one
 * broker are done in the order in which they were made. All may be made again: what is done already is done.
 */
export interface SpentTokens extends AsyncDisposable {
  /** Rises whenever the way to the store was lost and found: what was said before may be lost, or done late. */
  readonly generation: number;
  /** Why no token can be claimed at the moment. */
  readonly trouble: BrokerError | undefined;
  /** Durable when it resolves, for exactly one of all that claim a token at once. Refuses the others with `token-spent`. */
  claim(token: SpentToken): Promise<void>;
  /** These tokens are in this broker's ledger: their claims now outlive it. What had not been claimed is claimed by this. */
  confirm(tokens: readonly SpentToken[]): Promise<void>;
  /** This claim came to nothing and was never confirmed: the token is free. */
  withdraw(token: SpentToken): Promise<void>;
  /** These sessions of this broker came to nothing: all their tokens are free. */
  release(sessions: readonly string[]): Promise<void>;
  /** Frees what this broker ever claimed and did not confirm, but for these sessions. Nobody else's claim is touched, whatever became of them. */
  releaseUnconfirmed(but: readonly string[]): Promise<void>;
  /** Removes what both clocks, the store's and this one, have called over for a day. */
  forget(now: Instant): Promise<void>;
}
