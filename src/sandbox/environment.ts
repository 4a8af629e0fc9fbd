/**
 * What never enters a job, whatever a template passes: a token that can mint more (the identity token's own request endpoint
 * above all), another system's standing credential, and variables that make a program load code before its own.
 * A name that ends in `*` stands for all that begin so.
 */
export const deniedNames = {
  github: [
    "ACTIONS_ID_TOKEN_REQUEST_*",
    "ACTIONS_RUNTIME_TOKEN",
    "ACTIONS_CACHE_URL",
    "ACTIONS_RESULTS_URL",
    "ACTIONS_RUNTIME_URL",
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "GH_ENTERPRISE_TOKEN",
    "GITHUB_ENTERPRISE_TOKEN",
  ],
  gitlab: [
    "CI_JOB_TOKEN",
    "CI_JOB_JWT*",
    "CI_REGISTRY_PASSWORD",
    "CI_DEPLOY_PASSWORD",
    "CI_BUILD_TOKEN",
    "CI_DEPENDENCY_PROXY_PASSWORD",
    "CI_REPOSITORY_URL",
    "GITLAB_TOKEN",
  ],
  buildkite: ["BUILDKITE_AGENT_ACCESS_TOKEN", "BUILDKITE_AGENT_TOKEN", "BUILDKITE_AGENT_JOB_API_*"],
  other: [
    "CIRCLE_TOKEN",
    "CIRCLE_OIDC_TOKEN*",
    "SYSTEM_ACCESSTOKEN",
    "SYSTEM_OIDCREQUESTURI",
    "BITBUCKET_STEP_OIDC_TOKEN",
    "DRONE_TOKEN",
    "JENKINS_API_TOKEN",
  ],
  clouds: [
    "AWS_*",
    "AZURE_*",
    "ARM_*",
    "GOOGLE_*",
    "GCLOUD_*",
    "CLOUDSDK_*",
    "VAULT_*",
    "BAO_*",
    "KUBECONFIG",
    "NPM_TOKEN",
    "NODE_AUTH_TOKEN",
    "DOCKER_AUTH_CONFIG",
    "SSH_AUTH_SOCK",
    "MAYFLY_*",
  ],
  loaders: [
    "LD_*",
    "GCONV_PATH",
    "NODE_OPTIONS",
    "NODE_EXTRA_CA_CERTS",
    "BASH_ENV",
    "ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "BASH_FUNC_*",
    "PS4",
    "PROMPT_COMMAND",
    "IFS",
    "PYTHONSTARTUP",
    "PYTHONPATH",
    "PYTHONHOME",
    "PERL5OPT",
    "PERL5LIB",
    "PERL5DB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "GIT_*",
    "TMPDIR",
  ],
} as const satisfies Readonly<Record<string, readonly string[]>>;

const denied: readonly string[] = Object.values(deniedNames).flat();

/** A name stands for itself; one that ends in `*` for every name that begins so. Nothing else is a pattern. */
export function named(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => (pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern));
}

/** GitLab's custom executor hands every variable of a job over a second time, behind this beginning. */
const isDenied = (name: string): boolean => named(name.replace(/^CUSTOM_ENV_/, ""), denied) || named(name, denied);

/** The variables that a template lets pass, the denied ones left out even then. What cannot be a variable's name is dropped. */
export function passed(
  environment: Readonly<Record<string, string>>,
  pass: readonly string[],
): Readonly<Record<string, string>> {
  const kept = Object.entries(environment).filter(
    ([name, value]) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !value.includes("\0") && named(name, pass) && !isDenied(name),
  );
  return Object.fromEntries(kept);
}

/** What every job has; it wins over what was passed, so that no runner can point a job's PATH or HOME elsewhere. */
const base = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/home/job",
  USER: "job",
  LANG: "C.UTF-8",
  MAYFLY: "1",
  // The init's own warnings would stand in the job's stderr.
  TINI_VERBOSITY: "0",
  MAYFLY_CREDENTIALS: "/run/mayfly/credentials",
  MAYFLY_WORKSPACE: "/workspace",
} as const;

/** The whole environment of a job's first process. */
export function jobEnvironment(
  environment: Readonly<Record<string, string>>,
  pass: readonly string[],
): Readonly<Record<string, string>> {
  return { ...passed(environment, pass), ...base };
}

export const jobPath: readonly string[] = base.PATH.split(":");
