import { BrokerError } from "../src/errors.ts";
import type { Minted, MintRequest, Provider, ProviderContext, ProviderType } from "../src/lease/provider.ts";
import type { Secret } from "../src/secret.ts";
import { type Duration, minute } from "../src/time.ts";
import { authorityOf, config, type GcpConfig } from "./gcp/config.ts";
import { Google } from "./gcp/google.ts";
import { everything, type Identity, ownToken, poolToken } from "./gcp/identity.ts";
import { type Asked, type GcpOptions, optionsFor } from "./gcp/options.ts";
import { readSecret } from "./gcp/stored.ts";
import { actAs, checkLife, downscope, fixedLife, type Given, identify, longest, refused } from "./gcp/tokens.ts";

/** Long enough to read one secret with. */
const readingLife: Duration = 5 * minute;

/**
 * Google Cloud. A lease is a token of a service account, for the template's scopes, for Storage within a boundary, or for one audience; or a value
 * of Secret Manager. Google has no way to end a token and no list of them, so `none` is what it can revoke. What the broker asks with (the pool's
 * or the host's token, and for a boundary or a secret the service account's) never leaves the broker and is forgotten with the call, so it is
 * no credential of the lease's: a refusal on the way means that nothing came into being.
 */
export const gcp: ProviderType<GcpConfig, GcpOptions> = {
  type: "gcp",
  proves: ["broker", "host", "job"],
  config,
  create(settings: GcpConfig, { clock, as }: ProviderContext): Provider<GcpOptions> {
    const authority = authorityOf(settings);
    const { pool } = settings;
    if (as !== "host" && pool === undefined)
      throw new BrokerError(
        "config-invalid",
        "a gcp provider needs `pool`: the workload identity provider that trusts this broker",
        {
          hint: "or `as: host`, where the host has a Google identity of its own",
        },
      );
    return {
      options: optionsFor(as),
      gives: ({ secret }) => (secret === undefined ? "bearer" : "fields"),
      ends: ({ secret }) => (secret === undefined ? "expires" : "static"),
      revocation: "none",
      async mint({ intent, options, proof, signal }) {
        signal.throwIfAborted();
        if (options.secret === undefined) checkTtl(options, intent.ttl);
        const google = new Google({ config: settings, authority, clock, signal });
        const identity: Identity = as === "host" || pool === undefined ? { kind: "host" } : { kind: "pool", pool, proof };
        return options.secret === undefined ? token(google, identity, { intent, options }) : stored(google, identity, options);
      },
    };
  },
};

/** What nobody can ask Google for, before anybody is asked. */
function checkTtl({ service_account: account, scopes, id_token: audience }: Asked, ttl: Duration): void {
  const isFixed = audience !== undefined || (scopes !== undefined && account === undefined);
  if (isFixed && ttl < fixedLife)
    throw refused(
      "google's tokens of this kind live for an hour, and nobody can ask for less",
      audience === undefined
        ? "set the credential's ttl to 1h, or name a service_account: its tokens can be shorter"
        : "set the credential's ttl to 1h",
    );
  if (ttl < 1_000 || ttl > longest)
    throw refused(
      "google gives service accounts' tokens for at most 12h",
      "set the credential's ttl, and keep the run's timeout within it",
    );
}

type Wanted = Pick<MintRequest<GcpOptions>, "intent" | "options">;

async function token(google: Google, identity: Identity, wanted: Wanted): Promise<Minted> {
  const { token: bearer, at } = await given(google, identity, wanted);
  return { material: { kind: "bearer", token: bearer }, ending: { kind: "expires", at } };
}

async function given(google: Google, identity: Identity, { intent, options }: Wanted): Promise<Given> {
  const { service_account: account, scopes = [], storage, id_token: audience } = options;
  if (account === undefined) return direct(google, identity, scopes);
  const own = await ownToken(google, identity);
  try {
    if (audience !== undefined) return await identify(google, own, { account, audience });
    if (storage === undefined) return await actAs(google, own, { account, scopes, life: intent.ttl });
    const source = await actAs(google, own, { account, scopes: [everything], life: intent.ttl });
    return await wiping(source.token, () => downscope(google, source, storage));
  } finally {
    own.wipe();
  }
}

/** The pool's own principal, which was granted roles itself. */
async function direct(google: Google, identity: Identity, scopes: readonly string[]): Promise<Given> {
  if (identity.kind === "host") throw refused("the host's own token is no job's", "name a service_account");
  const { token: bearer, seconds } = await poolToken(google, identity, scopes);
  if (seconds === undefined) throw new BrokerError("provider-broken-promise", "google does not say how long its token lives");
  const now = google.parts.clock.now();
  const at = now + seconds * 1_000;
  checkLife(at, now, fixedLife);
  return { token: bearer, at };
}

/** A stored value: it outlives the job. */
async function stored(google: Google, identity: Identity, options: Asked): Promise<Minted> {
  const own = await ownToken(google, identity);
  const fields = await wiping(own, async () => {
    const { service_account: account } = options;
    if (account === undefined) return readSecret(google, own, options);
    const { token: reader } = await actAs(google, own, { account, scopes: [everything], life: readingLife });
    return wiping(reader, () => readSecret(google, reader, options));
  });
  return { material: { kind: "fields", fields }, ending: { kind: "static" } };
}

async function wiping<T>(secret: Secret, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    secret.wipe();
  }
}
