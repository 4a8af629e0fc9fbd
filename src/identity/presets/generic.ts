import { common, host, type Preset } from "./preset.ts";

/** An issuer that no preset knows: mayfly.yaml says what identifies, and trust is `unknown` until it maps claims. */
export const generic: Preset = {
  ...common,
  issuer: {
    usual: undefined,
    form: "https://HOST/PATH",
    fits: new RegExp(`^https://${host}(?:/[^ ]*)?$`),
    path: undefined,
    vendors: undefined,
  },
  header: ["x5t"],
  workload: [],
  job: [],
  identifying: [],
  // Where such a claim is an issuer's, it is a name there too.
  names: [
    "repository",
    "repository_owner",
    "project_path",
    "namespace_path",
    "organization_slug",
    "pipeline_slug",
    "project_name",
    "email",
    "user_email",
    "user_login",
    "preferred_username",
    "actor",
  ],
};
