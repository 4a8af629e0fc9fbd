import { minute } from "../../time.ts";
import type { Claims } from "../profile.ts";
import { common, type Preset, uuid } from "./preset.ts";

/**
 * Azure DevOps' own issuer, and of its tokens the pipeline's: asked for without a service connection, its `sub` is p://ORG/PROJECT/PIPELINE.
 * A service connection's (sc://) has no ids at all and is refused. Microsoft retires this issuer for connections on 1 July 2027.
 *
 * Claims: learn.microsoft.com/rest/api/azure/devops/distributedtask/oidctoken/create, and the tokens that Teleport's RFD 211 recorded.
 * Its audience is the same for everybody: whoever the job shows this token could present it here first. It opens one session in its five
 * minutes, and no token of a job can say more.
 *
 * Trust: unknown. `rpo_ref` is refs/pull/N/merge for a pull request of Azure Repos, and nothing says whether a ref is protected.
 */
export const azureDevops: Preset = {
  ...common,
  issuer: {
    usual: undefined,
    form: "https://vstoken.dev.azure.com/ORGANISATION-GUID",
    fits: new RegExp(`^https://vstoken\\.dev\\.azure\\.com/${uuid}$`),
    path: undefined,
    vendors: /^https:\/\/vstoken\.dev\.azure\.com(?:[/:]|$)/,
  },
  audience: "api://AzureADTokenExchange",
  header: ["x5t"],
  maxLifetime: 15 * minute,
  required: ["org_id"],
  text: ["rpo_id", "rpo_uri", "rpo_ref", "rpo_ver"],
  workload: ["prj_id", "def_id"],
  identifying: ["prj_id"],
  job: ["run_id"],
  names: ["rpo_uri", "sub"],
  known: ["def_id", "org_id", "prj_id", "rpo_id", "rpo_ref", "rpo_uri", "rpo_ver", "run_id"],
  refuses: pipelineFlaw,
};

function pipelineFlaw({ sub, iss, org_id: organisation }: Claims): string | undefined {
  if (!String(sub).startsWith("p://")) return "of a service connection, not of a pipeline";
  return String(iss).endsWith(`/${String(organisation)}`) ? undefined : "of another organisation than its issuer";
}
