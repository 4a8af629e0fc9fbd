import { issuersSchema } from "../../../src/identity/issuers/issuers.ts";
import { rsaKey } from "../issuer.ts";

/** Issuers as mayfly.yaml has them, and what does not load of one. */
export const audience = "https://broker.example";
export const generic = { url: "https://ci.example", audience, workload: ["project_id"], job: ["job_id"] };
export const github = { preset: "github", audience };
export const spiffe = { preset: "spiffe", url: "spiffe://example.org", audience, jwks: { file: "/etc/mayfly/bundle.json" } };
export const key = rsaKey("k1").jwk;

export function flaws(issuer: unknown, name = "ci"): string {
  const parsed = issuersSchema.safeParse({ [name]: issuer });
  return parsed.success ? "" : parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ");
}
