import { readFileSync } from "node:fs";
import { z } from "zod";
import { duration } from "../../src/duration.ts";
import { BrokerError } from "../../src/errors.ts";
import { day, minute } from "../../src/time.ts";

/** Microsoft's clouds: where tokens are asked for, whom an assertion is made for, and where vaults are. */
const clouds = {
  public: { login: "https://login.microsoftonline.com", audience: "api://AzureADTokenExchange", vaults: "vault.azure.net" },
  "us-government": {
    login: "https://login.microsoftonline.us",
    audience: "api://AzureADTokenExchangeUSGov",
    vaults: "vault.usgovcloudapi.net",
  },
  china: {
    login: "https://login.partner.microsoftonline.cn",
    audience: "api://AzureADTokenExchangeChina",
    vaults: "vault.azure.cn",
  },
} as const;

const endpoint = z.url({ protocol: /^https?$/ });

/** A Key Vault's name; what it is called in its address (Key Vault, "Objects, identifiers, and versioning"). */
export const vaultName = z
  .string()
  .max(24)
  .regex(/^[a-zA-Z](?:-?[a-zA-Z0-9]){2,23}$/, "write a vault's name, such as shop-ci");

/** The entry in mayfly.yaml. */
export const config = z
  .strictObject({
    tenant: z.guid().describe("The tenant's id: `11111111-2222-3333-4444-555555555555`."),
    cloud: z.enum(["public", "us-government", "china"]).default("public").describe("Which of Microsoft's clouds."),
    audience: z
      .string()
      .min(1)
      .max(600)
      .optional()
      .describe(
        "Whom assertions are made for: the `audience` of the apps' federated credentials. Left out, the cloud's own: `api://AzureADTokenExchange`.",
      ),
    token_life: duration
      .prefault("90m")
      .refine((life) => life >= 10 * minute && life <= day, "a token lifetime policy takes 10m to 24h")
      .describe(
        "The longest that Entra ID's tokens live here. Nobody can ask for less: it is 60 to 90 minutes by chance, or what a token lifetime policy of the resource or the tenant says. A credential's `ttl` may not be shorter.",
      ),
    endpoints: z
      .strictObject({ login: endpoint.optional(), vaults: z.record(vaultName, endpoint).default({}) })
      .prefault({})
      .describe("Other addresses than the public ones, vaults by their names: private links."),
    allow_plaintext: z
      .boolean()
      .default(false)
      .describe("Plain http, for `endpoints` on this very host; refused for any other."),
    ca: z.string().startsWith("/").optional().describe("A PEM file that replaces the public authorities."),
    timeout: duration.prefault("5s").describe("For each request."),
  })
  .superRefine(({ endpoints: { login, vaults }, allow_plaintext }, context) => {
    for (const [name, address] of Object.entries({ ...vaults, login }))
      if (address !== undefined && !isSafe(new URL(address), allow_plaintext))
        context.addIssue({
          code: "custom",
          path: ["endpoints", name],
          message: "the address must be https, without a path; plain http is for loopback only, with allow_plaintext: true",
        });
  });

export type AzureConfig = z.output<typeof config>;

function isSafe(address: URL, plaintext: boolean): boolean {
  if (address.username !== "" || address.search !== "" || address.hash !== "" || address.pathname !== "/") return false;
  return address.protocol === "https:" || (plaintext && ["127.0.0.1", "[::1]", "localhost"].includes(address.hostname));
}

export function authorityOf({ ca }: AzureConfig): string | undefined {
  if (ca === undefined) return undefined;
  try {
    return readFileSync(ca, "utf8");
  } catch (cause) {
    throw new BrokerError("config-invalid", `an azure provider's ca file ${ca} cannot be read`, { cause });
  }
}

export function audienceOf({ cloud, audience }: AzureConfig): string {
  return audience ?? clouds[cloud].audience;
}

export function tokenUrl({ cloud, tenant, endpoints }: AzureConfig): URL {
  return new URL(`/${tenant}/oauth2/v2.0/token`, endpoints.login ?? clouds[cloud].login);
}

export function vaultUrl({ cloud, endpoints }: AzureConfig, vault: string): string {
  return endpoints.vaults[vault] ?? `https://${vault}.${clouds[cloud].vaults}`;
}

/** Every vault of a cloud is one resource: which of them a token opens is decided there, by its app's roles. */
export function vaultScope({ cloud }: AzureConfig): string {
  return `https://${clouds[cloud].vaults}/.default`;
}
