import { hour, minute } from "../../time.ts";
import type { Claims } from "../profile.ts";
import { common, type Preset, uuid } from "./preset.ts";

/**
 * Azure DevOps' service connections with Microsoft Entra's issuer, which new ones have had since November 2025.
 *
 * The tenant's issuer signs for all its users and applications: a `sub` that is not a service connection's is refused. The token names that
 * connection (tenant, Azure DevOps' own application, organisation, connection: ids all) and nothing of the run, so every pipeline that
 * may use the connection is the same workload, and its runs are one job.
 *
 * Claims: learn.microsoft.com/azure/devops/release-notes/2025/sprint-253-update, and the token that Teleport's RFD 211 recorded: no jti, and
 * a life of 24 h 5 min. `aud` is the application id of api://AzureADTokenExchange, the same for everybody.
 *
 * Trust: unknown. It says nothing of repository, branch or event.
 */
export const azureDevopsEntra: Preset = {
  ...common,
  issuer: {
    usual: undefined,
    form: "https://login.microsoftonline.com/TENANT-GUID/v2.0",
    fits: new RegExp(`^https://login\\.microsoftonline\\.com/${uuid}/v2\\.0$`),
    path: undefined,
    vendors: /^https:\/\/(?:login\.microsoftonline\.com|sts\.windows\.net)(?:[/:]|$)/,
  },
  audience: "fb60f99c-7a34-4190-8149-302f77469936",
  header: ["x5t"],
  maxLifetime: 24 * hour + 5 * minute,
  required: ["azp"],
  workload: ["sub"],
  identifying: ["sub"],
  job: [],
  jti: "absent",
  known: ["aio", "azp", "azpacr", "idtyp", "oid", "rh", "tid", "uti", "ver", "xms_*"],
  refuses: connectionFlaw,
};

/** Azure DevOps' application, the same in every tenant; in `sub` it is the GUID's bytes as base64url. */
export const entraApplication = { id: "499b84ac-1321-427f-aa17-267ca6975798", encoded: "rISbSSETf0KqFyZ8ppdXmA" };
const connection = new RegExp(`^/eid1/c/[a-z]+/t/[A-Za-z0-9_-]{22}/a/${entraApplication.encoded}/sc/${uuid}/${uuid}$`);

function connectionFlaw({ sub, azp }: Claims): string | undefined {
  return connection.test(String(sub)) && azp === entraApplication.id ? undefined : "not of an Azure DevOps service connection";
}
