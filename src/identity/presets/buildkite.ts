import { hour } from "../../time.ts";
import { common, type Preset } from "./preset.ts";

/**
 * Buildkite. One issuer for every organisation in the world: only ids tell them apart.
 *
 * Claims: buildkite.com/docs/agent/cli/reference/oidc. `pipeline_id` and `organization_id` are there where the job asks for them:
 * `buildkite-agent oidc request-token --claim organization_id,pipeline_id`. The header has no `typ`.
 *
 * Trust: unknown. `build_branch` is the head branch's name, and a fork's pull request may call its branch main; `build_source` is `webhook`
 * for both; whether forks are built is a setting of the pipeline that no claim shows.
 */
export const buildkite: Preset = {
  ...common,
  issuer: {
    usual: "https://agent.buildkite.com",
    form: "https://agent.buildkite.com",
    fits: /^https:\/\/agent\.buildkite\.com$/,
    path: undefined,
    vendors: /^https:\/\/agent\.buildkite\.com(?:[/:]|$)/,
  },
  // The organisation.
  usualAudiences: [/^https:\/\/buildkite\.com(?:\/|$)/],
  maxLifetime: hour,
  required: ["build_source", "build_branch", "build_commit"],
  text: ["organization_id", "organization_slug", "pipeline_slug", "cluster_id", "queue_id", "build_id", "runner_environment"],
  workload: ["pipeline_id"],
  identifying: ["pipeline_id", "organization_id"],
  job: ["job_id"],
  names: ["organization_slug", "pipeline_slug", "cluster_name", "queue_key", "sub"],
  known: [
    "agent_id",
    "agent_tag:*",
    "build_branch",
    "build_commit",
    "build_id",
    "build_number",
    "build_source",
    "build_tag",
    "cluster_id",
    "cluster_name",
    "job_id",
    "organization_id",
    "organization_slug",
    "pipeline_id",
    "pipeline_slug",
    "queue_id",
    "queue_key",
    "runner_environment",
    "step_key",
  ],
};
