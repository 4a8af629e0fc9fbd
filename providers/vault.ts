import { BrokerError } from "../src/errors.ts";
import type { Minted, MintRequest, Provider, ProviderContext, ProviderType } from "../src/lease/provider.ts";
import { Secret } from "../src/secret.ts";
import type { Instant } from "../src/time.ts";
import { type Auth, type ClientParts, type Envelope, VaultClient } from "./vault/client.ts";
import { authorityOf, config, options, type VaultConfig, type VaultOptions } from "./vault/config.ts";
import { endLease, findLease } from "./vault/leases.ts";

/**
 * HashiCorp Vault and OpenBao. For each lease the broker logs in with a proof of its own that names the lease, so that Vault's
 * token carries the lease's name in its metadata: that is what `recover` looks for. The job never sees that token.
 */
export const vault: ProviderType<VaultConfig, VaultOptions> = {
  type: "vault",
  config,
  create(settings: VaultConfig, { clock }: ProviderContext): Provider<VaultOptions> {
    const authority = authorityOf(settings);
    const parts = (signal: AbortSignal): ClientParts => ({ config: settings, authority, clock, signal });
    return {
      options,
      gives: ({ kind }) => (kind === "kv" ? "fields" : "username-password"),
      ends: ({ kind }) => (kind === "kv" ? "static" : "revoke"),
      mint: (request) => mint(parts(request.signal), request),
      revocation: {
        revoke: (handle, { proof, signal }) => endLease(parts(signal), handle, proof),
        recover: (intent, asked, { proof, signal }) => findLease(parts(signal), intent, asked, proof),
      },
    };
  },
};

async function mint(parts: ClientParts, request: MintRequest<VaultOptions>): Promise<Minted> {
  const { options: asked, proof } = request;
  const client = new VaultClient(parts);
  const auth = await client.login(asked.role ?? parts.config.login.role, await proof.token(parts.config.login.audience));
  checkToken(auth);
  const answer = await client.read(asked.path).catch((error: unknown) => undo(client, error));
  if (asked.kind === "kv") return stored(client, answer);
  return dynamic(request, auth, answer, parts.clock.now());
}

/** Certain that Vault refused the read: then nothing is left once the login is undone. If that fails, the outcome is unknown. */
async function undo(client: VaultClient, error: unknown): Promise<never> {
  if (!(error instanceof BrokerError)) throw error;
  await giveBack(client);
  throw error;
}

/** Without certainty that the token is gone nothing may claim that nothing is left: the error is then none of the certain ones. */
async function giveBack(client: VaultClient): Promise<void> {
  await client.write("auth/token/revoke-self", {}).catch((error: unknown) => {
    const detail = error instanceof BrokerError ? error.detail : undefined;
    throw new BrokerError("internal", "vault's login token could not be revoked", {
      detail: detail ?? "the answer was lost",
      hint: "the role's policy must allow auth/token/revoke-self",
    });
  });
}

/** A batch token cannot be revoked and has no accessor; a root token is no job's. */
function checkToken(auth: Auth): void {
  if (auth.token_type !== "service" || auth.accessor === "") throw broken("vault's login role must give service tokens");
  if (auth.policies?.includes("root") === true) throw broken("vault's login role gives a root token");
}

/** A stored value: it outlives the job, and all that we can end is our way to it. */
async function stored(client: VaultClient, answer: Envelope): Promise<Minted> {
  await giveBack(client);
  if (answer.lease_id !== "") throw broken("a kv path answered with a lease");
  const fields = fieldsOf(answer.data ?? {});
  if (Object.keys(fields).length === 0) throw new BrokerError("provider-refused", "the secret holds no fields");
  return { material: { kind: "fields", fields }, ending: { kind: "static" } };
}

/** KV v2 wraps the secret in `data.data`, beside its `metadata`; v1 does not. */
function fieldsOf(data: Readonly<Record<string, unknown>>): Readonly<Record<string, Secret>> {
  const { data: inner, metadata } = data;
  const secret = isRecord(inner) && isRecord(metadata) && typeof metadata["version"] === "number" ? inner : data;
  const texts = Object.entries(secret).map(([name, value]): [string, string] => [
    name,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  return Object.fromEntries(texts.map(([name, text]) => [name, Secret.of(text)]));
}

/**
 * A lease never outlives its token (facts E.3), so it lives as long as the shorter of the two. The token's own life counts too: it bounds
 * what a lost answer may have left. What is too long is left as it is and called unknown: the sweeper finds it by its name and ends it.
 */
function dynamic({ intent, options: asked }: MintRequest<VaultOptions>, auth: Auth, answer: Envelope, now: Instant): Minted {
  const { username, password } = answer.data ?? {};
  if (answer.lease_id === "" || typeof username !== "string" || typeof password !== "string") {
    throw broken("a dynamic path must answer with a username, a password and a lease");
  }
  if (auth.lease_duration * 1_000 > intent.ttl) {
    throw broken(
      "vault's login token lives longer than the credential may",
      "set the login role's token_ttl to at most the template's ttl",
    );
  }
  if (answer.lease_duration * 1_000 > intent.ttl) {
    throw broken("vault's lease lives longer than was asked", "set the engine role's max_ttl to at most the template's ttl");
  }
  return {
    material: { kind: "username-password", username, password: Secret.of(password) },
    ending: {
      kind: "revoke",
      handle: { accessor: auth.accessor, leaseId: answer.lease_id, path: asked.path },
      expiresAt: now + Math.min(auth.lease_duration, answer.lease_duration) * 1_000,
    },
  };
}

function broken(message: string, hint?: string): BrokerError {
  return new BrokerError("provider-broken-promise", message, hint === undefined ? {} : { hint });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
