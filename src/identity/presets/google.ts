import { hour } from "../../time.ts";
import { common, type Preset } from "./preset.ts";

const machine = (name: string) => ({ path: ["google", "compute_engine", name], as: `google/compute_engine/${name}` });

const machines = ["project_id", "project_number", "zone", "instance_id", "instance_name"].map(machine);

/**
 * Google service accounts: machines of Compute Engine, GKE and Cloud Build, by their metadata service.
 *
 * Claims: cloud.google.com/compute/docs/instances/verifying-instance-identity; the machine is there with `format=full` alone. No jti.
 * One issuer for every Google identity in the world, and each can make a token for our audience: `sub`, the account's number, is all that
 * tells them apart. `email` is a label: a deleted account's address can be taken again.
 *
 * Trust: unknown. The token says which account and machine, and nothing of a build: Cloud Build's jobs all look alike.
 */
export const google: Preset = {
  ...common,
  issuer: {
    usual: "https://accounts.google.com",
    form: "https://accounts.google.com",
    fits: /^https:\/\/accounts\.google\.com$/,
    path: undefined,
    vendors: /^https:\/\/accounts\.google\.com(?:[/:]|$)/,
  },
  maxLifetime: hour,
  text: ["email", "azp"],
  nested: machines,
  workload: ["sub"],
  identifying: ["sub", "google/compute_engine/project_number"],
  job: [],
  jobWhereSent: ["google/compute_engine/instance_id"],
  jti: "absent",
  labels: ["email", "azp"],
  names: ["email", "google/compute_engine/instance_name"],
  known: ["azp", "email", "email_verified", "hd", ...machines.map(({ as }) => as)],
};
