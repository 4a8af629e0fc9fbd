import type { Code } from "../errors.ts";
import type { Instant } from "../time.ts";

/**
 * Everything that is ever recorded. No field holds a secret; ids are ours and random. A lease moves
 *
 *     intent -> issued -> delivered -> revoked | expired | exposed
 *            -> failed
 *            -> unknown -> revoked | expired | failed
 *
 * (`issued` may also go straight to an end) and `ledger/states.ts` refuses any other move.
 */
export type Event =
  | { readonly kind: "started"; readonly version: string; readonly configuration: string; readonly host: string }
  /** Templates came into force; every later decision until the next such entry is by them. */
  | {
      readonly kind: "policy";
      readonly policy: string;
      /** Their names, as far as an entry holds them; the policy's stored text has them all. */
      readonly templates: readonly string[];
      readonly by: PolicyChange;
      /** SHA-256, hex, of the bundle that has the last word beside them; null where there is none, or a server has it. */
      readonly lastWord: string | null;
    }
  /** Templates that did not load, so that the old ones stayed: `first` is the first of so many problems, in our words. */
  | { readonly kind: "policy-refused"; readonly by: PolicyChange; readonly problems: number; readonly first: string }
  | (Recorded<"session-opened", IdentitySeen> & {
      readonly session: string;
      readonly token: string;
      readonly peer: PeerSeen;
      readonly until: Instant;
    })
  /** The CI job proved itself afresh: another token, the same workload and job. `run` is null where one was about to begin. */
  | {
      readonly kind: "identity-renewed";
      readonly session: string;
      readonly run: string | null;
      readonly token: string;
      readonly expiresAt: Instant;
    }
  | { readonly kind: "session-ended"; readonly session: string; readonly why: SessionEnd }
  | {
      readonly kind: "run-opened";
      readonly run: string;
      readonly session: string;
      readonly peer: PeerSeen;
      readonly template: string;
      readonly step: string | null;
      readonly policy: string;
      readonly reason: string;
      /** The template that the runner named; null where it left the choice to its identity. */
      readonly asked: string | null;
      readonly tolerated: readonly string[];
      /** The parts of the isolation that the template only observed for now. */
      readonly observed: readonly string[];
      /** The id of the site's last word on this run; null where the site has none. */
      readonly lastWord: string | null;
    }
  /** What a runner would have been granted; nothing was minted and nothing ran. */
  | (Recorded<"observed", Omit<IdentitySeen, "claims"> & Nullable<Pick<IdentitySeen, "claims">>> & {
      readonly observation: string;
      readonly peer: PeerSeen;
      readonly template: string;
      readonly step: string | null;
      readonly policy: string;
      readonly reason: string;
      readonly asked: string | null;
      readonly lastWord: string | null;
    })
  | (Recorded<"denied", Nullable<IdentitySeen>> & {
      readonly denial: string;
      readonly code: Code;
      readonly message: string;
      readonly peer: PeerSeen;
      readonly policy: string | null;
      readonly trace: unknown;
      /** What the runner named; null where it named none, or nothing was asked for yet. */
      readonly asked: string | null;
      readonly step: string | null;
      readonly lastWord: string | null;
    })
  | {
      readonly kind: "intent";
      readonly lease: string;
      readonly run: string;
      readonly credential: string;
      readonly provider: string;
      /** Who the provider is to its upstream; as `job`, the upstream alone enforces who may have the same. */
      readonly as: "broker" | "host" | "job";
      readonly options: unknown;
      /** Whether the run goes on without it where its provider is down. */
      readonly optional: boolean;
      readonly latestExpiry: Instant;
    }
  | {
      readonly kind: "issued";
      readonly lease: string;
      readonly ending: "revoke" | "expires" | "static";
      readonly handle: Readonly<Record<string, string>> | null;
      readonly expiresAt: Instant | null;
    }
  | { readonly kind: "failed"; readonly lease: string; readonly code: Code }
  | { readonly kind: "unknown"; readonly lease: string; readonly code: Code }
  | { readonly kind: "delivered"; readonly lease: string }
  | { readonly kind: "revoked"; readonly lease: string; readonly by: Revoker }
  | { readonly kind: "revocation-failed"; readonly lease: string; readonly code: Code; readonly attempt: number }
  | { readonly kind: "expired"; readonly lease: string }
  | { readonly kind: "exposed"; readonly lease: string; readonly why: string }
  | {
      readonly kind: "run-ended";
      readonly run: string;
      readonly outcome: RunOutcome;
      readonly exitCode: number | null;
      readonly code: Code | null;
      /** The most memory that the job had at one moment, in bytes; null where the host does not say. */
      readonly peakMemory: number | null;
    }
  | {
      readonly kind: "fence-raised";
      readonly scope: string;
      readonly fence: number;
      readonly closed: boolean;
      readonly who: string;
      readonly why: string;
    }
  | {
      readonly kind: "operated";
      readonly verb: "revoke-lease" | "reload" | "drain" | "refresh-keys" | "accept-key" | "rotate-key" | "rotate";
      /** The lease, the issuer, the issuer and its key, `rotation:PROVIDER/NAME`, a key of the broker, or `broker`. */
      readonly about: string;
      readonly who: string;
      readonly why: string;
    }
  /** A provider replaced what its upstream stores: its age counts from here. */
  | { readonly kind: "rotated"; readonly provider: string; readonly name: string }
  | { readonly kind: "rotation-failed"; readonly provider: string; readonly name: string; readonly code: Code }
  /** What an issuer signs with changed, or cannot be learnt: whoever adds a key there can forge every token. */
  | {
      readonly kind: "issuer-keys";
      readonly issuer: string;
      readonly change: KeysChange;
      /** Each key's id and its RFC 7638 thumbprint (SHA-256, base64url). */
      readonly keys: readonly { readonly kid: string; readonly thumbprint: string }[];
      /** In our words, never the issuer's. */
      readonly why: string | null;
    }
  | { readonly kind: "audit-read"; readonly peer: number; readonly what: string }
  | {
      readonly kind: "denials-counted";
      readonly peer: number;
      readonly count: number;
      readonly from: Instant;
      readonly to: Instant;
    }
  /** One host and port that a job reached for, and how often, told when its run ends. */
  | {
      readonly kind: "egress";
      readonly run: string;
      readonly host: string;
      readonly port: number;
      readonly connections: number;
      readonly allowed: boolean;
    };

