import type { Identity, Trust } from "../identity/identity.ts";
import type { Duration } from "../time.ts";
import type { Observe, WorkspaceMode } from "./grant.ts";
import type { Hours } from "./hours.ts";
import type { Endpoint } from "./network.ts";
import type { WhoLine } from "./who.ts";

/** Every template, read once. What decides a run is all of it together, named by its digest. */
export interface Policy<Delivery, Isolation> {
  /** SHA-256, hex, of `text`. */
  readonly digest: string;
  /**
   * Every file that decides (templates, bounds, network sets; no tests), each behind its name and length, in the order of the names; stored,
   * so that "who could have" stays answerable.
   */
  readonly text: string;
  /** By name, in the order of the names: order never decides. Only those that give something: without `who` there is nobody to give to. */
  readonly templates: ReadonlyMap<string, Template<Delivery, Isolation>>;
  /**
   * Those that could match: every template that matches is among them, and most that name other ids are not. In the order of the names. With
   * it a decision among a thousand templates costs as much as one among a few.
   */
  candidates(identity: Identity): readonly Template<Delivery, Isolation>[];
}

/** One template in its final form: `extends`, `for_each`, network sets and the bounds above it are resolved. */
export interface Template<Delivery, Isolation> {
  /** `deploy`, or `deploy/production` where `for_each` expanded it. */
  readonly name: string;
  /** Where it stands, beneath the folder of templates. */
  readonly file: string;
  readonly owner: string | undefined;
  /** Every line must hold; those of its base and of its folder's bounds are among them. */
  readonly who: readonly WhoLine[];
  /** Every one must hold when a run begins. */
  readonly when: readonly Hours[];
  readonly credentials: ReadonlyMap<string, TemplateCredential<Delivery>>;
  /** Empty where the template has no steps, and each run gets every credential. */
  readonly steps: ReadonlyMap<string, Step>;
  /** What a run may reach where the template has no steps. */
  readonly network: readonly Endpoint[];
  readonly isolation: IsolationByTrust<Isolation>;
  readonly observe: Observe | undefined;
  /**
   * The same isolation while its limits are only observed, but for the jobs that `by_trust` names; undefined where `observe` never loosens
   * them.
   */
  readonly unlimited: IsolationByTrust<Isolation> | undefined;
  /** The risks that its author took, by the rule's name, each with the reason. */
  readonly accepts: Readonly<Record<string, string>>;
  /** Its final form as an author could have written it: what `mayfly explain --expand` prints. */
  readonly expanded: Readonly<Record<string, unknown>>;
}

/** `sandbox`, and what its `by_trust` changes for a job of that trust. */
export interface IsolationByTrust<Isolation> {
  readonly base: Isolation;
  readonly byTrust: ReadonlyMap<Trust, Isolation>;
}

export interface TemplateCredential<Delivery> {
  readonly name: string;
  readonly provider: string;
  /** Parsed by the provider's schema; its slots are not filled yet. */
  readonly options: unknown;
  readonly ttl: Duration;
  readonly deliver: Delivery;
  readonly wait: Duration;
  readonly optional: boolean;
  /** As a grant has it. */
  readonly as?: "job";
}

export interface Step {
  readonly name: string;
  /** Pinned: a runner may ask for exactly this command, or for none. */
  readonly run: readonly string[] | undefined;
  readonly credentials: readonly string[];
  readonly network: readonly Endpoint[];
  readonly workspace: WorkspaceMode;
}
