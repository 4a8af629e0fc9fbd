import type { Duration, Instant } from "../time.ts";
import type { Entry, Event } from "./entry.ts";

/**
 * The append-only record, and the few facts that must change in the same transaction as it: spent tokens, sessions, fences and
 * the leases' states. Every promise below resolves only once its entries are durable (fsync returned), and rejects with
 * `ledger-unavailable` when that takes longer than the write deadline: a hung disk denies, it does not hang every job.
 */
export interface Ledger extends AsyncDisposable {
  /**
   * Appends all or nothing. Lease events also move the lease (`lease-unknown`, `lease-state`), `session-ended` and `run-ended` end
   * theirs. Openings, renewals, intents and fences have methods of their own and are refused here. The entries are those of the events, then a
   * `session-ended` for each token that these failures freed; a denial of a peer that floods us is counted, and gives none.
   */
  append(events: readonly Event[]): Promise<readonly Entry[]>;

  /** Spends the token and opens its session, or refuses with `fenced` or `token-spent`; a peer with a spent token learns nothing more. */
  openSession(opening: SessionOpening): Promise<SessionRecord>;
  /** By the digest of its handle. Undefined when there is none. */
  findSession(handleDigest: string): Promise<SessionRecord | undefined>;
  /** Whether this ledger knows the token as spent; a look that costs little, before `openSession`, `begin` or `renew` decides. */
  isSpent(tokenKey: string): Promise<boolean>;
  /** The tokens that are spent and have not been forgotten yet, in the order of their keys; what a store of several brokers is told. */
  spentTokens(query: SpentTokensQuery): Promise<readonly SpentToken[]>;

  /**
   * Step 3 of the flow, in one transaction: the session is opened (where the run brings a token) or checked to be alive, the
   * fences of all `scopes` are read, the run and its intents are written. Refuses with `token-spent`, `session-ended` or `fenced`.
   */
  begin(run: RunOpening): Promise<Begun>;
  /**
   * The job proved itself afresh: its token is spent under the session that it belongs to, which was proved now. A token that did so before is
   * neither an entry nor a newer proof, but no refusal: two runs may read it from one file, and whoever lost the answer asks again. Refuses
   * with `session-unknown`, with `session-ended` (the session, or this run of it; a run that stands may outlive `until`), with `fenced` as
   * `deliver` does, and with `token-spent`, the token that opened the session included.
   */
  renew(renewal: Renewal): Promise<SessionRecord>;
  /**
   * Step 6, in one transaction: the fences of all `scopes` are read and each lease becomes `delivered`, or nothing is, with `fenced`, where
   * one of them is closed or was raised above `fence`. Nothing may be handed over before it resolves.
   */
  deliver(delivery: DeliveryRecord): Promise<readonly Entry[]>;
  /** The highest fence over these scopes, and whether any of them is closed. */
  fence(scopes: readonly string[]): Promise<{ readonly fence: number; readonly closed: boolean }>;
  /**
   * Raises the fence of a scope and closes it to new work, or (`closed: false`) opens it again; always recorded. To close it also ends the
   * sessions that it reaches: who holds a stolen handle holds nothing once it is opened again.
   */
  raiseFence(raise: FenceRaise): Promise<number>;

  /** Every lease that has not reached its end, oldest first: what a restarted broker must look after. */
  openLeases(): Promise<readonly LeaseRecord[]>;
  /** Those of them whose next attempt has come, the longest waiting first, at most 500: however many live, a look at them stays cheap. */
  dueLeases(due: LeasesDue): Promise<readonly LeaseRecord[]>;
  /** Runs without a `run-ended` entry: after a restart these were cut short. */
  openRuns(): Promise<readonly string[]>;
  /** When `revocation-failed` is recorded, when to try again; the sweeper's memory, so that a restart keeps the back-off. */
  postpone(lease: string, until: Instant): Promise<void>;

  storePolicy(policy: { readonly digest: string; readonly text: string }): Promise<void>;
  policyText(digest: string): Promise<string | undefined>;

  entries(query: EntryQuery): Promise<readonly Entry[]>;
  leases(query: LeaseQuery): Promise<readonly LeaseRecord[]>;
  /** The exact bytes of each leaf, for a verifier that recomputes the tree; at most 5,000 at a time, as with every list here. */
  leaves(from: number, count: number): Promise<readonly Uint8Array[]>;
  /** The newest signed checkpoint: a C2SP signed note. */
  checkpoint(): Promise<string>;
  /** A C2SP tlog-proof of one entry under the newest checkpoint: the receipt. */
  receipt(index: number): Promise<string>;
  /** The ledger's verifier key as a C2SP vkey, its origin and its size. */
  status(): Promise<LedgerStatus>;
}

