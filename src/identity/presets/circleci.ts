import { hour } from "../../time.ts";
import type { Claims } from "../profile.ts";
import { common, type Preset, uuid } from "./preset.ts";

const project = "oidc.circleci.com/project-id";

const circleClaims = [
  "context-ids",
  "job-id",
  "pipeline-definition-id",
  "pipeline-id",
  "project-id",
  "ssh-rerun",
  "vcs-origin",
  "vcs-ref",
  "workflow-id",
];

/**
 * CircleCI, one issuer per organisation.
 *
 * Claims: circleci.com/docs/openid-connect-tokens; the ids of workflow and job are those that Sigstore's Fulcio reads. No jti documented.
 * Ask for a token of our own audience (`circleci run oidc get --claims '{"aud": …}'`): the ones in the environment are made for the
 * organisation's id, and everybody who is shown one could present it here.
 *
 * Trust: unknown. `vcs-ref` and `vcs-origin` name a ref and a repository, never whether the ref is protected, and neither is there for custom
 * webhooks. Forks get a token where the project passes secrets to them: then their `vcs-origin` is another.
 */
export const circleci: Preset = {
  ...common,
  issuer: {
    usual: undefined,
    form: "https://oidc.circleci.com/org/ORG-UUID",
    fits: new RegExp(`^https://oidc\\.circleci\\.com/org/${uuid}$`),
    path: undefined,
    vendors: /^https:\/\/oidc\.circleci\.com(?:[/:]|$)/,
  },
  // The organisation.
  usualAudiences: [new RegExp(`^${uuid}$`, "i")],
  maxLifetime: hour,
  text: ["oidc.circleci.com/vcs-origin", "oidc.circleci.com/vcs-ref"],
  workload: [project],
  identifying: [project],
  job: [],
  jobWhereSent: ["oidc.circleci.com/workflow-id", "oidc.circleci.com/job-id"],
  jti: "absent",
  names: ["oidc.circleci.com/vcs-origin"],
  known: circleClaims.map((name) => `oidc.circleci.com/${name}`),
  lists: ["oidc.circleci.com/context-ids"],
  refuses: circleFlaw,
};

function circleFlaw(claims: Claims): string | undefined {
  // Whoever started it has a shell in the job: the pipeline does not say what runs. Silence is no proof either.
  if (claims["oidc.circleci.com/ssh-rerun"] !== false) return "a rerun with SSH, or nothing said about it";
  const organisation = String(claims["iss"]).split("/").at(-1);
  const begins = `org/${organisation}/project/${String(claims[project])}/`;
  return String(claims["sub"]).startsWith(begins) ? undefined : "the organisation and project in its sub are not its own";
}
