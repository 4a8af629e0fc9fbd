import { hour } from "../../time.ts";
import type { Trust } from "../identity.ts";
import type { Claims } from "../profile.ts";
import { common, host, type Preset } from "./preset.ts";

/**
 * GitLab CI ID tokens, gitlab.com and self-managed.
 *
 * Claims: docs.gitlab.com/ci/secrets/id_token_authentication; `job_project_id` since 18.4 (issue 563038). A token lives as long as its
 * job may run, hence the cap of a day; its job has one token per audience, from its first second.
 *
 * In a merge request pipeline of a fork that runs in the parent, `project_*` and `sub` are the fork's since 18.2.2, and `job_project_*`
 * the parent's. So `project_id` says whose code it is, and `job_project_id` identifies nobody: everyone who opens a merge request has it.
 *
 * Trust: `job_project_id` other than `project_id` -> fork. `pipeline_source` merge_request_event or external_pull_request_event ->
 * pull_request, before any ref: such a job's `ref` and `ref_path` are the source branch's, and a fork may call it main. A source that only
 * members cause -> protected where `ref_protected` is "true", else branch. Every other source -> unknown: a `parent_pipeline` may be
 * a merge request's child, and a `pipeline` is started by another project's job.
 */
export const gitlab: Preset = {
  ...common,
  issuer: {
    usual: "https://gitlab.com",
    form: "https://HOST or https://HOST/RELATIVE-ROOT, without a slash at the end",
    fits: new RegExp(`^https://${host}(?:/[^ /]+)*$`),
    path: undefined,
    vendors: /^https:\/\/gitlab\.com(?:[/:]|$)/,
  },
  // Up to 200 groups of the user are in it.
  maxSize: 16_384,
  maxLifetime: 24 * hour,
  required: ["pipeline_source", "ref", "ref_type", "ref_protected"],
  text: [
    "project_path",
    "namespace_path",
    "pipeline_source",
    "ref",
    "ref_type",
    "ref_path",
    "ref_protected",
    "environment",
    "environment_protected",
    "job_project_id",
    "job_project_path",
  ],
  workload: ["project_id"],
  identifying: ["project_id", "namespace_id"],
  job: ["job_id"],
  trust: gitlabTrust,
  trusts: ["protected", "branch", "pull_request", "fork"],
  names: ["project_path", "namespace_path", "job_project_path", "job_namespace_path", "user_login", "user_email", "sub"],
  known: [
    "ci_config_ref_uri",
    "ci_config_sha",
    "deployment_tier",
    "environment",
    "environment_action",
    "environment_protected",
    "groups_direct",
    "job_id",
    "job_namespace_id",
    "job_namespace_path",
    "job_project_id",
    "job_project_path",
    "namespace_id",
    "namespace_path",
    "pipeline_id",
    "pipeline_source",
    "project_id",
    "project_path",
    "project_visibility",
    "ref",
    "ref_path",
    "ref_protected",
    "ref_type",
    "runner_environment",
    "runner_id",
    "sha",
    "target_audience",
    "user_access_level",
    "user_email",
    "user_id",
    "user_login",
  ],
  lists: ["groups_direct"],
  labels: ["job_project_id", "job_project_path"],
  oneToken: true,
  refuses: jobTokenFlaw,
};

const membersSources: readonly unknown[] = ["push", "web", "webide", "schedule", "api", "trigger"];

function gitlabTrust(claims: Claims): Trust {
  const { job_project_id: runsIn, project_id: codeOf, pipeline_source: source } = claims;
  if (runsIn !== undefined && String(runsIn) !== String(codeOf)) return "fork";
  if (source === "merge_request_event" || source === "external_pull_request_event") return "pull_request";
  if (!membersSources.includes(source)) return "unknown";
  return claims["ref_protected"] === "true" ? "protected" : "branch";
}

/** A CI_JOB_TOKEN is a JWT too, signed by the same host for its own API: its subject is a global id, never a project's path. */
function jobTokenFlaw({ sub }: Claims): string | undefined {
  return String(sub).startsWith("gid://") ? "a job token of GitLab's own API, not an ID token" : undefined;
}