/** Whose token opened it, bound to whom, until when. */
export interface SessionRecord {
  readonly id: string;
  readonly peer: number;
  /** The runner it is bound to; null where it is bound to the user alone. */
  readonly cgroup: string | null;
  readonly until: Instant;
  /** When its job last proved itself: at its opening, and by each renewal since. */
  readonly provedAt: Instant;
  readonly ended: boolean;
  /** The identity as JSON: a later run is decided afresh with exactly this, never with more. */
  readonly identity: string;
}

export interface SessionOpening {
  readonly id: string;
  /** SHA-256, hex, of the handle: the ledger cannot open sessions. */
  readonly handleDigest: string;
  readonly peer: number;
  readonly cgroup: string | null;
  readonly until: Instant;
  readonly identity: string;
  /** Everything by which containment may reach it. */
  readonly scopes: readonly string[];
  readonly event: Extract<Event, { kind: "session-opened" }>;
  readonly token: TokenSpent;
}

/** Which token, as `Identity.token.key` names it. Kept until `forgetAfter`, when no clock would accept it any more. */
export interface TokenSpent {
  readonly key: string;
  readonly forgetAfter: Instant;
}

export interface SpentToken extends TokenSpent {
  readonly session: string;
}

export interface SpentTokensQuery {
  /** The key after which to begin; an empty one for the first page. */
  readonly after: string;
  readonly limit: number;
}

export interface RunOpening {
  readonly run: Extract<Event, { kind: "run-opened" }>;
  readonly session:
    | { readonly kind: "open"; readonly opening: SessionOpening }
    | { readonly kind: "within"; readonly id: string };
  readonly scopes: readonly string[];
  readonly intents: readonly Extract<Event, { kind: "intent" }>[];
}

export interface Renewal {
  readonly event: Extract<Event, { kind: "identity-renewed" }>;
  readonly token: TokenSpent;
  readonly scopes: readonly string[];
  /** The run's own, from `begin`, or what was read before it. */
  readonly fence: number;
}

export interface DeliveryRecord {
  readonly leases: readonly string[];
  readonly scopes: readonly string[];
  /** The run's own, from `begin`. */
  readonly fence: number;
}

export interface FenceRaise {
  readonly scope: string;
  readonly closed: boolean;
  readonly who: string;
  readonly why: string;
}

export interface Begun {
  readonly session: SessionRecord;
  /** What every later `fence` of this run is compared with. */
  readonly fence: number;
  readonly entries: readonly Entry[];
}

export interface LeasesDue {
  readonly by: Instant;
  /** An attempt that lies further ahead was set by a clock that has gone back since, so it is due too; a plain expiry is not. */
  readonly longestPause: Duration;
}

export type LeaseState = "intent" | "issued" | "failed" | "unknown" | "delivered" | "revoked" | "expired" | "exposed";

export interface LeaseRecord {
  readonly lease: string;
  readonly run: string;
  readonly session: string;
  readonly template: string;
  readonly workload: string;
  readonly credential: string;
  readonly provider: string;
  readonly as: "broker" | "host" | "job";
  readonly options: unknown;
  readonly state: LeaseState;
  readonly ending: "revoke" | "expires" | "static" | null;
  readonly handle: Readonly<Record<string, string>> | null;
  readonly openedAt: Instant;
  /** When it became `unknown`; null where it never was. */
  readonly unknownAt: Instant | null;
  readonly expiresAt: Instant | null;
  readonly latestExpiry: Instant;
  readonly attempts: number;
  readonly nextAttempt: Instant;
}

export interface EntryQuery {
  /** The index to begin at; it goes down from there when the newest come first. */
  readonly from?: number;
  readonly limit: number;
  readonly newestFirst?: boolean;
  readonly kinds?: readonly Event["kind"][];
  /** Entries of this session, run, lease, denial, workload, fence's scope, `issuer:NAME` or `rotation:PROVIDER/NAME`, and of whatever it brought about. */
  readonly about?: string;
}

export interface LeaseQuery {
  readonly state?: LeaseState | "live";
  readonly workload?: string;
  readonly limit: number;
}

export interface LedgerStatus {
  readonly origin: string;
  readonly verifierKey: string;
  readonly size: number;
  readonly sqlite: string;
}
