/** The CI systems that `--token auto` knows. */
export type System = "github" | "gitlab" | "buildkite" | "kubernetes";

/** Where the hint for Kubernetes mounts the token. */
export const projectedToken = "/var/run/secrets/mayfly/token";

/** Kubernetes last: the runners of the others often are pods. */
export function detectSystem(environment: Readonly<Record<string, string | undefined>>, mounted: boolean): System | undefined {
  if (environment["GITHUB_ACTIONS"] === "true") return "github";
  if (environment["GITLAB_CI"] === "true" || environment["CUSTOM_ENV_GITLAB_CI"] === "true") return "gitlab";
  if (environment["BUILDKITE"] === "true") return "buildkite";
  return mounted || environment["KUBERNETES_SERVICE_HOST"] !== undefined ? "kubernetes" : undefined;
}

/** What to add so that the token is there: the lines themselves, to be pasted. */
export const hints = {
  none: "name the token's file: --token FILE. Known by themselves are GitHub Actions, GitLab CI, Buildkite and Kubernetes",
  github: () => "add this to the job in the workflow file:\n  permissions:\n    id-token: write\n    contents: read",
  gitlab: (audience: string) =>
    `add this to the job in .gitlab-ci.yml:\n  id_tokens:\n    MAYFLY_ID_TOKEN:\n      aud: ${audience}`,
  buildkite: (audience: string) =>
    `put buildkite-agent on the job's PATH; this must work in its shell:\n  buildkite-agent oidc request-token --audience ${audience}`,
  kubernetes: (audience: string) =>
    [
      "add this to the pod, and mount the volume at /var/run/secrets/mayfly:",
      "  volumes:",
      "    - name: mayfly-token",
      "      projected:",
      "        sources:",
      "          - serviceAccountToken:",
      "              path: token",
      `              audience: ${audience}`,
      "              expirationSeconds: 600",
    ].join("\n"),
} as const;
