import type { Trust } from "../identity.ts";
import type { Claims } from "../profile.ts";

/**
 * What only someone who may write to the repository can cause. Left out on purpose, and so `unknown`: `issue_comment`, `issues`,
 * `fork`, `watch` and `discussion`, which anybody causes; `workflow_run`, which runs the default branch after a run that may have been a
 * fork's; `deployment`, which integrations create for pull requests too; whatever is invented next.
 */
const writersEvents: readonly unknown[] = [
  "push",
  "schedule",
  "workflow_dispatch",
  "repository_dispatch",
  "release",
  "merge_group",
];

/**
 * The event is asked before the ref. `pull_request_target` and a closed `pull_request` run with the protected base branch as their ref,
 * and `pull_request_target` may check out a fork's code. A fork's pull request is not told from another: neither is ever `protected`.
 */
export function actionsTrust(claims: Claims): Trust {
  const { event_name: event, ref_protected: guarded } = claims;
  if (typeof event === "string" && event.startsWith("pull_request")) return "pull_request";
  if (!writersEvents.includes(event)) return "unknown";
  // Text at GitHub; Forgejo's documentation does not say, and nobody but the issuer can write either.
  return guarded === "true" || guarded === true ? "protected" : "branch";
}

/** What both send; GitHub has more. */
export const actionsClaims: readonly string[] = [
  "actor",
  "actor_id",
  "base_ref",
  "event_name",
  "head_ref",
  "ref",
  "ref_protected",
  "ref_type",
  "repository",
  "repository_id",
  "repository_owner",
  "repository_owner_id",
  "run_attempt",
  "run_id",
  "run_number",
  "sha",
  "workflow",
  "workflow_ref",
];

/** A login, an organisation and a repository can be renamed, and their old names taken. */
export const actionsNames: readonly string[] = ["repository", "repository_owner", "actor", "sub"];

/** Never `fork`: their tokens do not tell a fork's pull request from another. */
export const actionsTrusts = ["protected", "branch", "pull_request"] as const;
