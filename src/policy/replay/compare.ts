import type { Code } from "../../errors.ts";
import type { Decision, Denial, Grant } from "../grant.ts";
import { matchAt } from "../match.ts";
import type { Policy } from "../policy.ts";
import type { IsolationRoom } from "../rooms.ts";
import { type Change, change } from "./change.ts";
import { grantChanges } from "./grant-changes.ts";
import { decideAgain, type RecordedRequest } from "./request.ts";

export interface ReplayParts<D, I> {
  readonly next: Policy<D, I>;
  readonly exceeds: IsolationRoom<I>["exceeds"];
}

/** It comes out the same where `changes` is empty: what cannot be told is a change of its own. */
export interface Compared {
  readonly changes: readonly Change[];
  readonly template: string;
  readonly basis: "decided" | "recorded" | "unknown";
  readonly otherwise: Otherwise | undefined;
}

/** How a request was decided, and how its own policy would decide it today. */
export interface Otherwise {
  readonly recorded: string;
  readonly today: string;
}

/** What its templates said: decided afresh, or only as it was recorded. */
type Before<D, I> =
  | Decision<D, I>
  | { readonly kind: "gave"; readonly template: string }
  | { readonly kind: "denied"; readonly code: Code };

/** One request, by the policy that decided it and by the one that is to come. Pure. `own` is undefined where its text does not compile any more. */
export function compareRequest<D, I>(
  request: RecordedRequest,
  own: Policy<D, I> | undefined,
  parts: ReplayParts<D, I>,
): Compared {
  const { before, matched, basis, otherwise } = beforeOf(request, own);
  if (before === undefined) return { changes: [lost], template: request.asked ?? "", basis: "unknown", otherwise };
  const after = decideAgain(parts.next, request);
  const changes = changesOf({ request, before, matched, after, own }, parts);
  return { changes, template: templateOf(before) ?? templateOf(after) ?? "", basis, otherwise };
}

const lost = change("cannot-tell", "neither its policy nor what it said of it can be had");

interface Past<D, I> extends Pick<Compared, "otherwise"> {
  readonly before: Before<D, I> | undefined;
  /** The template that was meant for it, also where the command was the reason to deny it; undefined where nobody can tell. */
  readonly matched: string | undefined;
  readonly basis: "decided" | "recorded";
}

function beforeOf<D, I>(request: RecordedRequest, own: Policy<D, I> | undefined): Past<D, I> {
  const today = own === undefined ? undefined : decideAgain(own, request);
  if (today === undefined) {
    const before = recorded(request);
    return { before, matched: before && templateOf(before), basis: "recorded", otherwise: undefined };
  }
  const otherwise = differsFrom(request, today);
  return { before: kept(request) ?? today, matched: templateOf(today), basis: "decided", otherwise };
}

/** These two hang on the command, which was not recorded: no later decision can know better. */
const byCommand: readonly Code[] = ["step-command", "usage"];

function kept({ outcome }: RecordedRequest): Before<never, never> | undefined {
  return outcome.kind === "denied" && byCommand.includes(outcome.code) ? outcome : undefined;
}

function recorded({ outcome }: RecordedRequest): Before<never, never> | undefined {
  if (outcome.kind === "refused") return undefined;
  return outcome.kind === "granted" ? { kind: "gave", template: outcome.template } : outcome;
}

/** The self-check: today's code, mayfly.yaml or last word differ from those of then, whatever the new templates say. */
export function differsFrom(request: RecordedRequest, today: Decision<unknown, unknown>): Compared["otherwise"] {
  const { outcome } = request;
  if (outcome.kind === "refused" || kept(request) !== undefined) return undefined;
  const said = outcome.kind === "granted" ? `granted by ${outcome.template}` : `denied, ${outcome.code}`;
  const again = today.kind === "granted" ? `granted by ${today.template}` : `denied, ${today.code}`;
  return said === again ? undefined : { recorded: said, today: again };
}

function templateOf(answer: Before<unknown, unknown>): string | undefined {
  return answer.kind === "denied" ? undefined : answer.template;
}

interface Answers<D, I> {
  readonly request: RecordedRequest;
  readonly before: Before<D, I>;
  readonly matched: string | undefined;
  readonly after: Decision<D, I>;
  readonly own: Policy<D, I> | undefined;
}

function changesOf<D, I>(answers: Answers<D, I>, { next, exceeds }: ReplayParts<D, I>): readonly Change[] {
  const { before, matched, after, own } = answers;
  if (after.kind === "denied")
    return before.kind === "denied" ? [] : [newlyDenied(before.template, after, answers.request, next)];
  const { step } = answers.request;
  const pinned = { before: pinOf(own, matched, step), after: pinOf(next, after.template, step) };
  if (before.kind === "denied") return newlyAllowed(before.code, after, pinned);
  const moved = before.template === after.template ? [] : [change("other-template", `now template ${after.template}`)];
  if (before.kind === "gave") return [...moved, notCompared];
  return [...moved, ...commandChanges(pinned), ...grantChanges(before, after, exceeds)];
}

/** It would be given something, and so it was then; how much that was, only its own policy knew. */
const notCompared = change("cannot-tell", "what it was given, since its own policy does not compile any more");

interface Pins {
  readonly before: string | undefined;
  readonly after: string | undefined;
}

function pinOf<D, I>(policy: Policy<D, I> | undefined, template = "", step = ""): string | undefined {
  const run = policy?.templates.get(template)?.steps.get(step)?.run;
  return run === undefined ? undefined : JSON.stringify(run);
}

function unknownCommand(after: string, before?: string): Change {
  return change("cannot-tell", "the step pins a command, and commands are not recorded", before, after);
}

/** A run of a step that pins its command ran that very command. */
function commandChanges({ before, after }: Pins): readonly Change[] {
  if (before === after) return [];
  if (after === undefined) return [change("widened", "command", before, "not pinned any more")];
  return [before === undefined ? unknownCommand(after) : change("other-command", "pinned command", before, after)];
}

/** Whoever asked for another command than the pinned one would only be let in for certain where nothing is pinned any more. */
function newlyAllowed(code: Code, after: Grant<unknown, unknown>, pinned: Pins): readonly Change[] {
  const allowed = [change("newly-allowed", `template ${after.template}`, code, after.reason)];
  if (code === "usage") return pinned.after === undefined ? [] : allowed;
  if (code !== "step-command" || pinned.after === undefined) return allowed;
  return pinned.before === pinned.after ? [] : [unknownCommand(pinned.after, pinned.before)];
}

/** The first line that failed, of the template that used to give. */
function newlyDenied<D, I>(name: string, after: Denial, { identity, time }: RecordedRequest, next: Policy<D, I>): Change {
  const template = next.templates.get(name);
  if (template === undefined) return change("newly-denied", after.code, undefined, `there is no template ${name} any more`);
  const failed = matchAt(template, { identity, now: time }).lines.find(({ held }) => !held);
  if (failed === undefined) return change("newly-denied", after.code, undefined, after.message);
  return change("newly-denied", `${after.code}: ${failed.line}`, `found ${failed.found}`, `wants ${failed.expected}`);
}
