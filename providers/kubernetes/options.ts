import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import { type Filled, slot } from "../../src/lease/provider.ts";

/** RFC 1123 label and subdomain (Kubernetes, "Object Names and IDs"). */
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const subdomain = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;

/** What is written without a slot is known to be right when the template loads; what a claim fills in is asked again before the call. */
const named = (shape: RegExp, what: string) =>
  slot("name").refine((text) => text.slots.length > 0 || shape.test(text.sample ?? ""), `write a ${what}'s name`);

/** The template's part. */
export const options = z.strictObject({
  namespace: named(label, "namespace").describe("Where the service account is; the lease's Secret is made there too."),
  service_account: named(subdomain, "service account").describe(
    "Whose token it is: what the job may do is what RBAC lets this account do.",
  ),
  audiences: z
    .array(z.string().min(1).max(512))
    .min(1)
    .max(8)
    .describe(
      "Who the token is for, word by word. For kubectl it is the API server's own: mostly `https://kubernetes.default.svc`.",
    ),
  verified_by: z
    .enum(["api-server", "signature"])
    .default("api-server")
    .describe(
      "How those who take the token check it. `api-server`: it is shown to the API server, or they ask it by TokenReview; it can be revoked. `signature`: they only verify its signature, so nobody can end it early.",
    ),
});

export type KubernetesOptions = z.output<typeof options>;

/** Throws `provider-refused` where a claim filled in what Kubernetes would not take as a name. */
export function checkNames({ namespace, service_account: account }: Filled<KubernetesOptions>): void {
  if (!label.test(namespace))
    throw new BrokerError("provider-refused", "filled with its claims, the namespace is no namespace's name");
  if (!subdomain.test(account))
    throw new BrokerError("provider-refused", "filled with its claims, the service account is no service account's name");
}
