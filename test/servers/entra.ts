import { generateKeyPairSync, randomInt, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  type JSONWebKeySet,
  type JWTPayload,
  jwtVerify,
  SignJWT,
} from "jose";

/**
 * A stand-in of ours for Entra ID, a Key Vault and one more resource, on one address: entra-emulator could not be had. It takes a federated client
 * assertion as Microsoft describes it, by issuer, subject and audience to the letter and by a key of the issuer's, and answers with Entra's own numbers;
 * the vault and the resource take Entra's tokens by signature, audience, time and the app's roles. It keeps its own list of what it gave.
 */
export interface Entra extends AsyncDisposable {
  readonly port: number;
  readonly issued: readonly Issued[];
  /** METHOD, path and form of everything that came. */
  readonly seen: readonly string[];
  /** Every living token that was given to be handed on for a lease: the vault's are only read with. */
  alive(lease: string): readonly string[];
}

interface Issued {
  readonly token: string;
  readonly client: string;
  readonly audience: string;
  readonly lease: string;
  readonly until: number;
}

export interface EntraOptions {
  /** Whose assertions the apps' federated credentials take, and the keys at its URL. */
  readonly issuer: string;
  readonly jwks: JSONWebKeySet;
}

export const tenant = "11111111-2222-3333-4444-555555555555";
export const vaultResource = "https://vault.azure.net";
export const management = "https://management.azure.com";

interface App {
  readonly subjects: readonly string[];
  readonly secrets: readonly string[];
  readonly groups: readonly string[];
  /** In seconds, as by a token lifetime policy; Entra finds that by the resource. */
  readonly life?: number;
  readonly disabled?: true;
}

const workload = "github:519283746";
export const apps = {
  deploy: "aaaaaaaa-0000-4000-8000-000000000001",
  reader: "aaaaaaaa-0000-4000-8000-000000000002",
  eternal: "aaaaaaaa-0000-4000-8000-000000000003",
  stranger: "aaaaaaaa-0000-4000-8000-000000000004",
  brief: "aaaaaaaa-0000-4000-8000-000000000005",
  disabled: "aaaaaaaa-0000-4000-8000-000000000006",
} as const;

const registered: Readonly<Record<string, App>> = {
  [apps.deploy]: { subjects: [workload], secrets: [], groups: ["shop"] },
  [apps.reader]: { subjects: [workload], secrets: ["npm-519283746", "registry", "off"], groups: [] },
  [apps.eternal]: { subjects: [workload], secrets: [], groups: ["shop"], life: 14_400 },
  [apps.stranger]: { subjects: ["github:1"], secrets: ["npm-519283746"], groups: ["shop"] },
  [apps.brief]: { subjects: [workload], secrets: [], groups: ["shop"], life: 900 },
  [apps.disabled]: { subjects: [workload], secrets: [], groups: [], disabled: true },
};

export const version = "0123456789abcdef0123456789abcdef";
const secrets: Readonly<Record<string, string>> = {
  "npm-519283746": "npm_token-of-the-shop",
  registry: JSON.stringify({ username: "ci", password: "pw-of-the-registry" }),
  other: "somebody-elses",
  off: "disabled",
};

class Refusal extends Error {
  readonly status: number;
  readonly body: object;

  constructor(status: number, body: object) {
    super(`status ${status}`);
    this.status = status;
    this.body = body;
  }
}

function aadsts(code: number, error: string, words: string): Refusal {
  const trace = { trace_id: randomUUID(), correlation_id: randomUUID() };
  return new Refusal(error === "invalid_client" ? 401 : 400, {
    error,
    error_description: `AADSTS${code}: ${words}`,
    error_codes: [code],
    ...trace,
  });
}

function akv(status: number, code: string, inner?: string): Refusal {
  return new Refusal(status, {
    error: { code, message: "Key Vault says no.", ...(inner === undefined ? {} : { innererror: { code: inner } }) },
  });
}

const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });

export async function startEntra(options: EntraOptions): Promise<Entra> {
  const issued: Issued[] = [];
  const seen: string[] = [];
  const server = createServer((request, response) => void answer(request, response));
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array));
    const body = Buffer.concat(chunks).toString("utf8");
    const { method = "", url = "", headers } = request;
    seen.push(`${method} ${url} ${body}`);
    try {
      const isToken = url === `/${tenant}/oauth2/v2.0/token` && method === "POST" && headers.authorization === undefined;
      const found = isToken
        ? await give(options, new URLSearchParams(body), issued)
        : await resource(method, new URL(url, "http://azure.test"), headers.authorization);
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(found));
    } catch (error) {
      const { status, body: said } = error instanceof Refusal ? error : new Refusal(500, { error: String(error) });
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(said));
    }
  };
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  return {
    port: (server.address() as AddressInfo).port,
    issued,
    seen,
    alive: (lease) =>
      issued
        .filter((one) => one.lease === lease && one.audience !== vaultResource && one.until > Date.now())
        .map(({ client }) => `token of ${client}`),
    [Symbol.asyncDispose]: stop,
  };
}

const fields = ["client_assertion", "client_assertion_type", "client_id", "grant_type", "scope"];

