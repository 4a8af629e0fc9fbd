import type { Code } from "./errors.ts";
import type { RingName } from "./key-ring.ts";
import type { RotationAsk, RotationState } from "./lease/rotate.ts";
import type { LeaseRecord } from "./ledger/ledger.ts";
import type { Exit, JobStreams } from "./sandbox/sandbox.ts";
import type { Secret } from "./secret.ts";
import type { Duration, Instant } from "./time.ts";

/** The kernel's word on who is at the other end of the socket (SO_PEERCRED), never the peer's own. */
export interface Peer {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  /** Its control group, which tells one runner from another of the same user; undefined where it cannot be read for certain. */
  readonly cgroup: string | undefined;
}

/** How a run says who asks: a fresh identity token, or the handle of a session that one opened. */
export type Credentials =
  | { readonly kind: "token"; readonly token: Secret }
  | { readonly kind: "session"; readonly handle: Secret };

export interface RunAsk {
  readonly peer: Peer;
  readonly credentials: Credentials;
  readonly template: string | undefined;
  readonly step: string | undefined;
  readonly command: readonly string[];
  /** An absolute path on the host. */
  readonly workspace: string;
  /** The runner's environment; only names that the template lets pass are ever used. */
  readonly environment: Readonly<Record<string, string>>;
}

/** The job's streams, and word to the runner that its run stands, before the first byte of output. */
export interface Client extends JobStreams {
  /** `handle` is set where the run's token opened the session: for later runs of the same CI job. */
  accepted(run: {
    readonly run: string;
    readonly session: string;
    readonly handle: Secret | undefined;
    readonly template: string;
    readonly reason: string;
    /** The optional credentials that it goes on without, by their names. */
    readonly missing: readonly string[];
  }): void;
  /** Another identity token of the same CI job; `before` is when the run needs it. Rejects where the client has none. */
  freshToken(before: Instant): Promise<Secret>;
}

export interface RunResult {
  readonly run: string;
  readonly session: string;
  readonly exit: Exit;
  readonly leases: readonly LeaseOutcome[];
  /** A C2SP tlog-proof of the `run-ended` entry, the entry itself in its `extra` line. */
  readonly receipt: string;
}

/** `pending`: the provider did not answer within the local end's time; the sweeper goes on. */
export interface LeaseOutcome {
  readonly lease: string;
  readonly credential: string;
  readonly provider: string;
  readonly end: "revoked" | "pending" | "expires" | "exposed";
  readonly expiresAt: Instant | undefined;
}

export interface SessionStarted {
  readonly session: string;
  readonly handle: Secret;
  readonly until: Instant;
  readonly workload: string;
  readonly trust: string;
}

/** What a run would be granted. */
export interface ObserveAsk extends Pick<RunAsk, "peer" | "credentials" | "template" | "step" | "command"> {
  readonly signal: AbortSignal;
}

export interface Observed {
  readonly observation: string;
  readonly template: string;
  readonly step: string | undefined;
  readonly reason: string;
  readonly credentials: readonly { readonly name: string; readonly provider: string; readonly ttl: Duration }[];
  readonly network: readonly { readonly host: string; readonly port: number }[];
  /** Why the run itself would be refused with `sandbox-unmet` all the same; empty where nothing is known against it. */
  readonly unmet: readonly string[];
}

/** What the door offers. Every method rejects with a `BrokerError`, its refusal recorded. */
export interface Broker {
  run(ask: RunAsk, client: Client): Promise<RunResult>;
  observe(ask: ObserveAsk): Promise<Observed>;
  startSession(ask: { readonly peer: Peer; readonly token: Secret }): Promise<SessionStarted>;
  endSession(ask: { readonly peer: Peer; readonly handle: Secret }): Promise<void>;
  contain(ask: {
    readonly scope: string;
    readonly closed: boolean;
    readonly who: string;
    readonly why: string;
  }): Promise<{ readonly fence: number; readonly runsEnded: number; readonly leasesRevoked: number }>;
  /** Reads an issuer's keys again now, or those of all; what a responder does when an issuer has withdrawn a key. */
  refreshKeys(ask: {
    readonly issuer: string | undefined;
    readonly who: string;
    readonly why: string;
  }): Promise<readonly IssuerKeys[]>;
  /** Takes a new key of an issuer before its hold is over. */
  acceptKey(ask: { readonly issuer: string; readonly kid: string; readonly who: string; readonly why: string }): Promise<void>;
  /** The next signing key of the broker: made and published, or (`sign`) in use from now on. */
  rotateKey(ask: RotateKey): Promise<{ readonly signing: string; readonly published: readonly string[] }>;
  /** Has a provider replace what its upstream stores; all that it can where no name is given. */
  rotate(ask: RotationAsk): Promise<readonly RotationState[]>;
  revokeLease(ask: { readonly lease: string; readonly who: string; readonly why: string }): Promise<LeaseRecord>;
  status(): Promise<BrokerStatus>;
  /** Whom each issuer's tokens must be made for, so that a runner need not be told. */
  audiences(): readonly Audience[];
}

export interface RotateKey {
  readonly name: RingName;
  readonly sign: boolean;
  readonly leaked: boolean;
  readonly who: string;
  readonly why: string;
}

export interface Audience {
  /** The issuer's name in mayfly.yaml. */
  readonly issuer: string;
  /** The kind of CI system, such as `github`. */
  readonly preset: string;
  readonly audience: string;
}

/** One issuer's keys as they stand; `trouble` is why the last attempt to read them failed. */
export interface IssuerKeys {
  readonly issuer: string;
  readonly state: string;
  readonly kids: readonly string[];
  readonly held: readonly string[];
  readonly trouble: string | undefined;
}

export interface BrokerStatus {
  readonly version: string;
  readonly startedAt: Instant;
  readonly draining: boolean;
  readonly policy: { readonly digest: string; readonly templates: readonly string[] };
  readonly issuers: readonly string[];
  readonly providers: readonly { readonly name: string; readonly type: string }[];
  readonly sandboxes: { readonly runtime: string; readonly running: number; readonly capacity: number };
  readonly ledger: { readonly origin: string; readonly size: number; readonly verifierKey: string };
  readonly leases: { readonly live: number; readonly overdue: number };
  readonly trouble: readonly { readonly code: Code; readonly about: string }[];
  readonly rotations: readonly RotationState[];
}
