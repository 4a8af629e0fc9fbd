import { createPrivateKey, X509Certificate } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { SignJWT } from "jose";

export interface Access {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

export interface Account {
  /** Whether this is its password. */
  readonly knows: (password: string) => Promise<boolean> | boolean;
  /** What it may do, by repository. */
  readonly may: Readonly<Record<string, readonly string[]>>;
}

export interface AuthOptions {
  readonly service: string;
  readonly issuer: string;
  /** PEM: the key that signs, and its certificate, which the registry trusts. */
  readonly key: string;
  readonly cert: string;
  readonly accounts: Readonly<Record<string, Account>>;
}

/**
 * A stand-in for a registry's token server, which checks everything that it is sent and grants what the account may have of what was asked,
 * as the specification says (CNCF distribution, "Token Authentication Specification"). What it signs is judged by a real registry.
 */
export interface RegistryAuth extends AsyncDisposable {
  readonly port: number;
  /** Each token that grants anything, by who asked for it. */
  readonly granted: readonly { readonly client: string; readonly token: string; readonly access: readonly Access[] }[];
  /** The next token says this too, or instead. */
  twist(claims: Readonly<Record<string, unknown>>): void;
}

export async function startRegistryAuth(options: AuthOptions): Promise<RegistryAuth> {
  const granted: { client: string; token: string; access: readonly Access[] }[] = [];
  let twisted: Readonly<Record<string, unknown>> = {};
  const server = createServer((incoming, outgoing) => void answer(incoming, outgoing));
  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const url = new URL(incoming.url ?? "/", "http://127.0.0.1");
    const user = await accountOf(options, incoming);
    if (url.pathname !== "/token" || incoming.method !== "GET") return refuse(outgoing, 404, "NOT FOUND");
    if (user === undefined) return refuse(outgoing, 401, "UNAUTHORIZED");
    if (url.searchParams.get("service") !== options.service) return refuse(outgoing, 400, "UNKNOWN SERVICE");
    const access = url.searchParams.getAll("scope").flatMap((scope) => intersection(scope, options.accounts[user]?.may ?? {}));
    const token = await signed(options, { sub: user, access, ...twisted });
    twisted = {};
    if (access.length > 0) granted.push({ client: url.searchParams.get("client_id") ?? "", token, access });
    outgoing.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ token, expires_in: 300 }));
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    granted,
    twist: (claims) => {
      twisted = claims;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function refuse(outgoing: ServerResponse, status: number, code: string): void {
  outgoing.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ errors: [{ code }] }));
}

async function accountOf({ accounts }: AuthOptions, { headers }: IncomingMessage): Promise<string | undefined> {
  const [, encoded = ""] = /^Basic ([A-Za-z0-9+/=]+)$/.exec(headers.authorization ?? "") ?? [];
  const [, user = "", password = ""] = /^([^:]*):([^]*)$/.exec(Buffer.from(encoded, "base64").toString("utf8")) ?? [];
  return (await accounts[user]?.knows(password)) === true ? user : undefined;
}

function intersection(scope: string, may: Account["may"]): readonly Access[] {
  const [, type = "", name = "", asked = ""] = /^(repository):([^:]+):([a-z,]+)$/.exec(scope) ?? [];
  const actions = asked.split(",").filter((action) => may[name]?.includes(action) === true);
  return actions.length === 0 ? [] : [{ type, name, actions }];
}

async function signed({ issuer, service, key, cert }: AuthOptions, claims: Readonly<Record<string, unknown>>): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const whole = { iss: issuer, aud: service, iat: now, nbf: now - 5, exp: now + 300, jti: String(Math.random()), ...claims };
  const x5c = [new X509Certificate(cert).raw.toString("base64")];
  return new SignJWT(whole).setProtectedHeader({ alg: "ES256", typ: "JWT", x5c }).sign(createPrivateKey(key));
}
