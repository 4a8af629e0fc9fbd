import { hour } from "../../time.ts";
import { common, host, type Preset } from "./preset.ts";

/**
 * HCP Terraform and Terraform Enterprise: runs of a workspace. Tokens of stacks have no workspace and are refused.
 *
 * Claims: developer.hashicorp.com/terraform/cloud-docs/workspaces/dynamic-provider-credentials/workload-identity-tokens. A token lives as
 * long as its plan or apply may take.
 *
 * Trust: unknown. A plan may be a speculative one of a fork's pull request, and an apply does not say whose confirmation or branch it had.
 * `terraform_run_phase` at least tells the two apart.
 */
export const hcpTerraform: Preset = {
  ...common,
  issuer: {
    usual: "https://app.terraform.io",
    form: "https://HOST, without a slash at the end",
    fits: new RegExp(`^https://${host}$`),
    path: undefined,
    vendors: /^https:\/\/app\.(?:eu\.)?terraform\.io(?:[/:]|$)/,
  },
  // Those of the dynamic credentials for AWS, Vault and others.
  usualAudiences: [/^[a-z0-9-]+\.workload\.identity$/],
  maxLifetime: 24 * hour,
  text: ["terraform_organization_id", "terraform_project_id", "terraform_full_workspace"],
  workload: ["terraform_workspace_id"],
  identifying: ["terraform_workspace_id", "terraform_project_id", "terraform_organization_id"],
  job: ["terraform_run_id", "terraform_run_phase"],
  names: [
    "terraform_organization_name",
    "terraform_project_name",
    "terraform_workspace_name",
    "terraform_full_workspace",
    "sub",
  ],
  known: [
    "terraform_full_workspace",
    "terraform_organization_id",
    "terraform_organization_name",
    "terraform_project_id",
    "terraform_project_name",
    "terraform_run_id",
    "terraform_run_phase",
    "terraform_workspace_id",
    "terraform_workspace_name",
  ],
  oneToken: true,
};
