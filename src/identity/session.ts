import { createHash } from "node:crypto";
import { z } from "zod";
import { BrokerError } from "../errors.ts";
import { Secret } from "../secret.ts";
import { bare } from "./bare.ts";
import type { Claim, Identity } from "./identity.ts";

/** It says nothing about its session and cannot be guessed: 32 random bytes behind a prefix that leak scanners can look for. */
export function newHandle(random: (bytes: number) => Uint8Array): Secret {
  return Secret.of(`mfs_${Buffer.from(random(32)).toString("base64url")}`);
}

const handleShape = /^mfs_[A-Za-z0-9_-]{43}$/;

/** SHA-256, hex: what the ledger keeps, which opens nothing. Throws `session-unknown` for what cannot be a handle. */
export function digestOf(handle: Secret): string {
  return handle.use((bytes) => {
    if (!handleShape.test(bytes.toString("latin1"))) throw new BrokerError("session-unknown");
    return createHash("sha256").update(bytes).digest("hex");
  });
}

const claim: z.ZodType<Claim> = z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]);

const identitySchema = z.strictObject({
  issuer: z.string().min(1),
  subject: z.string().min(1),
  workload: z.string().min(1),
  job: z.string().min(1),
  trust: z.enum(["protected", "branch", "pull_request", "fork", "unknown"]),
  claims: z.record(z.string(), claim),
  token: z.strictObject({ key: z.string().min(1), expiresAt: z.int() }),
});

/** An identity as the session's record keeps it. */
export function serialiseIdentity(identity: Identity): string {
  return JSON.stringify(identity);
}

/** The same identity again, its claims without a prototype. A record that does not fit is a broken ledger: `ledger-corrupt`. */
export function parseIdentity(text: string): Identity {
  const parsed = identitySchema.safeParse(parsedJson(text));
  if (!parsed.success) throw new BrokerError("ledger-corrupt", "a session's identity cannot be read", { cause: parsed.error });
  return { ...parsed.data, claims: bare(Object.entries(parsed.data.claims)) };
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
