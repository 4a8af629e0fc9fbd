import { BrokerError } from "../../src/errors.ts";
import type { Intent, Proof } from "../../src/lease/provider.ts";
import { type Auth, type ClientParts, VaultClient } from "./client.ts";
import type { SecretFile } from "./secret-file.ts";

/** A provider of this type, once configured. */
export interface Room extends Omit<ClientParts, "signal"> {
  /** The host's own secret; undefined where it logs in by a JWT. */
  readonly file: SecretFile | undefined;
}

/** One call of the provider. */
export interface Call extends Room {
  readonly proof: Proof;
  readonly signal: AbortSignal;
}

/** A token of Vault's, and a client that speaks as it. */
export interface Speaking {
  readonly client: VaultClient;
  readonly auth: Auth;
}

/**
 * The token of one lease, which carries the lease's name in its metadata: what `recover` looks for. A role of the jwt mount gives it at
 * login, since our proof names the lease. Any other login says only who the host or the job is, so there a token role makes it, and the
 * login's own token is given back before anything else is done.
 */
export async function openLease(call: Call, intent: Intent, role: string | undefined): Promise<Speaking> {
  const { login } = call.config;
  if (login.method === "jwt" && login.token_role === undefined)
    return checked(call, intent, await jwtLogin(call, { ...login, role: role ?? login.role }));
  const { lease, template, workload, session } = intent;
  const body = { ...lifeOf(call, intent), meta: { lease, template, workload, session } };
  return checked(call, intent, await throughRole(call, role ?? login.token_role ?? "", body));
}

/** Where a lease's token was made, by Vault's own word: together with the metadata, the mark that it is ours. */
export function madeAt({ config: { login } }: Room, role: string | undefined): string {
  if (login.method === "jwt" && login.token_role === undefined) return `auth/${login.mount}/login`;
  return `auth/token/create/${role ?? login.token_role}`;
}

/** Speaks as the sweeper, or as another role of its kind, for the length of `work`. */
export async function asRole<T>(call: Call, role: string, work: (client: VaultClient) => Promise<T>): Promise<T> {
  const { login, sweeper } = call.config;
  const { client } =
    login.method === "jwt"
      ? await jwtLogin(call, { mount: sweeper.mount ?? login.mount, audience: sweeper.audience ?? login.audience, role })
      : await throughRole(call, role, { ttl: "60s", explicit_max_ttl: "60s" });
  try {
    return await work(client);
  } finally {
    // Best effort: it can do little, and it lives as long as its role allows at most.
    await client.write("auth/token/revoke-self", {}).catch(() => undefined);
  }
}

/** Without certainty that the token is gone nothing may claim that nothing is left: the error is then none of the certain ones. */
export async function giveBack(client: VaultClient): Promise<void> {
  await client.write("auth/token/revoke-self", {}).catch((error: unknown) => {
    const detail = error instanceof BrokerError ? error.detail : undefined;
    throw new BrokerError("internal", "vault's login token could not be revoked", {
      detail: detail ?? "the answer was lost",
      hint: "the role's policy must allow auth/token/revoke-self",
    });
  });
}

/** Certain that Vault refused: then nothing is left once the login is undone. If that fails, the outcome is unknown. */
export async function undo(client: VaultClient, error: unknown): Promise<never> {
  if (!(error instanceof BrokerError) || !certain.has(error.code)) throw error;
  await giveBack(client);
  throw error;
}

const certain: ReadonlySet<string> = new Set(["provider-refused", "provider-unavailable"]);

export function broken(message: string, hint?: string): BrokerError {
  return new BrokerError("provider-broken-promise", message, hint === undefined ? {} : { hint });
}

/** How long a lease's token lives unless it is renewed, and at the most; Vault counts in seconds. */
function lifeOf({ config: { dead_man } }: Call, { ttl }: Intent): Readonly<Record<string, string>> {
  return { ttl: seconds(Math.min(dead_man ?? ttl, ttl)), explicit_max_ttl: seconds(ttl) };
}

export function seconds(span: number): string {
  return `${Math.floor(span / 1_000)}s`;
}

async function jwtLogin(
  call: Call,
  { mount, role, audience }: { readonly mount: string; readonly role: string; readonly audience: string },
): Promise<Speaking> {
  const client = new VaultClient(call);
  const jwt = (await call.proof.token(audience)).use((bytes) => bytes.toString("utf8"));
  client.hide(jwt);
  const auth = await client.tokenFrom(`auth/${mount}/login`, { role, jwt });
  return { auth, client: client.as(auth.client_token) };
}

/** A token of a token role: an orphan, so that it outlives the login's token, and no policy of an entity's comes with it. */
async function throughRole(call: Call, role: string, body: Readonly<Record<string, unknown>>): Promise<Speaking> {
  const { client, isOurs } = await hostLogin(call);
  const auth = await client.tokenFrom(`auth/token/create/${role}`, body).catch((error: unknown) => {
    if (isOurs) return undo(client, error);
    throw error;
  });
  if (isOurs) await giveBack(client);
  if (!auth.orphan) throw broken("vault's token role gives tokens that hang on the login", "set orphan=true on the token role");
  return { auth, client: client.as(auth.client_token) };
}

/** As whom the host, or the job, is known to Vault. A token that was given to us in a file is not ours to revoke. */
async function hostLogin(call: Call): Promise<{ readonly client: VaultClient; readonly isOurs: boolean }> {
  const { login } = call.config;
  if (login.method === "jwt") return { ...(await jwtLogin(call, login)), isOurs: true };
  const client = new VaultClient(call);
  const own = await call.file?.read(new VaultClient({ ...call, signal: new AbortController().signal }));
  const secret = own?.use((bytes) => bytes.toString("utf8")) ?? "";
  if (login.method === "token") return { client: client.as(secret), isOurs: false };
  client.hide(secret);
  const auth = await client.tokenFrom(`auth/${login.mount}/login`, { role_id: login.role_id, secret_id: secret });
  return { client: client.as(auth.client_token), isOurs: true };
}

/**
 * A batch token cannot be revoked and has no accessor; a root token is no job's. Its life bounds what a lost answer may have left: what is
 * too long is left as it is and called unknown, and the sweeper finds it by its name and ends it.
 */
function checked({ config: { dead_man } }: Call, { ttl }: Intent, speaking: Speaking): Speaking {
  const { token_type, accessor, policies, lease_duration, renewable } = speaking.auth;
  if (token_type !== "service" || accessor === "") throw broken("vault's login role must give service tokens");
  if (policies?.includes("root") === true) throw broken("vault's login role gives a root token");
  if (lease_duration === 0 || lease_duration * 1_000 > ttl)
    throw broken(
      "vault's login token lives longer than the credential may",
      "set the login role's token_ttl to at most the template's ttl",
    );
  if (dead_man === undefined) return speaking;
  if (lease_duration * 1_000 > dead_man)
    throw broken("vault's login token lives longer than dead_man says", "set the login role's token_ttl to dead_man");
  if (!renewable)
    throw broken("vault's login token cannot be renewed", "a role that is used with dead_man must give renewable tokens");
  return speaking;
}
