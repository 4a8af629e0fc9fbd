import type { z } from "zod";
import type { MaterialKind } from "../material.ts";
import type { Duration, Instant } from "../time.ts";

/** The parts of a template that are other rooms' words, handed in by whoever knows them all. */
export interface Rooms<Delivery, Isolation> {
  /** By their names in mayfly.yaml. */
  readonly providers: ReadonlyMap<string, ProviderRoom>;
  readonly delivery: z.ZodType<Delivery>;
  readonly isolation: IsolationRoom<Isolation>;
  /** Why this kind of material cannot be delivered so; undefined where it can. */
  deliverable?(delivery: Delivery, kind: MaterialKind): string | undefined;
  /** The issuers of mayfly.yaml: a template that names another would never match. */
  readonly issuers?: ReadonlyMap<string, IssuerRoom>;
  /** When somebody checks templates; undefined where a broker loads them, which must not depend on the day. */
  readonly now?: Instant;
}

/** What policy needs to know of a provider. */
export interface ProviderRoom {
  /** Its `type` in mayfly.yaml. */
  readonly type: string;
  /** As whom it proves itself upstream: the broker, this host, or the job itself; the broker where it does not say. */
  readonly as?: "broker" | "host" | "job";
  readonly options: z.ZodType;
  gives(options: unknown): MaterialKind;
  readonly maxTtl?: Duration;
  /** How what it gives for these options ends: by revocation, by its expiry alone, or never (a stored value). */
  ends(options: unknown): "revoke" | "expires" | "static";
  /** Where its credentials are used, as `host:port`: what `credentials` in a network list stands for. */
  readonly endpoints: readonly string[];
}

/** What policy needs to know of the sandbox. */
export interface IsolationRoom<Isolation> {
  /** Reads the template's `sandbox`, with its `tolerate` put in. */
  readonly schema: z.ZodType<Isolation>;
  /** Reads the `sandbox` of a `bounds.yaml`, with its `tolerate` put in. */
  readonly bounds: z.ZodType<IsolationBounds<Isolation>>;
  /** In what `inner` has more than `outer`; empty where it stays within. */
  exceeds(inner: Isolation, outer: Isolation): readonly Excess[];
  /** The same with every limit as high as this host allows: limits that are only observed. */
  unlimited(isolation: Isolation): Isolation;
  /** In a template's own words, what it left out too: read by `schema` beside its `tolerate`, it is the same again. */
  written(isolation: Isolation): Readonly<Record<string, unknown>>;
  /** What the rules of `lint/` look at. */
  facts(isolation: Isolation): IsolationFacts;
  /** What templates may ask for and no run is given yet, and why: such a run is refused with `sandbox-unmet`. */
  readonly lacks: { readonly image?: string; readonly network?: string };
}

export interface IsolationBounds<Isolation> {
  /** In what it is beyond these bounds. */
  beyond(isolation: Isolation): readonly Excess[];
  /** By key of `sandbox`, what a template has that leaves it out; of several bounds, what is in the list of each. */
  readonly usual: Readonly<Record<string, readonly string[]>>;
}

/** One key of `sandbox` (or `tolerate.NAME`), and why it is too much: lower case, no full stop. */
export interface Excess {
  readonly key: string;
  readonly message: string;
}

export interface IsolationFacts {
  readonly timeout: Duration;
  readonly image: string | undefined;
  /** Names of variables; one that ends in `*` stands for all that begin so. */
  readonly passes: readonly string[];
  readonly tolerates: readonly string[];
  /** Of `passes`, what never enters a job all the same. */
  readonly dropped: readonly string[];
}

/** What policy needs to know of an issuer. */
export interface IssuerRoom {
  /** The kind of CI system, such as `github`. */
  readonly preset: string;
  /** A template must name one of these in full, since they say whose job it is. None where the issuer itself says it. */
  readonly claims: readonly string[];
  /** Where set, a `sub` may also be named by this and two segments more, with a glob for what is below them. */
  readonly subjectsBelow: string | undefined;
  /** The claims that together say which workload it is: a template that names only some of `claims` may be a whole organisation's. */
  readonly workload: readonly string[];
  /** Claims that are names: others come to have them when they are given up. */
  readonly names: readonly string[];
  /** Every claim that its tokens may have, `PREFIX*` for all that begin so; undefined where nobody can list them. */
  readonly known: readonly string[] | undefined;
  /** Of these, one token may hold several values. */
  readonly lists: readonly string[];
  /** What each of its tokens has, as one text or number. */
  readonly sent: readonly string[];
  /** What `trust` can come out as; only `unknown` where its claims prove nothing. */
  readonly trusts: readonly string[];
}
