import type { Trust } from "./identity.ts";
import type { Claims, Profile } from "./profile.ts";

/** What a CI system's tokens are known to be like, so that mayfly.yaml need not say it. */
export interface Preset
  extends Pick<Profile, "type" | "header" | "text" | "workload" | "job" | "maxLifetime" | "required" | "trust"> {
  /** The claims that say whose job it is, ids before names. */
  readonly identifying: readonly string[];
}

const minute = 60_000;

/** GitHub's claims as its OpenID Connect reference lists them; all are strings, and ids decide. */
const github: Preset = {
  type: "JWT",
  header: ["x5t"],
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
  identifying: ["repository_id", "repository_owner_id", "repository", "repository_owner", "sub"],
  job: ["run_id", "run_attempt", "check_run_id"],
  maxLifetime: 15 * minute,
  trust: githubTrust,
};

const generic: Preset = {
  type: "JWT",
  header: ["x5t"],
  required: [],
  text: [],
  workload: [],
  identifying: ["sub"],
  job: [],
  maxLifetime: 60 * minute,
  trust: () => "unknown",
};

export const presets = { github, generic } as const;

/** Only someone who may write to the repository can cause these; an outsider's comment or pull request cannot. */
const writersEvents: readonly unknown[] = [
  "push",
  "schedule",
  "workflow_dispatch",
  "repository_dispatch",
  "release",
  "deployment",
  "merge_group",
];

/**
 * `pull_request_target` runs with the base branch's ref, so the event is asked before the ref. GitHub's claims do not tell a
 * fork's pull request from another: both are `pull_request`, and neither is ever `protected`.
 */
function githubTrust(claims: Claims): Trust {
  const event = claims["event_name"];
  if (typeof event === "string" && event.startsWith("pull_request")) return "pull_request";
  if (!writersEvents.includes(event)) return "unknown";
  return claims["ref_protected"] === "true" ? "protected" : "branch";
}
