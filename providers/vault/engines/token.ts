import { Secret } from "../../../src/secret.ts";
import { broken, seconds } from "../session.ts";
import type { Asking, Given, Of } from "./engine.ts";

/**
 * A child of the lease's token, with exactly the policies that the template names: for jobs that talk to Vault themselves, and for what must
 * not leave Vault, such as a transit key. It cannot be renewed by whoever holds it, and it ends with its parent at the latest.
 */
export async function childToken({ client, intent }: Asking, { policies, uses }: Of<"token">): Promise<Given> {
  const { lease, template, workload, session, ttl } = intent;
  const auth = await client.tokenFrom("auth/token/create", {
    policies,
    ttl: seconds(ttl),
    explicit_max_ttl: seconds(ttl),
    renewable: false,
    no_default_policy: true,
    type: "service",
    meta: { lease, template, workload, session },
    ...(uses === undefined ? {} : { num_uses: uses }),
  });
  const asked = new Set(policies);
  if (auth.policies?.every((policy) => asked.has(policy)) !== true || auth.token_type !== "service" || auth.orphan) {
    throw broken(
      "vault's child token may do more than was asked",
      "an identity entity or group adds a policy to it: take it off, or make leases' tokens through a token role",
    );
  }
  if (auth.renewable || auth.lease_duration === 0 || auth.lease_duration * 1_000 > ttl)
    throw broken("vault's child token lives longer than was asked");
  return {
    material: { kind: "bearer", token: Secret.of(auth.client_token) },
    life: auth.lease_duration * 1_000,
  };
}
