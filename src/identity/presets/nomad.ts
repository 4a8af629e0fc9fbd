import { hour } from "../../time.ts";
import { common, host, type Preset } from "./preset.ts";

/**
 * Nomad workload identities; the servers need `oidc_issuer`, and the task an `identity` block with our audience and a `ttl`, without which
 * a token never expires and is refused.
 *
 * Claims: developer.hashicorp.com/nomad/docs/concepts/workload-identity, and nomad/structs/workload_id.go. Keys of clusters from before
 * 1.7 sign with EdDSA. `extra_claims` are not believed: their names are the cluster's own. A dispatched or periodic job has its parent's id.
 *
 * Nomad has no ids for jobs: a job's id is its name, and only unique within its namespace. So a job's id alone identifies nobody.
 *
 * Trust: unknown. Whoever may submit to the namespace decides what runs.
 */
export const nomad: Preset = {
  ...common,
  issuer: {
    usual: undefined,
    form: "https://HOST, exactly as oidc_issuer has it",
    fits: new RegExp(`^https://${host}(?:/[^ ]*)?$`),
    path: undefined,
    vendors: undefined,
  },
  usualAudiences: [/^nomadproject\.io$/],
  algorithms: ["RS256", "EdDSA"],
  maxLifetime: hour,
  text: ["nomad_task", "nomad_service", "vault_role"],
  workload: ["nomad_namespace", "nomad_job_id"],
  identifying: ["nomad_namespace", "sub"],
  job: ["nomad_allocation_id"],
  known: [
    "consul_namespace",
    "nomad_allocation_id",
    "nomad_job_id",
    "nomad_namespace",
    "nomad_service",
    "nomad_task",
    "vault_namespace",
    "vault_role",
  ],
};
