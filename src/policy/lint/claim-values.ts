/** The events that only somebody who may write to the repository causes; `identity/presets/actions.ts` derives trust from the same. */
export const writersOnly: readonly string[] = [
  "push",
  "schedule",
  "workflow_dispatch",
  "repository_dispatch",
  "release",
  "merge_group",
];

/** docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows */
const events: readonly string[] = [
  ...writersOnly,
  "branch_protection_rule",
  "check_run",
  "check_suite",
  "create",
  "delete",
  "deployment",
  "deployment_status",
  "discussion",
  "discussion_comment",
  "fork",
  "gollum",
  "image_version",
  "issue_comment",
  "issues",
  "label",
  "milestone",
  "page_build",
  "public",
  "pull_request",
  "pull_request_comment",
  "pull_request_review",
  "pull_request_review_comment",
  "pull_request_target",
  "registry_package",
  "status",
  "watch",
  "workflow_call",
  "workflow_run",
];

const actions = { event_name: events, ref_type: ["branch", "tag"], ref_protected: ["true", "false"] };

/** docs.gitlab.com/ci/variables/predefined_variables, CI_PIPELINE_SOURCE */
const sources = [
  "api",
  "chat",
  "container_registry_push",
  "external",
  "external_pull_request_event",
  "merge_request_event",
  "ondemand_dast_scan",
  "ondemand_dast_validation",
  "parent_pipeline",
  "pipeline",
  "push",
  "schedule",
  "security_orchestration_policy",
  "trigger",
  "web",
  "webide",
];

const closed: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  github: {
    ...actions,
    runner_environment: ["github-hosted", "self-hosted"],
    repository_visibility: ["public", "private", "internal"],
  },
  forgejo: actions,
  gitlab: {
    pipeline_source: sources,
    ref_type: ["branch", "tag"],
    ref_protected: ["true", "false"],
    environment_protected: ["true", "false"],
    deployment_tier: ["production", "staging", "testing", "development", "other"],
    runner_environment: ["gitlab-hosted", "self-hosted"],
    project_visibility: ["public", "private", "internal"],
  },
  buildkite: {
    build_source: ["ui", "api", "webhook", "trigger_job", "schedule"],
    runner_environment: ["buildkite-hosted", "self-hosted"],
  },
  "hcp-terraform": { terraform_run_phase: ["plan", "apply"] },
};

/** What the claim can be, as far as the vendor documents it; empty where it can be anything. */
export function closedValues(preset: string, claim: string): readonly string[] {
  const values = closed[preset];
  return values !== undefined && Object.hasOwn(values, claim) ? (values[claim] ?? []) : [];
}

const forms: Readonly<Record<string, Readonly<Record<string, "full" | "short">>>> = {
  github: { ref: "full", base_ref: "short", head_ref: "short" },
  forgejo: { ref: "full", base_ref: "short", head_ref: "short" },
  gitlab: { ref: "short", ref_path: "full" },
  buildkite: { build_branch: "short" },
  bitbucket: { branchName: "short" },
  circleci: { "oidc.circleci.com/vcs-ref": "full" },
  "azure-devops": { rpo_ref: "full" },
};

/** Whether the claim has `refs/heads/main` or `main`; undefined where it is no ref. */
export function refForms(preset: string, claim: string): "full" | "short" | undefined {
  const form = forms[preset];
  return form !== undefined && Object.hasOwn(form, claim) ? form[claim] : undefined;
}

/** What names a branch, in any issuer's words. */
export const branchClaims: readonly string[] = [...new Set(Object.values(forms).flatMap((claims) => Object.keys(claims)))];
