import { hour } from "../../time.ts";
import { common, type Preset } from "./preset.ts";

/**
 * Bitbucket Pipelines, one issuer per workspace. Its UUIDs are written in braces.
 *
 * Claims: support.atlassian.com/bitbucket-cloud/docs/integrate-pipelines-with-resource-servers-using-oidc, with the types of Teleport's
 * validator (lib/join/bitbucket). A token with two audiences is refused: give the step `oidc: { audiences: [ours] }` and nothing else.
 *
 * Trust: unknown. `branchName` is a pull request's source branch as well as a pushed one, and nothing says which, or whether it is protected.
 * `deploymentEnvironmentUuid` proves as much as the branch restriction of that environment, which its administrators set.
 */
export const bitbucket: Preset = {
  ...common,
  issuer: {
    usual: undefined,
    form: "https://api.bitbucket.org/2.0/workspaces/WORKSPACE/pipelines-config/identity/oidc",
    fits: /^https:\/\/api\.bitbucket\.org\/2\.0\/workspaces\/[a-z0-9_-]+\/pipelines-config\/identity\/oidc$/,
    path: undefined,
    vendors: /^https:\/\/api\.bitbucket\.org(?:[/:]|$)/,
  },
  // The workspace.
  usualAudiences: [/^ari:cloud:bitbucket::workspace\//],
  maxLifetime: hour,
  text: ["workspaceUuid", "branchName", "deploymentEnvironmentUuid"],
  workload: ["repositoryUuid"],
  identifying: ["repositoryUuid", "workspaceUuid"],
  job: ["pipelineUuid", "stepUuid"],
  jti: "absent",
  known: [
    "accountUuid",
    "branchName",
    "deploymentEnvironmentUuid",
    "pipelineRunUuid",
    "pipelineUuid",
    "repositoryUuid",
    "stepUuid",
    "workspaceUuid",
  ],
  oneToken: true,
};
