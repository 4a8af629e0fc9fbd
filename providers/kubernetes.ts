import { BrokerError } from "../src/errors.ts";
import type { Minted, MintRequest, Provider, ProviderContext, ProviderType, Recovered } from "../src/lease/provider.ts";
import { Secret } from "../src/secret.ts";
import { endBinding, hasBinding, makeBinding, undoBinding } from "./kubernetes/binding.ts";
import { type Client, type ClientParts, openClient } from "./kubernetes/client.ts";
import { authorityOf, config, type KubernetesConfig, shownBy } from "./kubernetes/config.ts";
import { checkNames, type KubernetesOptions, options } from "./kubernetes/options.ts";
import { type Asked, checkLife, type Given, requestToken } from "./kubernetes/token.ts";

/**
 * Kubernetes: a token of a service account, by its TokenRequest API. For each lease an empty Secret is made that carries the lease's name, and
 * the token is bound to it: deleting the Secret ends the token, and looking for the Secret finds what a lost answer left.
 */
export const kubernetes: ProviderType<KubernetesConfig, KubernetesOptions> = {
  type: "kubernetes",
  proves: ["broker", "host"],
  config,
  create(settings: KubernetesConfig, { clock, as }: ProviderContext): Provider<KubernetesOptions> {
    const parts: ClientParts = { config: settings, shown: shownBy(settings, as), authority: authorityOf(settings), clock };
    return {
      options,
      gives: () => "bearer",
      ends: ({ verified_by: by }) => (by === "api-server" ? "revoke" : "expires"),
      mint: (request) => mint(parts, request),
      revocation: {
        revoke: async ({ namespace = "", secret = "" }, request) =>
          endBinding(await openClient(parts, request), { namespace, name: secret }),
        async recover({ lease, latestExpiry: at }, { namespace, verified_by: by }, request): Promise<Recovered> {
          // Bound to nothing: nobody can find it, and nobody could end it.
          if (by === "signature") return { kind: "found", ending: { kind: "expires", at } };
          const isThere = await hasBinding(await openClient(parts, request), { namespace, name: lease });
          if (!isThere) return { kind: "never-happened" };
          return { kind: "found", ending: { kind: "revoke", handle: { namespace, secret: lease }, expiresAt: at } };
        },
      },
    };
  },
};

async function mint(parts: ClientParts, request: MintRequest<KubernetesOptions>): Promise<Minted> {
  const { intent, options: asked } = request;
  checkNames(asked);
  checkLife(intent.ttl);
  const client = await openClient(parts, request);
  const now = (): number => parts.clock.now();
  if (asked.verified_by === "signature") {
    const { token, expiresAt: at } = await requestToken(client, { options: asked, binding: undefined, ttl: intent.ttl }, now);
    return { material: { kind: "bearer", token: Secret.of(token) }, ending: { kind: "expires", at } };
  }
  const binding = await makeBinding(client, asked.namespace, intent);
  const { token, expiresAt } = await orUndone(client, { options: asked, binding, ttl: intent.ttl }, now);
  return {
    material: { kind: "bearer", token: Secret.of(token) },
    ending: { kind: "revoke", handle: { namespace: asked.namespace, secret: binding.name }, expiresAt },
  };
}

/** A lost answer leaves the Secret, by which it is found; after a certain refusal, and after a broken promise, the Secret goes at once. */
async function orUndone(client: Client, asked: Asked & { readonly binding: object }, now: () => number): Promise<Given> {
  return requestToken(client, asked, now).catch((error: unknown) => {
    if (!(error instanceof BrokerError) || asked.binding === undefined) throw error;
    return undoBinding(client, asked.binding, error);
  });
}
