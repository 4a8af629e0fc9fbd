import { common, host, hour, type Preset } from "./preset.ts";

/**
 * Jenkins with the oidc-provider plugin: a token is a credential that is bound in a job, and its key is that credential's own.
 *
 * Claims: plugins.jenkins.io/oidc-provider. Jenkins has no ids: `sub` is the job's URL unless an administrator templates another, so a renamed
 * job is another workload, and one that is made again under an old name is the old one. The audience must be set in the credential.
 *
 * Trust: unknown. Claims are templates over the build's environment, and whoever may set a build's parameters may set what they say.
 */
export const jenkins: Preset = {
  ...common,
  issuer: {
    usual: undefined,
    form: "https://JENKINS/oidc, https://JENKINS/job/FOLDER/oidc or the issuer that the credential names",
    fits: new RegExp(`^https://${host}(?:/[^ ]*)?$`),
  },
  maxLifetime: hour,
  workload: ["sub"],
  identifying: ["sub"],
  job: ["build_number"],
  jti: "absent",
};
