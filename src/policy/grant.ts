import type { Code } from "../errors.ts";
import type { Identity } from "../identity/identity.ts";
import type { Duration } from "../time.ts";

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
  readonly isolation: Isolation;
}

export type WorkspaceMode = "read-only" | "overlay" | "rw";

export interface GrantedCredential<Delivery> {
  readonly name: string;
  /** An entry of mayfly.yaml. */
  readonly provider: string;
  /** Parsed by that provider's schema, every slot filled. */
  readonly options: unknown;
  readonly ttl: Duration;
  readonly deliver: Delivery;
}

export interface Denial {
  readonly kind: "denied";
  readonly code: Code;
  /** For the caller: names the claim and the caller's own value, never the expected one. */
  readonly message: string;
  readonly policy: string;
  /** For those allowed to ask (`mayfly explain ID`): what each template said, expected values included. */
  readonly trace: readonly TemplateTrace[];
}

export interface TemplateTrace {
  readonly template: string;
  readonly matched: boolean;
  /** In the template's own order, up to and including the first that did not hold. */
  readonly lines: readonly {
    readonly line: string;
    readonly held: boolean;
    readonly expected: string;
    readonly found: string;
  }[];
}
