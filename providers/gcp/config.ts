import { readFileSync } from "node:fs";
import { z } from "zod";
import { duration } from "../../src/duration.ts";
import { BrokerError } from "../../src/errors.ts";

const services = ["sts", "iamcredentials", "secretmanager"] as const;

export type Service = (typeof services)[number];

const endpoint = z.url({ protocol: /^https?$/ }).optional();

/** The entry in mayfly.yaml. */
export const config = z
  .strictObject({
    pool: z
      .string()
      .regex(
        /^projects\/\d{1,20}\/locations\/global\/workloadIdentityPools\/[a-z0-9-]{4,32}\/providers\/[a-z0-9-]{4,32}$/,
        "write projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER, with the project's number",
      )
      .optional()
      .describe(
        "The provider of a workload identity pool that trusts this broker: `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`. Not for `as: host`.",
      ),
    audience: z
      .string()
      .min(1)
      .max(256)
      .optional()
      .describe(
        "Whom proofs are made for: one of that provider's allowed audiences. Left out, Google's own default: `https://iam.googleapis.com/` and the pool.",
      ),
    endpoints: z
      .strictObject({ sts: endpoint, iamcredentials: endpoint, secretmanager: endpoint })
      .default({})
      .describe("Other addresses than the public ones: Private Service Connect, or another universe."),
    allow_plaintext: z
      .boolean()
      .default(false)
      .describe("Plain http, for `endpoints` on this very host; refused for any other."),
    ca: z.string().startsWith("/").optional().describe("A PEM file that replaces the public authorities."),
    timeout: duration.prefault("5s").describe("For each request."),
  })
  .superRefine(({ endpoints, allow_plaintext }, context) => {
    for (const service of services) {
      const address = endpoints[service];
      if (address !== undefined && !isSafe(new URL(address), allow_plaintext))
        context.addIssue({
          code: "custom",
          path: ["endpoints", service],
          message: "the address must be https, without a path; plain http is for loopback only, with allow_plaintext: true",
        });
    }
  });

export type GcpConfig = z.output<typeof config>;

function isSafe(address: URL, plaintext: boolean): boolean {
  if (address.username !== "" || address.search !== "" || address.hash !== "" || address.pathname !== "/") return false;
  return address.protocol === "https:" || (plaintext && ["127.0.0.1", "[::1]", "localhost"].includes(address.hostname));
}

export function authorityOf({ ca }: GcpConfig): string | undefined {
  if (ca === undefined) return undefined;
  try {
    return readFileSync(ca, "utf8");
  } catch (cause) {
    throw new BrokerError("config-invalid", `a gcp provider's ca file ${ca} cannot be read`, { cause });
  }
}

/** A regional secret is read where it lies (Secret Manager, "Regional endpoints"). */
export function addressOf({ endpoints }: GcpConfig, service: Service, path: string, location?: string): URL {
  const region = location === undefined ? "googleapis.com" : `${location}.rep.googleapis.com`;
  return new URL(path, endpoints[service] ?? `https://${service}.${region}`);
}
