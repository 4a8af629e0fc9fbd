import { projectedToken, type System } from "./system.ts";

/** What to add so that the token is there: the lines themselves, to be pasted, for an audience where a job can choose one. */
export const remedies: Readonly<Record<System, string | ((audience: string) => string)>> = {
  github: "add this to the job in the workflow file:\n  permissions:\n    id-token: write\n    contents: read",
  forgejo: "add this to the workflow file, at its top or in the job:\n  enable-openid-connect: true",
  gitlab: (audience) =>
    `add this to the job in .gitlab-ci.yml:\n  id_tokens:\n    MAYFLY_ID_TOKEN:\n      aud: ${JSON.stringify(audience)}`,
  buildkite: (audience) =>
    `put buildkite-agent on the job's PATH; this must work in its shell:\n  buildkite-agent oidc request-token --claim organization_id,pipeline_id --audience ${quoted(audience)}`,
  circleci: (audience) =>
    `this must work in the job's shell:\n  circleci run oidc get --claims ${quoted(JSON.stringify({ aud: audience }))}`,
  bitbucket: (audience) =>
    `add this to the step in bitbucket-pipelines.yml, with this one audience:\n  oidc:\n    audiences:\n      - ${JSON.stringify(audience)}`,
  "azure-devops": "add this to the step:\n  env:\n    SYSTEM_ACCESSTOKEN: $(System.AccessToken)",
  "azure-devops-entra": [
    "add this to the step, with the id of a service connection (Project settings, its page's resourceId), and let the",
    "pipeline use that connection:",
    "  env:",
    "    SYSTEM_ACCESSTOKEN: $(System.AccessToken)",
    "    MAYFLY_SERVICE_CONNECTION: 00000000-0000-0000-0000-000000000000",
  ].join("\n"),
  "hcp-terraform": (audience) =>
    `add this environment variable to the workspace:\n  TFC_WORKLOAD_IDENTITY_AUDIENCE_MAYFLY = ${audience}`,
  jenkins: (audience) =>
    [
      `make a credential of the kind «OpenID Connect id token» in the job's folder, with id mayfly and audience ${audience}, and bind it:`,
      "  withCredentials([string(credentialsId: 'mayfly', variable: 'MAYFLY_ID_TOKEN')]) {",
      "    sh 'mayfly run -- ./deploy.sh'",
      "  }",
    ].join("\n"),
  nomad: (audience) =>
    [
      "add this to the task:",
      "  identity {",
      '    name = "mayfly"',
      `    aud  = [${JSON.stringify(audience)}]`,
      "    file = true",
      '    ttl  = "10m"',
      "  }",
    ].join("\n"),
  spiffe: (audience) =>
    [
      "put spire-agent on the job's PATH, and register the workload; this must work in its shell:",
      `  spire-agent api fetch jwt -audience ${quoted(audience)} -socketPath /run/spire/sockets/agent.sock`,
      "any other agent: write the JWT-SVID to a file, and name it with --token FILE",
    ].join("\n"),
  kubernetes: (audience) =>
    [
      `add this to the pod, and mount the volume at ${projectedToken.replace(/\/token$/, "")}:`,
      "  volumes:",
      "    - name: mayfly-token",
      "      projected:",
      "        sources:",
      "          - serviceAccountToken:",
      "              path: token",
      `              audience: ${JSON.stringify(audience)}`,
      "              expirationSeconds: 600",
    ].join("\n"),
  google: "run this on a Google Cloud machine that has a service account, and let nothing block its metadata service",
};

/** For a shell, literally. */
function quoted(text: string): string {
  return /^[\w:/.@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
