import { readFileSync } from "node:fs";
import { z } from "zod";
import { duration } from "../../src/duration.ts";
import { BrokerError } from "../../src/errors.ts";

const services = ["sts", "iam", "secretsmanager", "ssm"] as const;

export type Service = (typeof services)[number];

const endpoint = z.url({ protocol: /^https?$/ }).optional();

/** What IAM takes as a role's name with its path (IAM, `Role`): never a whole ARN, whose account could be another's. */
const roleName = z
  .string()
  .max(512)
  .regex(/^(?:[\w+=,.@-]+\/)*[\w+=,.@-]{1,64}$/, "write a role's name, such as mayfly-sweeper or ci/mayfly-sweeper");

/** The entry in mayfly.yaml. */
export const config = z
  .strictObject({
    region: z
      .string()
      .regex(/^[a-z]{2,}(?:-[a-z]+)+-\d{1,2}$/, "write a region, such as eu-central-1")
      .describe("Whose STS gives the sessions, and where secrets and parameters are read: `eu-central-1`."),
    audience: z
      .string()
      .min(1)
      .max(255)
      .default("sts.amazonaws.com")
      .describe("The client id that the accounts' identity provider for this broker lists; for `as: broker` and `as: job`."),
    sweeper: z
      .strictObject({
        role: roleName.describe(
          "The name of a role that may list, put and delete inline policies of the roles that jobs take on.",
        ),
      })
      .optional()
      .describe(
        "Who ends a session early, by a deny in an inline policy of its role; in each account where jobs take on roles. Left out, sessions only expire.",
      ),
    endpoints: z
      .strictObject({ sts: endpoint, iam: endpoint, secretsmanager: endpoint, ssm: endpoint })
      .default({})
      .describe("Other addresses than the public ones: VPC endpoints, FIPS, or a partition that Mayfly does not know."),
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
          message: "the address must be https; plain http is for loopback only, with allow_plaintext: true",
        });
    }
  });

export type AwsConfig = z.output<typeof config>;

function isSafe(address: URL, plaintext: boolean): boolean {
  if (address.username !== "" || address.search !== "" || address.hash !== "") return false;
  return address.protocol === "https:" || (plaintext && ["127.0.0.1", "[::1]", "localhost"].includes(address.hostname));
}

export function authorityOf({ ca }: AwsConfig): string | undefined {
  if (ca === undefined) return undefined;
  try {
    return readFileSync(ca, "utf8");
  } catch (cause) {
    throw new BrokerError("config-invalid", `an aws provider's ca file ${ca} cannot be read`, { cause });
  }
}

/** Always said, never left to the SDK: that would take it from AWS_ENDPOINT_URL or a shared file of whoever started the broker. */
export function endpointOf({ region, endpoints }: AwsConfig, service: Service): string {
  return endpoints[service] ?? (service === "iam" ? iamEndpoint(region) : `https://${service}.${region}.${suffixOf(region)}`);
}

function suffixOf(region: string): string {
  return region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
}

/** IAM has one endpoint a partition (AWS, "IAM endpoints and quotas"). */
function iamEndpoint(region: string): string {
  if (region.startsWith("cn-")) return "https://iam.cn-north-1.amazonaws.com.cn";
  return region.startsWith("us-gov-") ? "https://iam.us-gov.amazonaws.com" : "https://iam.amazonaws.com";
}

/** IAM signs for its partition's first region, whatever the sessions' region is. */
export function signingRegion({ region }: AwsConfig, service: Service): string {
  if (service !== "iam") return region;
  if (region.startsWith("cn-")) return "cn-north-1";
  return region.startsWith("us-gov-") ? "us-gov-west-1" : "us-east-1";
}
