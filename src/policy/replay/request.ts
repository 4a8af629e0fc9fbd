import type { Code } from "../../errors.ts";
import type { Identity } from "../../identity/identity.ts";
import type { Instant } from "../../time.ts";
import { decideAny } from "../decide-any.ts";
import type { Decision } from "../grant.ts";
import type { Policy } from "../policy.ts";
import { slotsOf } from "../slots.ts";
import type { WhoLine } from "../who.ts";

/** A request as the ledger keeps it. Commands are not among it: an argument may hold a secret. */
export interface RecordedRequest {
  /** Of the run, the denial or the observation. */
  readonly id: string;
  readonly time: Instant;
  readonly identity: Identity;
  /** The template that the runner named; undefined where it left the choice to its identity. */
  readonly asked: string | undefined;
  readonly step: string | undefined;
  readonly outcome: RecordedOutcome;
  /** The digest of the policy that decided, or that was in force; undefined where nobody can tell. */
  readonly policy: string | undefined;
}

/** `denied`: by its templates. `refused`: by something else, such as a full host or a spent token, whatever its templates said. */
export type RecordedOutcome =
  | { readonly kind: "granted"; readonly template: string }
  | { readonly kind: "denied"; readonly code: Code }
  | { readonly kind: "refused"; readonly code: Code };

const byTemplates: ReadonlySet<Code> = new Set<Code>([
  "template-unknown",
  "step-unknown",
  "step-required",
  "step-command",
  "no-match",
  "claim-mismatch",
  "ambiguous",
  "slot-unfillable",
  "outside-hours",
]);

/** `usage` is also said of requests that never came before a policy; only with one was it the template that wanted a command. */
export function refusalOf(code: Code, policy: string | undefined): RecordedOutcome {
  const decided = byTemplates.has(code) || (code === "usage" && policy !== undefined);
  return { kind: decided ? "denied" : "refused", code };
}

/**
 * What a policy says to it, at its own time. The step's pinned command stands in for the one that was not recorded, else any: whether the
 * pinned one would have been asked for, nobody can tell.
 */
export function decideAgain<D, I>(policy: Policy<D, I>, request: RecordedRequest): Decision<D, I> {
  const { identity, asked, step, time } = request;
  return decideAny(policy, { identity, template: asked, step, command: [], now: time });
}

/** What a decision by this policy depends on, so that requests which differ in nothing else need not be decided one by one. */
export interface Attention {
  readonly claims: ReadonlySet<string>;
  /** Whether the time of a request matters: some template has hours, or observes for now. */
  readonly timed: boolean;
}

export function attentionOf(policy: Policy<unknown, unknown>): Attention {
  const templates = [...policy.templates.values()];
  const claims = templates.flatMap(({ who, credentials }) => [
    ...who.flatMap(claimsOf),
    ...[...credentials.values()].flatMap(({ options }) => slotsOf(options)),
  ]);
  return { claims: new Set(claims), timed: templates.some(({ when, observe }) => when.length > 0 || observe !== undefined) };
}

function claimsOf(line: WhoLine): readonly string[] {
  return line.kind === "any" ? line.alternatives.flat().map(({ claim }) => claim) : [line.claim];
}
