import { readFileSync } from "node:fs";
import { z } from "zod";
import { duration } from "../../src/duration.ts";
import { BrokerError } from "../../src/errors.ts";
import type { ProofKind } from "../../src/lease/provider.ts";

/** What Vault takes as the name of a role or a mount; nothing that would need escaping in a path. */
export const name = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(\/[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})*$/, "write a plain Vault name");

const file = z.string().startsWith("/", "name the file by its absolute path");
const audience = z.string().min(1).max(255);

const jwt = z.strictObject({
  method: z.literal("jwt"),
  mount: name.default("jwt").describe("The jwt auth mount, without `auth/`."),
  role: name.describe("The jwt role to log in as."),
  audience: audience.describe("The token's audience; the role's bound_audiences must contain it."),
  token_role: name
    .optional()
    .describe("Make each lease's token through this token role, and give the login's token back. Needed with `as: job`."),
});

const wrapped = z
  .boolean()
  .default(false)
  .describe("The file holds a response-wrapping token of what is meant: it opens once, so a thief's opening shows.");

const approle = z.strictObject({
  method: z.literal("approle"),
  mount: name.default("approle").describe("The approle auth mount, without `auth/`."),
  role_id: z.string().min(1).max(4_096).describe("The role id: a name, not a secret."),
  secret_id_file: file.describe("The file with the secret id; only the broker's user may read it."),
  wrapped,
  token_role: name.describe("The token role through which each lease's token is made."),
});

const token = z.strictObject({
  method: z.literal("token"),
  token_file: file.describe("The file with the broker's own token, such as an agent's sink; read anew for each lease."),
  wrapped,
  token_role: name.describe("The token role through which each lease's token is made."),
});

/** By a JWT unless it says otherwise. */
const login = z.preprocess(
  (given) => (typeof given === "object" && given !== null && !("method" in given) ? { ...given, method: "jwt" } : given),
  z.discriminatedUnion("method", [jwt, approle, token]),
);

/** What can be rotated: a root credential, a static role's password, or a transit key. */
const rotatable = z
  .string()
  .regex(
    /^(?!(?:sys|auth|identity|cubbyhole)\/)[A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+)*\/(?:rotate-(?:root|role)\/[A-Za-z0-9_-]+|config\/rotate-root|rotate-root|keys\/[A-Za-z0-9_-]+\/rotate)$/,
    "write the path that rotates it: database/rotate-root/NAME, database/rotate-role/NAME, aws/config/rotate-root or transit/keys/NAME/rotate",
  );

/** The entry in mayfly.yaml. */
export const config = z
  .strictObject({
    address: z.url({ protocol: /^https?$/ }).describe("https://HOST:PORT of Vault, or of the balancer before it."),
    allow_plaintext: z.boolean().default(false).describe("Plain http, for a Vault on this very host; refused for any other."),
    namespace: name.optional().describe("The namespace of the login, of all paths and of their leases."),
    ca: file.optional().describe("A PEM file that replaces the public authorities."),
    login: login.describe("How the broker logs in for a job."),
    sweeper: z
      .strictObject({
        role: name.describe("The revoke-only role: a jwt role, or, for approle and token logins, a token role."),
        mount: name.optional().describe("Another jwt mount than the login's. Needed with `as: job`."),
        audience: audience.optional().describe("Another audience than the login's."),
      })
      .describe("Who ends leases and finds lost ones."),
    dead_man: duration
      .optional()
      .describe(
        "Each lease's token lives this long and is renewed while its job runs; what a dead broker left ends within it.",
      ),
    rotation: z
      .strictObject({
        role: name.describe("The role that may write to these paths; of the sweeper's kind and mount."),
        paths: z.array(rotatable).min(1).describe("What `mayfly rotate` may rotate, by its Vault path."),
      })
      .optional()
      .describe("Stored secrets that Vault can replace."),
    timeout: duration.prefault("5s").describe("For each request."),
  })
  .refine(({ address, allow_plaintext }) => isSafe(new URL(address), allow_plaintext), {
    path: ["address"],
    message: "the address must be https; plain http is for loopback only, with allow_plaintext: true",
  })
  .refine(({ dead_man = 60_000 }) => dead_man >= 10_000, { path: ["dead_man"], message: "less than 10s cannot be kept up" });

export type VaultConfig = z.output<typeof config>;
export type HostLogin = z.output<typeof approle> | z.output<typeof token>;

function isSafe(address: URL, plaintext: boolean): boolean {
  if (address.username !== "" || address.search !== "" || address.hash !== "") return false;
  return address.protocol === "https:" || (plaintext && ["127.0.0.1", "[::1]", "localhost"].includes(address.hostname));
}

export function authorityOf({ ca }: VaultConfig): string | undefined {
  if (ca === undefined) return undefined;
  try {
    return readFileSync(ca, "utf8");
  } catch (cause) {
    throw new BrokerError("config-invalid", `a vault provider's ca file ${ca} cannot be read`, { cause });
  }
}

/** Whose identity a login shows must be written down, for whoever reads mayfly.yaml: it is never inferred from the way of login. */
export function checkProof({ login: way, sweeper }: VaultConfig, as: ProofKind): void {
  const refuse = (why: string): never => {
    throw new BrokerError("config-invalid", `a vault provider's login does not fit its as: ${as}: ${why}`);
  };
  if (way.method !== "jwt") {
    if (as !== "host") refuse(`a login by ${way.method} is the host's own identity, so write as: host`);
    if (sweeper.mount !== undefined || sweeper.audience !== undefined) refuse("its sweeper is a token role and nothing more");
    return;
  }
  if (as === "host") refuse("as: host logs in by approle or token");
  if (as === "job" && way.token_role === undefined) refuse("a job's own token names no lease, so login.token_role is needed");
  if (as === "job" && sweeper.mount === undefined)
    refuse("no job is there when its lease is ended: sweeper.mount must be a jwt mount that trusts the broker");
}
