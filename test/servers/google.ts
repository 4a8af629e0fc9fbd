import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { JSONWebKeySet } from "jose";
import { type Call, iamCredentials, idTokenKeys, secretManager, storage } from "./google-apis.ts";
import { googleSts } from "./google-sts.ts";
import { ApiError, everything, type Issued, Tokens } from "./google-tokens.ts";

/**
 * A stand-in of ours for Google Cloud, on one address: nobody else's server does Google's token exchange. The token service is a grant of a real
 * oidc-provider and the IAM Credentials, Secret Manager, Storage and metadata APIs are ours; all of them verify whatever they are sent, and
 * refuse what they do not know. It keeps its own list of what it gave.
 */
export interface Google extends AsyncDisposable {
  readonly port: number;
  readonly issued: readonly Issued[];
  /** METHOD, path and body of everything that came. */
  readonly seen: readonly string[];
  /** Every living token of a lease but those that the broker itself asks with: their scope is cloud-platform, and jobs here are given narrower ones. */
  alive(lease: string): readonly string[];
  idTokenKeys(): Promise<JSONWebKeySet>;
}

export interface GoogleOptions {
  readonly issuer: string;
  readonly jwks: JSONWebKeySet;
  readonly audience?: string;
}

export const pool = "projects/123456789012/locations/global/workloadIdentityPools/mayfly/providers/mayfly";

export async function startGoogle({
  issuer,
  jwks,
  audience = `https://iam.googleapis.com/${pool}`,
}: GoogleOptions): Promise<Google> {
  const tokens = new Tokens();
  const seen: string[] = [];
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const sts = googleSts(`http://127.0.0.1:${port}`, { issuer, jwks, audience, pool, tokens });
  server.on("request", (request, response) => {
    if (request.url === "/v1/token" && request.method === "POST") return sts(request, response);
    void answer(request, response, tokens, seen);
  });
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  return {
    port,
    issued: tokens.all,
    seen,
    alive: (lease) =>
      tokens.all
        .filter((one) => one.lease === lease && isHandedOn(one))
        .map(({ kind, principal }) => `${kind} of ${principal}`),
    idTokenKeys: async () => ({ keys: (await idTokenKeys()).keys.map((key) => ({ ...key, kty: String(key.kty) })) }),
    [Symbol.asyncDispose]: stop,
  };
}

function isHandedOn({ kind, scopes, until }: Issued): boolean {
  return until > Date.now() && (kind === "downscoped" || !scopes.includes(everything));
}

async function answer(request: IncomingMessage, response: ServerResponse, tokens: Tokens, seen: string[]): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array));
  const body = Buffer.concat(chunks).toString("utf8");
  const { method = "", url = "", headers } = request;
  seen.push(`${method} ${url} ${body}`);
  const caller = tokens.living(/^Bearer (\S+)$/.exec(headers.authorization ?? "")?.[1]);
  const call = { method, url: new URL(url, "http://google.test"), body, caller, tokens };
  try {
    const found = headers["metadata-flavor"] === "Google" ? metadata(call) : await route(call);
    response.writeHead(200, { "content-type": "application/json", "metadata-flavor": "Google" }).end(JSON.stringify(found));
  } catch (error) {
    const { code, status, message } = error instanceof ApiError ? error : new ApiError(500, "INTERNAL", String(error));
    response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify({ error: { code, status, message } }));
  }
}

function route(call: Call): object | Promise<object> {
  const { pathname } = call.url;
  if (pathname.startsWith("/v1/projects/-/serviceAccounts/")) return iamCredentials(call);
  if (pathname.startsWith("/v1/projects/")) return secretManager(call);
  return storage(call);
}

/** The metadata server of a machine whose service account has roles/iam.serviceAccountTokenCreator. */
function metadata({ url, tokens }: Call): object {
  if (url.pathname !== "/computeMetadata/v1/instance/service-accounts/default/token")
    throw new ApiError(404, "NOT_FOUND", "Not found.");
  const given = {
    principal: "host",
    lease: undefined,
    grant: undefined,
    scopes: [everything],
    until: Date.now() + 3_600_000,
  };
  return { access_token: tokens.give({ ...given, kind: "host" }).token, expires_in: 3_599, token_type: "Bearer" };
}
