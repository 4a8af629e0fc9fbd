/** The CI systems that are known to give their jobs an identity token, by the names of their presets. */
export const systems = [
  "forgejo",
  "github",
  "gitlab",
  "buildkite",
  "circleci",
  "bitbucket",
  "azure-devops",
  "azure-devops-entra",
  "hcp-terraform",
  "jenkins",
  "nomad",
  "spiffe",
  "kubernetes",
  "google",
] as const;

export type System = (typeof systems)[number];

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where the lines for Kubernetes mount the token. */
export const projectedToken = "/var/run/secrets/mayfly/token";

export const titles: Readonly<Record<System, string>> = {
  forgejo: "Forgejo Actions",
  github: "GitHub Actions",
  gitlab: "GitLab CI",
  buildkite: "Buildkite",
  circleci: "CircleCI",
  bitbucket: "Bitbucket Pipelines",
  "azure-devops": "Azure DevOps",
  "azure-devops-entra": "Azure DevOps, with a service connection",
  "hcp-terraform": "HCP Terraform",
  jenkins: "Jenkins",
  nomad: "Nomad",
  spiffe: "SPIFFE",
  kubernetes: "Kubernetes",
  google: "Google Cloud",
};

const is = (name: string, value: string) => (environment: Environment) => environment[name] === value;
const has = (name: string) => (environment: Environment) => (environment[name] ?? "") !== "";

/**
 * In this order: Forgejo's runner says that it is GitHub too, and the runners of all the others are often Nomad tasks, SPIFFE
 * workloads or pods. Google is not among them: its metadata service answers every process of a machine, and so says nothing of a job.
 */
const marks: readonly (readonly [System, (environment: Environment) => boolean])[] = [
  ["forgejo", is("FORGEJO_ACTIONS", "true")],
  ["github", is("GITHUB_ACTIONS", "true")],
  ["gitlab", is("GITLAB_CI", "true")],
  ["gitlab", is("CUSTOM_ENV_GITLAB_CI", "true")],
  ["buildkite", is("BUILDKITE", "true")],
  ["circleci", is("CIRCLECI", "true")],
  ["bitbucket", has("BITBUCKET_BUILD_NUMBER")],
  ["azure-devops-entra", (environment) => is("TF_BUILD", "True")(environment) && has("MAYFLY_SERVICE_CONNECTION")(environment)],
  ["azure-devops", is("TF_BUILD", "True")],
  ["hcp-terraform", has("TFC_RUN_ID")],
  ["jenkins", has("JENKINS_URL")],
  ["nomad", has("NOMAD_ALLOC_ID")],
  ["spiffe", has("SPIFFE_ENDPOINT_SOCKET")],
  ["kubernetes", has("KUBERNETES_SERVICE_HOST")],
];

/** `mounted`: whether the projected token is there, which says more than a variable that a pod can be made without. */
export function detectSystem(environment: Environment, mounted: boolean): System | undefined {
  return marks.find(([, fits]) => fits(environment))?.[0] ?? (mounted ? "kubernetes" : undefined);
}

export function isSystem(text: string): text is System {
  return systems.some((system) => system === text);
}