type Recorded<Kind extends string, Fields> = { readonly kind: Kind } & Fields;
type Nullable<Fields> = { readonly [Name in keyof Fields]: Fields[Name] | null };

/** A believed identity, whole: with the policy's text it says why a request was decided as it was, and how another policy would decide. */
export interface IdentitySeen {
  readonly issuer: string;
  readonly subject: string;
  readonly workload: string;
  readonly job: string;
  readonly trust: string;
  readonly claims: Readonly<Record<string, string | number | boolean | readonly string[]>>;
}

/** `change`: the folder changed; `signal`: SIGHUP; `operator`: `mayfly reload`. */
export type PolicyChange = "start" | "change" | "signal" | "operator";

/** Who was at the other end of the socket, as the kernel said it; `cgroup` is null where it could not be read. */
export interface PeerSeen {
  readonly uid: number;
  readonly pid: number;
  readonly cgroup: string | null;
}

/**
 * `first`: the issuer's first set. `added`, `withdrawn`, `replaced` (the same kid, another key): against what was known. `refused`: a set
 * without a usable key, so the old one stays. `unreachable` after the second failure in a row, `reachable` when that is over.
 */
export type KeysChange = "first" | "added" | "withdrawn" | "replaced" | "refused" | "unreachable" | "reachable";

/** `stale`: its CI job was asked for a fresh token and had none, or another one's. One whose time is over has no entry: `until` says so. */
export type SessionEnd = "asked" | "stale" | "contained" | "unspent";
export type Revoker = "job-end" | "sweeper" | "responder";
export type RunOutcome = "exited" | "timeout" | "oom" | "cancelled" | "killed" | "refused" | "lost";

/** A line of the ledger: its place, its moment and what happened. Its canonical bytes are the Merkle leaf. */
export interface Entry {
  readonly v: 1;
  readonly index: number;
  readonly time: Instant;
  readonly event: Event;
}
