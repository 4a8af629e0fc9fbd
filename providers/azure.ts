import { durationText } from "../src/duration-text.ts";
import { BrokerError } from "../src/errors.ts";
import type { Minted, Provider, ProviderContext, ProviderType } from "../src/lease/provider.ts";
import type { Duration } from "../src/time.ts";
import { type AzureConfig, authorityOf, config, vaultScope } from "./azure/config.ts";
import { type Parts, tokenFor } from "./azure/entra.ts";
import { readSecret } from "./azure/key-vault.ts";
import { type Asked, type AzureOptions, options } from "./azure/options.ts";

/**
 * Microsoft Azure. A lease is an access token of an app for one resource, or a value of a Key Vault. Entra ID gives tokens of a life that nobody can
 * choose, has no way to end one and no list of them: `none` is what it can revoke, and a template says with its `ttl` that it takes that long.
 * The token that a secret is read with never leaves the broker and is forgotten with the call, so it is no credential of the lease's.
 */
export const azure: ProviderType<AzureConfig, AzureOptions> = {
  type: "azure",
  proves: ["broker", "job"],
  config,
  create(settings: AzureConfig, { clock }: ProviderContext): Provider<AzureOptions> {
    const authority = authorityOf(settings);
    return {
      options,
      gives: ({ secret }) => (secret === undefined ? "bearer" : "fields"),
      ends: ({ secret }) => (secret === undefined ? "expires" : "static"),
      revocation: "none",
      async mint({ intent, options: asked, proof, signal }) {
        signal.throwIfAborted();
        const parts = { config: settings, authority, clock, proof, signal };
        return asked.scope === undefined
          ? stored(parts, asked)
          : given(parts, { client: asked.client_id, scope: asked.scope }, intent.ttl);
      },
    };
  },
};

/** A ttl below what Entra gives would be a promise that nobody keeps, so nobody is asked. */
async function given(
  parts: Parts,
  wanted: { readonly client: string; readonly scope: string },
  life: Duration,
): Promise<Minted> {
  const { token_life: longest } = parts.config;
  if (life < longest)
    throw new BrokerError(
      "provider-refused",
      `entra's tokens live for up to ${durationText(longest)}, and nobody can ask for less`,
      {
        hint: `take that on in the template with ttl: ${durationText(longest)}; or, where a token lifetime policy of the resource or the tenant makes it less, say so as token_life in mayfly.yaml`,
      },
    );
  const { token, at } = await tokenFor(parts, { ...wanted, life });
  return { material: { kind: "bearer", token }, ending: { kind: "expires", at } };
}

/** A stored value: it outlives the job. */
async function stored(parts: Parts, asked: Asked): Promise<Minted> {
  const { token } = await tokenFor(parts, { client: asked.client_id, scope: vaultScope(parts.config) });
  try {
    return { material: { kind: "fields", fields: await readSecret(parts, token, asked) }, ending: { kind: "static" } };
  } finally {
    token.wipe();
  }
}
