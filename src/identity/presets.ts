import type { Preset } from "./preset.ts";
import { azureDevops } from "./presets/azure-devops.ts";
import { azureDevopsEntra } from "./presets/azure-devops-entra.ts";
import { bitbucket } from "./presets/bitbucket.ts";
import { buildkite } from "./presets/buildkite.ts";
import { circleci } from "./presets/circleci.ts";
import { forgejo } from "./presets/forgejo.ts";
import { generic } from "./presets/generic.ts";
import { github } from "./presets/github.ts";
import { gitlab } from "./presets/gitlab.ts";
import { google } from "./presets/google.ts";
import { hcpTerraform } from "./presets/hcp-terraform.ts";
import { jenkins } from "./presets/jenkins.ts";
import { kubernetes } from "./presets/kubernetes.ts";
import { nomad } from "./presets/nomad.ts";
import { spiffe } from "./presets/spiffe.ts";

export const presetNames = [
  "github",
  "gitlab",
  "buildkite",
  "circleci",
  "jenkins",
  "bitbucket",
  "azure-devops",
  "azure-devops-entra",
  "forgejo",
  "google",
  "kubernetes",
  "spiffe",
  "hcp-terraform",
  "nomad",
  "generic",
] as const;

export type PresetName = (typeof presetNames)[number];

/** The CI systems that one line of mayfly.yaml makes work. */
export const presets: Readonly<Record<PresetName, Preset>> = {
  github,
  gitlab,
  buildkite,
  circleci,
  jenkins,
  bitbucket,
  "azure-devops": azureDevops,
  "azure-devops-entra": azureDevopsEntra,
  forgejo,
  google,
  kubernetes,
  spiffe,
  "hcp-terraform": hcpTerraform,
  nomad,
  generic,
};
