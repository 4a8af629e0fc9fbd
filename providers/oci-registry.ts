import { readFile } from "node:fs/promises";
import { z } from "zod";
import { BrokerError } from "../src/errors.ts";
import { readPrivate } from "../src/key-file.ts";
import { ask } from "../src/lease/http.ts";
import type { Minted, MintRequest, Provider, ProviderContext, ProviderType } from "../src/lease/provider.ts";
import { Secret } from "../src/secret.ts";
import { checkToken, type Repository } from "./oci-registry/access.ts";
import { config, misfit, options, type RegistryConfig, type RegistryOptions } from "./oci-registry/config.ts";

/**
 * A registry's own short-lived token, for named repositories and actions (CNCF distribution, "Token Authentication Specification"). The
 * job never sees the account's password. Nobody can end a token early: a registry asks nobody, it reads what is signed.
 */
export const ociRegistry: ProviderType<RegistryConfig, RegistryOptions> = {
  type: "oci-registry",
  proves: ["host", "broker", "job"],
  config,
  create(settings: RegistryConfig, context: ProviderContext): Provider<RegistryOptions> {
    const wrong = misfit(settings, context.as);
    if (wrong !== undefined) throw new BrokerError("config-invalid", `a provider of type oci-registry does not load: ${wrong}`);
    return {
      options,
      gives: () => "registry-login",
      ends: () => "expires",
      revocation: "none",
      mint: (request) => mint(settings, context, request),
    };
  },
};

const answer = z.object({ token: z.string().optional(), access_token: z.string().optional() });

async function mint(
  settings: RegistryConfig,
  { clock }: ProviderContext,
  request: MintRequest<RegistryOptions>,
): Promise<Minted> {
  const { intent, options: asked, signal } = request;
  const url = scoped(settings, intent.lease, asked.repositories);
  const [authorization, authority] = await Promise.all([basic(settings, request), authorityOf(settings)]);
  signal.throwIfAborted();
  const upstream = { name: "oci-registry", clock, timeout: settings.timeout };
  const { body } = await ask(upstream, { method: "GET", url, headers: { authorization }, authority, signal }).catch(hinted);
  const said = answer.safeParse(body).data;
  const token = said?.token ?? said?.access_token;
  if (token === undefined) throw new Error("the token server's answer holds no token");
  const { service, issuer } = settings;
  const at = checkToken(token, { repositories: asked.repositories, service, issuer, now: clock.now(), ttl: intent.ttl });
  return {
    material: { kind: "registry-login", registry: settings.registry, username: bearerName, password: Secret.of(token) },
    ending: { kind: "expires", at },
  };
}

/**
 * There is no account behind a bearer token, and no client may take it for a password and ask for another with it: it stands in
 * `registrytoken` of docker's config.json, and in `--registry-token` of skopeo.
 */
const bearerName = "registrytoken";

/** Distribution's own grammar of a repository's name (`reference/regexp.go`); a claim may have put something else there. */
const repository = /^(?=.{1,255}$)[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;

/** Beyond this, servers cut a request's first line or refuse it. */
const longestUrl = 4_000;

function scoped({ realm, service }: RegistryConfig, lease: string, repositories: readonly Repository[]): URL {
  const url = new URL(realm);
  url.searchParams.set("service", service);
  // The server's log says by it which lease it was.
  url.searchParams.set("client_id", `mayfly-${lease}`);
  for (const { name, actions } of repositories) {
    if (!repository.test(name))
      throw refused("a repository's name is not one that registries take", `it is lower case: not ${name}`);
    url.searchParams.append("scope", `repository:${name}:${actions.join(",")}`);
  }
  if (new Set(repositories.map(({ name }) => name)).size < repositories.length)
    throw refused("a repository is named twice", "name each once, with all that may be done there");
  if (url.href.length > longestUrl)
    throw refused(`the request is longer than ${longestUrl} characters`, "name fewer repositories");
  return url;
}

async function basic({ login }: RegistryConfig, { proof }: MintRequest<RegistryOptions>): Promise<string> {
  const { username, password_file, audience = "" } = login;
  const password = password_file === undefined ? await proof.token(audience) : await passwordIn(password_file);
  return password.use((bytes) => `Basic ${Buffer.concat([Buffer.from(`${username}:`), bytes]).toString("base64")}`);
}

/** Read anew each time, so that whoever replaces the file rotates it. Whatever is wrong with it, certainly nothing was asked. */
async function passwordIn(path: string): Promise<Secret> {
  const text = await readPrivate(path).catch((error: unknown) => {
    throw unreadable(path, error instanceof BrokerError ? error.message : "it cannot be read");
  });
  const trimmed = text?.trim() ?? "";
  if (trimmed === "") throw unreadable(path, "there is no such file, or nothing in it");
  return Secret.of(trimmed);
}

async function authorityOf({ ca }: RegistryConfig): Promise<string | undefined> {
  if (ca === undefined) return undefined;
  return readFile(ca, "utf8").catch(() => {
    throw unreadable(ca, "it cannot be read");
  });
}

const hints: readonly (readonly [RegExp, string])[] = [
  [/status 401/, "the token server does not take the login: is its password still good, or its audience the right one?"],
  [/status 403/, "the account may not ask for tokens"],
  [/status 400/, "the token server does not know the service or a scope: compare `service` with what the registry says"],
  [/status 404/, "there is no token server at `realm`"],
  [/status 429/, "the token server is asked too often"],
  [/status 30\d/, "the token server sends elsewhere, and the login is not shown there: write the right `realm`"],
  [/CERT|SELF_SIGNED|UNABLE_TO_VERIFY/, "name the token server's authority with `ca` in mayfly.yaml"],
];

function hinted(error: unknown): never {
  const { detail } = error instanceof BrokerError ? error : { detail: undefined };
  const hint = hints.find(([words]) => words.test(detail ?? ""))?.[1];
  if (!(error instanceof BrokerError) || hint === undefined) throw error;
  throw new BrokerError(error.code, error.message, { hint, detail: detail ?? "" });
}

function refused(message: string, hint: string): BrokerError {
  return new BrokerError("provider-refused", message, { hint, detail: `oci-registry: ${message}` });
}

function unreadable(path: string, why: string): BrokerError {
  const hint = "the files of its login must be there; the password's must be the broker's own, of mode 0600";
  return new BrokerError("provider-refused", "the broker's own login to the registry cannot be read", {
    hint,
    detail: `oci-registry: ${path}: ${why}`,
  });
}