/** Throws unless it holds. */
function must(holds: boolean, refusal: Refusal): void {
  if (!holds) throw refusal;
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/** The client credentials flow with a federated credential; it is exact about what it takes. */
async function give(options: EntraOptions, form: URLSearchParams, issued: Issued[]): Promise<object> {
  const {
    client_id: client = "",
    grant_type: grant,
    client_assertion_type: type,
    client_assertion: assertion = "",
    scope = "",
  } = Object.fromEntries(form);
  must(
    [...form.keys()].toSorted().join() === fields.join(),
    aadsts(900144, "invalid_request", "The request body must contain other parameters."),
  );
  must(grant === "client_credentials", aadsts(70003, "unsupported_grant_type", "The app requested an unsupported grant type."));
  must(type === assertionType, aadsts(50027, "invalid_request", "The client_assertion_type is not supported."));
  const app = registered[client];
  if (app === undefined)
    throw aadsts(700016, "unauthorized_client", `Application with identifier '${client}' was not found in the directory.`);
  const { lease } = await asserted(options, assertion, app);
  must(app.disabled !== true, aadsts(7000112, "unauthorized_client", `Application '${client}' is disabled.`));
  const [, audience = ""] = /^(\S+)\/\.default$/.exec(scope) ?? [];
  must(audience !== "", aadsts(1002012, "invalid_scope", "The provided value for scope is not valid."));
  must(
    [vaultResource, management].includes(audience),
    aadsts(500011, "invalid_resource", `The resource principal named ${audience} was not found.`),
  );
  const life = app.life ?? randomInt(3_600, 5_400);
  const token = await signed({ tid: tenant, appid: client, sub: client, aud: audience, uti: randomUUID() }, life);
  issued.push({ token, client, audience, lease: String(lease), until: Date.now() + life * 1_000 });
  return { token_type: "Bearer", expires_in: life - 1, ext_expires_in: life - 1, access_token: token };
}

function signed(claims: JWTPayload, life: number): Promise<string> {
  const jwt = new SignJWT(claims)
    .setProtectedHeader({ alg: "RS256", kid: "entra-1", typ: "JWT" })
    .setIssuer(`https://sts.windows.net/${tenant}/`);
  return jwt.setIssuedAt().setExpirationTime(`${life}s`).sign(keys.privateKey);
}

/** What is presented is compared first, then its time, then its key. */
async function asserted({ issuer, jwks }: EntraOptions, assertion: string, { subjects }: App): Promise<JWTPayload> {
  const no = (code: number, what: string, value: unknown): Refusal =>
    aadsts(
      code,
      "invalid_request",
      `No matching federated identity record found for presented assertion ${what} '${String(value)}'.`,
    );
  const { iss, sub = "", aud, exp = 0, iat = 0 } = decodeJwt(assertion);
  must(
    decodeProtectedHeader(assertion).alg === "RS256",
    aadsts(5002738, "invalid_request", "The assertion's algorithm is not supported."),
  );
  must(iss === issuer, no(700211, "issuer", iss));
  must(aud === "api://AzureADTokenExchange", no(700212, "audience", aud));
  must(subjects.includes(sub), no(700213, "subject", sub));
  const now = Date.now() / 1_000;
  must(
    exp > now - 300 && iat < now + 300,
    aadsts(700024, "invalid_client", "Client assertion is not within its valid time range."),
  );
  const verify = { algorithms: ["RS256"], requiredClaims: ["exp", "jti"], clockTolerance: 300 };
  const verified = await jwtVerify(assertion, createLocalJWKSet(jwks), verify).catch(() => undefined);
  if (verified === undefined)
    throw aadsts(50013, "invalid_request", "Assertion failed signature validation. [Reason - The key was not found.]");
  return verified.payload;
}

/** What takes Entra's tokens: the vault `shop-ci`, and resource groups of one subscription. */
async function resource(method: string, url: URL, authorization = ""): Promise<object> {
  const [, group] = /^\/resourceGroups\/([^/]+)$/.exec(url.pathname) ?? [];
  const app = registered[await callerOf(authorization, group === undefined ? vaultResource : management)];
  if (group === undefined) return secret(method, url, app?.secrets ?? []);
  must(method === "GET" && app?.groups.includes(group) === true, akv(403, "AuthorizationFailed"));
  return { name: group };
}

async function callerOf(authorization: string, audience: string): Promise<string> {
  try {
    const verify = {
      issuer: `https://sts.windows.net/${tenant}/`,
      audience,
      algorithms: ["RS256"],
      requiredClaims: ["exp", "appid"],
    };
    const { payload } = await jwtVerify(/^Bearer (\S+)$/.exec(authorization)?.[1] ?? "", keys.publicKey, verify);
    return String(payload["appid"]);
  } catch {
    throw akv(401, "Unauthorized");
  }
}

function secret(method: string, { pathname, searchParams }: URL, may: readonly string[]): object {
  const [, name = "", asked = ""] = /^\/secrets\/([0-9a-zA-Z-]{1,127})\/([0-9a-f]*)$/.exec(pathname) ?? [];
  must(searchParams.get("api-version") === "2025-07-01", akv(400, "BadParameter"));
  must(method === "GET" && may.includes(name), akv(403, "Forbidden", "ForbiddenByRbac"));
  must(name in secrets && ["", version].includes(asked), akv(404, "SecretNotFound"));
  must(name !== "off", akv(403, "Forbidden", "SecretDisabled"));
  const id = `https://shop-ci.vault.azure.net/secrets/${name}/${version}`;
  return { value: secrets[name], id, attributes: { enabled: true, created: 1, updated: 1 }, tags: {} };
}
