import type { Code } from "../errors.ts";
import type { Identity } from "../identity/identity.ts";
import type { Duration, Instant } from "../time.ts";
import type { Endpoint } from "./network.ts";

/**
 * The outcome of a decision. `Delivery` and `Isolation` are the parsed parts of the rooms that come later in the flow: policy
 * carries them from the template to the grant without knowing what is in them.
 */
export type Decision<Delivery, Isolation> = Grant<Delivery, Isolation> | Denial;

export interface Grant<Delivery, Isolation> {
  readonly kind: "granted";
  /** `deploy`, or `deploy/production` where `for_each` expanded it. */
  readonly template: string;
  /** SHA-256, hex, of the policy text that decided; the text is stored with the ledger under it. */
  readonly policy: string;
  /** Which step of the template this run is; undefined where the template has none. */
  readonly step: string | undefined;
  readonly reason: string;
  readonly identity: Identity;
  readonly credentials: readonly GrantedCredential<Delivery>[];
  /** The step's pinned command, else what the runner asked for. */
  readonly command: readonly string[];
  readonly workspace: WorkspaceMode;
  /** Whatever the run may reach; nothing else. */
  readonly network: readonly Endpoint[];
  readonly isolation: Isolation;
  /** What is only watched for now, and until when; undefined where all of it is enforced. */
  readonly observe: Observe | undefined;
}

export type WorkspaceMode = "read-only" | "overlay" | "rw";

/** The parts of the isolation that `observe` may loosen; never `who` and never a scope. */
export const observable = ["network", "limits"] as const;

export interface Observe {
  readonly parts: readonly (typeof observable)[number][];
  readonly until: Instant;
}

export interface GrantedCredential<Delivery> {
  readonly name: string;
  /** An entry of mayfly.yaml. */
  readonly provider: string;
  /** Parsed by that provider's schema, every slot filled. */
  readonly options: unknown;
  readonly ttl: Duration;
  readonly deliver: Delivery;
  /** How long the run waits for a provider that is down. */
  readonly wait: Duration;
  /** Whether the run goes on without it where its provider is still down then. */
  readonly optional: boolean;
  /** Its provider shows the job's own token upstream: whoever holds that token can have the same there without us. */
  readonly as?: "job";
}

/** How many templates a denial tells of: a denial is recorded, and a thousand templates are no record of one job. */
export const longestTrace = 20;

export interface Denial {
  readonly kind: "denied";
  readonly code: Code;
  /** For the caller: names the claim and the caller's own value, never the expected one. */
  readonly message: string;
  readonly policy: string;
  /**
   * For those allowed to ask (`mayfly explain ID`): what each template said that was asked for, or that names this identity's own ids;
   * expected values included. At most `longestTrace`; `mayfly explain` makes the others from the recorded request.
   */
  readonly trace: readonly TemplateTrace[];
}

export interface TemplateTrace {
  readonly template: string;
  readonly matched: boolean;
  /** In the template's own order, up to and including the first that did not hold. */
  readonly lines: readonly LineTrace[];
}

/** What became of one line of `who`, or of one entry of `when`. */
export interface LineTrace {
  /** `ref`, `not ref`, `absent ref`, `any` or `when`. */
  readonly line: string;
  readonly held: boolean;
  readonly expected: string;
  /** The identity's own value, or of an `any` where each alternative failed. */
  readonly found: string;
}
