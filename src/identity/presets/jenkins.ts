import { hour } from "../../time.ts";
import { common, host, type Preset } from "./preset.ts";

/**
 * Jenkins with the oidc-provider plugin: a token is a credential that is bound in a job, and its key is that credential's own.
 *
 * Claims: plugins.jenkins.io/oidc-provider, and FolderIssuer, Keys and IdTokenConfiguration of jenkinsci/oidc-provider-plugin. `sub` and
 * `build_number` are templates, `${JOB_URL}` and `${BUILD_NUMBER}`, which are filled from the build's environment; a build's parameters come last
 * in it, and a Jenkinsfile declares its own. So whoever writes one chooses both, and no claim of a token says whose job it is.
 *
 * What nobody in a build can choose is `iss` and the key: those of the place where the credential was made. A folder's own credential is within
 * reach of the jobs in that folder alone; the root's is within reach of every job, and is refused. The folder is the workload, under the name
 * that its issuer has in mayfly.yaml; its runs are one job. An issuer that a credential names for itself does not say where it was made.
 *
 * Trust: unknown. Whoever may write a Jenkinsfile of the folder may say anything.
 */
export const jenkins: Preset = {
  ...common,
  issuer: {
    usual: undefined,
    form: "https://JENKINS/oidc/job/FOLDER, of a credential that was made in that folder: every job may use one of https://JENKINS/oidc, and say that it is another",
    fits: new RegExp(`^https://${host}(?:/[^ ]*)?$`),
    path: /\/oidc(?:\/job\/[^/ ]+)+$/,
    vendors: /\/oidc(?:\/job\/[^/ ]+)+$/,
  },
  // SupportedKeyAlgorithm.
  algorithms: ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"],
  maxLifetime: hour,
  workload: [],
  identifying: [],
  labels: ["sub", "build_number"],
  job: [],
  jti: "absent",
  oneToken: true,
};
