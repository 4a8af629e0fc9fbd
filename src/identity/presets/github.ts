import { minute } from "../../time.ts";
import type { Claims } from "../profile.ts";
import { actionsClaims, actionsNames, actionsTrust, actionsTrusts } from "./actions.ts";
import { common, host, type Preset } from "./preset.ts";

/** A repository's custom properties are claims behind a beginning of their own. */
const githubClaims: readonly string[] = [
  "check_run_id",
  "enterprise",
  "enterprise_id",
  "environment",
  "environment_node_id",
  "issuer_scope",
  "job_workflow_ref",
  "job_workflow_sha",
  "repository_visibility",
  "runner_environment",
  "workflow_sha",
  "repo_property_*",
  "repository_property_*",
];

/**
 * GitHub Actions: github.com, GitHub Enterprise Server, ghe.com, and an enterprise's own issuer path.
 *
 * Claims: docs.github.com/en/actions/reference/security/oidc. `ref_protected` is not in that table, but it is, as text, in the tokens that
 * GitHub's own actions-oidc-debugger and many public logs show; where a server does not send it, nothing is `protected`.
 * Lifetime: 300 s; in July and August 2025 github.com gave 6 hours, which the cap refuses.
 *
 * Trust: `event_name` pull_request* -> pull_request; an event that only writers cause -> protected where `ref_protected` is "true", else
 * branch; any other event -> unknown. `ref`, `environment` and `sub` say nothing here: an environment may be called
 * "prod:ref:refs/heads/main", and a job with an environment has no ref in its `sub`. Templates match on the claims themselves.
 */
export const github: Preset = {
  ...common,
  issuer: {
    usual: "https://token.actions.githubusercontent.com",
    form: "https://token.actions.githubusercontent.com[/ENTERPRISE], https://token.actions.SUBDOMAIN.ghe.com or https://HOST/_services/token",
    fits: new RegExp(
      `^https://(?:token\\.actions\\.(?:githubusercontent\\.com|[a-z0-9-]+\\.ghe\\.com)(?:/[A-Za-z0-9_-]+)?|${host}/_services/token)$`,
    ),
    path: undefined,
    vendors: /^https:\/\/(?:[a-z0-9-]+\.)*(?:githubusercontent\.com|ghe\.com)(?:[/:]|$)|\/_services\/token$/,
  },
  // The repository's owner.
  usualAudiences: [/^https:\/\/(?:github|[a-z0-9-]+\.ghe)\.com(?:\/|$)/],
  header: ["x5t"],
  maxLifetime: 15 * minute,
  required: ["ref", "event_name"],
  text: [
    "repository",
    "repository_owner",
    "repository_owner_id",
    "environment",
    "job_workflow_ref",
    "workflow_ref",
    "ref_type",
    "ref_protected",
    "actor_id",
  ],
  workload: ["repository_id"],
  identifying: ["repository_id", "repository_owner_id"],
  job: ["run_id", "run_attempt"],
  // Since November 2025; Enterprise Server follows later. Without it two jobs of one run are one.
  jobWhereSent: ["check_run_id"],
  trust: actionsTrust,
  trusts: actionsTrusts,
  names: actionsNames,
  known: [...actionsClaims, ...githubClaims],
  refuses: immutableSubjectFlaw,
};

/** Names cannot have an `@`, so only GitHub itself writes one: `repo:OWNER@OWNER-ID/REPO@REPO-ID:…` (not on Enterprise Server). */
const immutableSubject = /^repo:[^@/:]+@(?<owner>[0-9]+)\/[^@/:]+@(?<repository>[0-9]+)(?::|$)/;

function immutableSubjectFlaw(claims: Claims): string | undefined {
  const { owner, repository } = immutableSubject.exec(String(claims["sub"]))?.groups ?? {};
  if (owner === undefined) return undefined;
  const agrees = owner === String(claims["repository_owner_id"]) && repository === String(claims["repository_id"]);
  return agrees ? undefined : "the ids in its sub are not those of its claims";
}
