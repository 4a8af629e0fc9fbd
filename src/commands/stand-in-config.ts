import { stringify } from "yaml";
import { type Config, configSchema } from "../config.ts";
import type { PresetName } from "../identity/presets/presets.ts";

/** One issuer as mayfly.yaml has it; what is one's own stands in example.com, in capitals or as zeros. */
export type WrittenIssuer = Readonly<Record<string, unknown>>;

const audience = "https://mayfly.example.com";
const nobody = "00000000-0000-0000-0000-000000000000";

/** For each kind of CI system what to write under `issuers:`; docs/issuers.md says more of each. */
export const usualIssuers: Readonly<Record<PresetName, WrittenIssuer>> = {
  github: { preset: "github", audience },
  gitlab: { preset: "gitlab", audience },
  buildkite: { preset: "buildkite", audience },
  circleci: { preset: "circleci", url: `https://oidc.circleci.com/org/${nobody}`, audience },
  jenkins: { preset: "jenkins", url: "https://jenkins.example.com/oidc/job/shop", audience },
  bitbucket: {
    preset: "bitbucket",
    url: "https://api.bitbucket.org/2.0/workspaces/workspace/pipelines-config/identity/oidc",
    audience,
  },
  "azure-devops": {
    preset: "azure-devops",
    url: `https://vstoken.dev.azure.com/${nobody}`,
    audience: "api://AzureADTokenExchange",
  },
  "azure-devops-entra": {
    preset: "azure-devops-entra",
    url: `https://login.microsoftonline.com/${nobody}/v2.0`,
    audience: "fb60f99c-7a34-4190-8149-302f77469936",
  },
  forgejo: { preset: "forgejo", url: "https://forgejo.example.com/api/actions", audience },
  google: { preset: "google", audience },
  kubernetes: { preset: "kubernetes", url: "https://cluster.example.com", audience },
  spiffe: { preset: "spiffe", url: "spiffe://example.org", audience, jwks: { file: "/etc/mayfly/bundle.json" } },
  "hcp-terraform": { preset: "hcp-terraform", audience },
  nomad: { preset: "nomad", url: "https://nomad.example.com", audience },
  generic: { preset: "generic", url: "https://ci.example.com", audience, workload: ["project_id"], job: ["job_id"] },
};

/** Those of `firstConfigText`, by name and type. */
export const firstProviders: Readonly<Record<string, string>> = { broker: "local" };

/** A mayfly.yaml with which templates can be checked where no broker is: whose tokens, and the one provider that needs no upstream. */
export function firstConfigText(name: string, issuer: WrittenIssuer): string {
  return `# What \`mayfly check\` needs to know of the broker. On its own host this is /etc/mayfly/mayfly.yaml; what is its own stands where
# example.com or zeros are.
version: 1
issuers: # whose tokens it takes; docs/issuers.md has a line for every CI system
  ${name}: ${stringify(issuer, { collectionStyle: "flow", lineWidth: 0 }).trim()}
providers: # from where credentials come
  broker: { type: local } # certificates and tokens of the broker's own
`;
}

/** What mayfly.yaml says where there is none, with these issuers. */
export function standInConfig(issuers: Readonly<Record<string, WrittenIssuer>>): Config {
  return { ...configSchema.parse({ version: 1, issuers, providers: {} }), digest: "" };
}
