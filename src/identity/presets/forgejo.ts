import { minute } from "../../time.ts";
import { actionsClaims, actionsNames, actionsTrust, actionsTrusts } from "./actions.ts";
import { common, host, type Preset } from "./preset.ts";

/**
 * Forgejo Actions, since the release that has `repository_id` in its tokens (2026); Gitea's differ, and have no preset.
 *
 * Claims: forgejo.org/docs/next/user/actions/security-openid-connect, and `claims_supported` of its own integration test. No jti, and
 * nothing that tells two jobs of one run apart.
 * `sub` may have ids joined by `-`, which names may have too (my-org-123456 is also a name): nothing is read from it.
 *
 * Trust: as GitHub's. Releases that always send `ref_protected: false` never give `protected`.
 */
export const forgejo: Preset = {
  ...common,
  issuer: {
    usual: undefined,
    form: "https://HOST/api/actions",
    fits: new RegExp(`^https://${host}(?:/[^ ]+)?/api/actions$`),
    path: undefined,
    vendors: /\/api\/actions$/,
  },
  maxLifetime: 60 * minute,
  required: ["ref", "event_name"],
  text: ["repository", "repository_owner", "ref_type", "workflow_ref"],
  workload: ["repository_id"],
  identifying: ["repository_id", "repository_owner_id"],
  job: ["run_id", "run_attempt"],
  jti: "absent",
  trust: actionsTrust,
  trusts: actionsTrusts,
  names: actionsNames,
  known: actionsClaims,
};
