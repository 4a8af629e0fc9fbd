import { hour } from "../../time.ts";
import type { Claims, NestedClaim } from "../profile.ts";
import { common, host, type Preset } from "./preset.ts";

const nested: readonly NestedClaim[] = [
  { path: ["kubernetes.io", "namespace"], as: "kubernetes.io/namespace" },
  ...["serviceaccount", "pod", "node", "secret"].flatMap((kind) =>
    ["name", "uid"].map((member) => ({ path: ["kubernetes.io", kind, member], as: `kubernetes.io/${kind}/${member}` })),
  ),
];

/**
 * Kubernetes service accounts: projected tokens of any cluster (GKE, EKS, AKS, one's own).
 *
 * Claims: kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin, as one object `kubernetes.io`; each stands here under a name
 * such as `kubernetes.io/pod/uid`. A token of the default audience lives a year and is refused by its life: project one for our audience.
 * An account that is made again has another uid, and so is another workload.
 *
 * Trust: unknown. It says which pod and account, and nothing of a repository. A pod that was deleted since still has a valid token.
 */
export const kubernetes: Preset = {
  ...common,
  issuer: {
    usual: undefined,
    form: "https://HOST/PATH, exactly as the cluster's tokens have it in iss (AKS: with a slash at the end)",
    fits: new RegExp(`^https://${host}(?:/[^ ]*)?$`),
    path: undefined,
    vendors:
      /^https:\/\/(?:oidc\.eks\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?|container\.googleapis\.com|[a-z0-9.-]+\.oic\.prod-aks\.azure\.com)(?:[/:]|$)/,
  },
  // The API server's own, beside its issuer's name; and EKS' pod identities.
  usualAudiences: [/^https:\/\/kubernetes\.default(?:[.:/]|$)/, /^pods\.eks\.amazonaws\.com$/],
  algorithms: ["RS256", "ES256", "ES384", "ES512"],
  maxLifetime: hour,
  required: ["kubernetes.io/namespace", "kubernetes.io/serviceaccount/name"],
  text: nested.map(({ as }) => as),
  nested,
  workload: ["kubernetes.io/serviceaccount/uid"],
  identifying: ["kubernetes.io/serviceaccount/uid"],
  job: [],
  // A token that was asked for without a pod has none.
  jobWhereSent: ["kubernetes.io/pod/uid"],
  jti: "absent",
  names: [
    "kubernetes.io/namespace",
    "kubernetes.io/serviceaccount/name",
    "kubernetes.io/pod/name",
    "kubernetes.io/node/name",
    "kubernetes.io/secret/name",
    "sub",
  ],
  known: nested.map(({ as }) => as),
  refuses: accountFlaw,
};

function accountFlaw(claims: Claims): string | undefined {
  const names = ["kubernetes.io/namespace", "kubernetes.io/serviceaccount/name"].map((name) => String(claims[name]));
  return claims["sub"] === `system:serviceaccount:${names.join(":")}`
    ? undefined
    : "the account in its sub is not that of its claims";
}
