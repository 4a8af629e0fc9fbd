import { Secret } from "../../../src/secret.ts";
import { hour, minute } from "../../../src/time.ts";
import { broken, seconds } from "../session.ts";
import { type Asking, ahead, type Given, leased, limit, type Of, secretOf, textOf } from "./engine.ts";

/** AWS STS, AssumeRole: `DurationSeconds`. */
const [shortest, longest] = [15 * minute, 12 * hour];

export function checkAws(ttl: number): void {
  if (ttl < shortest || ttl > longest)
    throw limit("aws gives sessions of 15m to 12h", "set the credential's ttl to between 15m and 12h");
}

/** A session of STS, named after the lease; Vault has a lease for it, and cannot revoke it whatever it answers. */
export async function aws({ client, intent, now }: Asking, { path, role_arn }: Of<"aws">): Promise<Given> {
  const asked = { ttl: seconds(intent.ttl), role_session_name: intent.lease, ...(role_arn === undefined ? {} : { role_arn }) };
  const answer = await client.write(path, asked);
  // Older ones call it security_token. A user's key has none: it would live until somebody deletes it.
  const sessionToken = answer.data?.["session_token"] ?? answer.data?.["security_token"];
  if (typeof sessionToken !== "string" || sessionToken === "")
    throw broken("vault gave an IAM user's key instead of a session", "set credential_type=assumed_role on the aws role");
  const material = {
    kind: "aws-session",
    accessKeyId: textOf(answer, "access_key"),
    secretAccessKey: secretOf(answer, "secret_key"),
    sessionToken: Secret.of(sessionToken),
  } as const;
  return { material, until: ahead(now() + answer.lease_duration * 1_000, now(), intent.ttl, "aws session") };
}

/** An OAuth access token; Google cannot revoke one of a service account. */
export async function gcp({ client, intent, now }: Asking, { path }: Of<"gcp">): Promise<Given> {
  const answer = await client.read(path);
  const until = Number(answer.data?.["expires_at_seconds"]) * 1_000;
  return {
    material: { kind: "bearer", token: secretOf(answer, "token") },
    until: ahead(until, now(), intent.ttl, "access token"),
  };
}

/** A service principal's secret, which Vault deletes with the lease. */
export async function azure({ client, intent }: Asking, { path }: Of<"azure">): Promise<Given> {
  const answer = await client.read(path);
  const fields = { "client-id": secretOf(answer, "client_id"), "client-secret": secretOf(answer, "client_secret") };
  return { material: { kind: "fields", fields }, ...leased(answer, path, intent.ttl) };
}
