import { azureDevops } from "./azure-devops.ts";
import { azureDevopsEntra } from "./azure-devops-entra.ts";
import { bitbucket } from "./bitbucket.ts";
import { buildkite } from "./buildkite.ts";
import { circleci } from "./circleci.ts";
import { forgejo } from "./forgejo.ts";
import { generic } from "./generic.ts";
import { github } from "./github.ts";
import { gitlab } from "./gitlab.ts";
import { google } from "./google.ts";
import { hcpTerraform } from "./hcp-terraform.ts";
import { jenkins } from "./jenkins.ts";
import { kubernetes } from "./kubernetes.ts";
import { nomad } from "./nomad.ts";
import type { Preset } from "./preset.ts";
import { spiffe } from "./spiffe.ts";

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
