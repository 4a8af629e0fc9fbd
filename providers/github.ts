import { BrokerError } from "../src/errors.ts";
import type { Handle, Minted, MintRequest, Provider, ProviderContext, ProviderType } from "../src/lease/provider.ts";
import { Secret } from "../src/secret.ts";
import { hour } from "../src/time.ts";
import { authorityOf, config, type GithubConfig } from "./github/config.ts";
import { type GithubOptions, options, scopeOf } from "./github/options.ts";
import { createToken, endToken } from "./github/token.ts";
import type { Parts } from "./github/wire.ts";

/**
 * GitHub: a token of one installation of a GitHub App, for named repositories and permissions. Nothing but the token itself can end it, so the
 * handle is the token, sealed. GitHub names no token and keeps no list of them: one whose answer was lost lives for its hour.
 */
export const github: ProviderType<GithubConfig, GithubOptions> = {
  type: "github",
  proves: ["host"],
  config,
  create(settings: GithubConfig, { clock, authority: keys }: ProviderContext): Provider<GithubOptions> {
    const parts: Parts = { config: settings, authority: authorityOf(settings), clock };
    const sealed = (token: string, lease: string): Handle => ({ token: keys.seal(Secret.of(token)), lease });
    return {
      options,
      gives: () => "bearer",
      ends: () => "revoke",
      mint: (request) => mint(parts, request, sealed),
      revocation: {
        revoke: async ({ token = "", lease = "" }, { signal }) => {
          const secret = keys.unseal(token);
          const text = secret.use((bytes) => bytes.toString("utf8"));
          secret.wipe();
          await endToken(parts, text, lease, signal);
        },
        recover: async ({ latestExpiry }, _asked, { signal }) => {
          signal.throwIfAborted();
          return { kind: "found", ending: { kind: "expires", at: latestExpiry } };
        },
      },
    };
  },
};

async function mint(
  parts: Parts,
  { intent, options: asked, signal }: MintRequest<GithubOptions>,
  sealed: (token: string, lease: string) => Handle,
): Promise<Minted> {
  signal.throwIfAborted();
  // What is called unknown is waited out until the ttl is over: it must not be shorter than what GitHub gives.
  if (intent.ttl < hour)
    throw new BrokerError("provider-refused", "github's tokens live an hour, which is longer than the template's ttl", {
      hint: "write ttl: 1h: the token is ended with its job, and one whose answer was lost lives that long",
    });
  const { lease, ttl } = intent;
  const scope = scopeOf(asked);
  const { token, expiresAt } = await createToken(parts, { scope, lease, until: parts.clock.now() + ttl, signal });
  return {
    material: { kind: "bearer", token: Secret.of(token) },
    ending: { kind: "revoke", handle: sealed(token, lease), expiresAt },
  };
}
