import { BrokerError } from "../src/errors.ts";
import type {
  EndRequest,
  Filled,
  Handle,
  Intent,
  Minted,
  MintRequest,
  Provider,
  ProviderContext,
  ProviderType,
  Recovered,
} from "../src/lease/provider.ts";
import type { Instant } from "../src/time.ts";
import { config, misfit, optionsFor, type PostgresConfig, type PostgresOptions } from "./postgres/config.ts";
import { endRole, oidOf } from "./postgres/end.ts";
import { Gate } from "./postgres/gate.ts";
import { renewRole } from "./postgres/renew.ts";
import { isOurs, makeRole, roleOf } from "./postgres/role.ts";
import { rotationOf } from "./postgres/rotation.ts";
import { newPassword, verifierOf } from "./postgres/scram.ts";
import { converse, type Server } from "./postgres/session.ts";

/**
 * PostgreSQL: for each lease a role of its own, whose name carries the lease. It owns nothing, may be one of the roles that the template
 * names, and is dropped at the end, after its sessions were ended: its expiry alone would only keep new ones out.
 */
export const postgres: ProviderType<PostgresConfig, PostgresOptions> = {
  type: "postgres",
  proves: ["host", "broker"],
  config,
  create(settings: PostgresConfig, context: ProviderContext): Provider<PostgresOptions> {
    const wrong = misfit(settings, context.as);
    if (wrong !== undefined) throw new BrokerError("config-invalid", `a provider of type postgres does not load: ${wrong}`);
    const gate = new Gate(settings.connections);
    const server = (signal: AbortSignal): Server => ({ config: settings, context, signal, gate });
    return {
      options: optionsFor(settings),
      gives: () => "username-password",
      ends: () => "revoke",
      mint: (request) => mint(server(request.signal), request),
      revocation: {
        revoke: (handle, { signal }: EndRequest) => endRole(server(signal), handle),
        recover: (intent, options, { signal }) => recover(server(signal), intent, options),
        ...(settings.renew_within === undefined ? {} : { renew: (handle, { signal }) => renewRole(server(signal), handle) }),
      },
      ...rotationOf(settings, context),
    };
  },
};

async function mint(server: Server, { intent, options }: MintRequest<PostgresOptions>): Promise<Minted> {
  const { context, config: settings } = server;
  const role = roleOf(intent.lease);
  const password = newPassword();
  const expiresAt = context.clock.now() + intent.ttl;
  const renewWithin = settings.renew_within;
  const until = renewWithin === undefined ? expiresAt : Math.min(expiresAt, context.clock.now() + renewWithin);
  const verifier = await verifierOf(password);
  await converse(server, (session) => makeRole(session, { role, verifier, until, options }));
  return {
    material: { kind: "username-password", username: role, password },
    ending: {
      kind: "revoke",
      handle: handleOf(role, expiresAt, options),
      expiresAt,
      ...(renewWithin === undefined ? {} : { renewWithin }),
    },
  };
}

function handleOf(role: string, expiresAt: Instant, { owned, roles }: Filled<PostgresOptions>): Handle {
  const owner = owned === "reassign" ? roles[0] : undefined;
  return { role, until: new Date(expiresAt).toISOString(), ...(owner === undefined ? {} : { owner }) };
}

async function recover(server: Server, { lease, latestExpiry }: Intent, options: Filled<PostgresOptions>): Promise<Recovered> {
  const role = roleOf(lease);
  if (!isOurs(role) || (await converse(server, (session) => oidOf(session, role))) === undefined)
    return { kind: "never-happened" };
  return { kind: "found", ending: { kind: "revoke", handle: handleOf(role, latestExpiry, options), expiresAt: latestExpiry } };
}
