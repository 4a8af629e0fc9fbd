import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer as createHttp, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createHttps } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { Minted } from "../../src/lease/provider.ts";
import { systemClock } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";
import { serverIdentity } from "../servers/tls.ts";
import { configured } from "./configured.ts";

/** The way to Vault, on the wire: what is sent, to whom, and that the environment changes none of it. */
let folder: string;
let authority: BrokerAuthority;
let identity: Awaited<ReturnType<typeof serverIdentity>>;
const servers: Server[] = [];
const environment = { ...process.env };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  identity = await serverIdentity();
  await writeFile(join(folder, "vault-ca.pem"), identity.cert);
});
afterEach(async () => {
  for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

/** What a login is answered with when it goes well; everything later is refused. */
const login = JSON.stringify({
  request_id: "1",
  auth: { client_token: "canary-client", accessor: "a", policies: ["p"], lease_duration: 60, token_type: "service" },
});
const vault =
  (seen: IncomingMessage[]): RequestListener =>
  (request, response) => {
    seen.push(request);
    const isLogin = request.url?.endsWith("/login") === true;
    response
      .writeHead(isLogin ? 200 : request.url?.endsWith("/revoke-self") === true ? 204 : 403)
      .end(isLogin ? login : undefined);
  };

async function mint(config: Readonly<Record<string, unknown>>): Promise<Minted> {
  const whole = {
    login: { role: "ci", audience: "https://vault.test" },
    sweeper: { role: "sweeper" },
    timeout: "2s",
    ...config,
  };
  const provider = await configured("vault", whole, { authority });
  const intent = intentOf({ ttl: 60_000 });
  const options = { path: "secret/data/x+y=z@1" };
  return provider.mint({ intent, options, proof: authority.proofs.mint(intent), signal: new AbortController().signal });
}

const overTls = async (seen: IncomingMessage[]): Promise<string> =>
  `https://localhost:${await listen(createHttps(identity, vault(seen)))}`;
const overHttp = async (handler: RequestListener): Promise<string> => `http://127.0.0.1:${await listen(createHttp(handler))}`;

describe("the way to vault", () => {
  it("trusts the configured authority", async () => {
    const seen: IncomingMessage[] = [];
    await expect(mint({ address: await overTls(seen), ca: join(folder, "vault-ca.pem") })).rejects.toMatchObject({
      code: "provider-refused",
    });
    expect(seen.map(({ url }) => url)).toEqual([
      "/v1/auth/jwt/login",
      "/v1/secret/data/x%2By%3Dz%401",
      "/v1/auth/token/revoke-self",
    ]);
  });

  it.each([
    ["an authority that nobody configured", {}],
    ["it, though VAULT_SKIP_VERIFY is set", { VAULT_SKIP_VERIFY: "1" }],
    ["it, though NODE_TLS_REJECT_UNAUTHORIZED is 0", { NODE_TLS_REJECT_UNAUTHORIZED: "0" }],
  ])("does not trust %s", async (_, variables) => {
    Object.assign(process.env, variables);
    const seen: IncomingMessage[] = [];
    await expect(mint({ address: await overTls(seen) })).rejects.toMatchObject({ code: "provider-unavailable" });
    expect(seen).toEqual([]);
  });

  it("sends nothing that the environment holds, and nothing to where it points", async () => {
    const [seen, elsewhere]: [IncomingMessage[], IncomingMessage[]] = [[], []];
    const proxy = await overHttp(vault(elsewhere));
    Object.assign(process.env, {
      VAULT_TOKEN: "canary-env",
      VAULT_NAMESPACE: "canary-env",
      VAULT_PREFIX: "/canary-env",
      VAULT_ADDR: proxy,
    });
    Object.assign(process.env, { HTTP_PROXY: proxy, http_proxy: proxy, HTTPS_PROXY: proxy, ALL_PROXY: proxy });
    await expect(mint({ address: await overHttp(vault(seen)), allow_plaintext: true })).rejects.toMatchObject({
      code: "provider-refused",
    });
    expect(elsewhere).toEqual([]);
    expect(seen.map(({ headers }) => headers["x-vault-token"])).toEqual([undefined, "canary-client", "canary-client"]);
    expect(JSON.stringify(seen.map(({ headers, url }) => [headers, url]))).not.toContain("canary-env");
  });

  it("follows no redirect with its token", async () => {
    const elsewhere: IncomingMessage[] = [];
    const target = await overHttp(vault(elsewhere));
    const handler: RequestListener = (request, response) => {
      if (request.url?.endsWith("/login") === true) return void response.end(login);
      response.writeHead(request.url?.endsWith("/revoke-self") === true ? 204 : 307, { location: target }).end();
    };
    await expect(mint({ address: await overHttp(handler), allow_plaintext: true })).rejects.toMatchObject({
      code: "provider-unavailable",
    });
    expect(elsewhere).toEqual([]);
  });

  it("sends the configured namespace with every request", async () => {
    const seen: IncomingMessage[] = [];
    await expect(
      mint({ address: await overHttp(vault(seen)), allow_plaintext: true, namespace: "team/shop" }),
    ).rejects.toThrow();
    expect(seen.map(({ headers }) => headers["x-vault-namespace"])).toEqual(["team/shop", "team/shop", "team/shop"]);
  });

  it("keeps a token that vault repeats out of the error", async () => {
    const handler: RequestListener = (request, response) => {
      if (request.url?.endsWith("/login") === true) return void response.end(login);
      if (request.url?.endsWith("/revoke-self") === true) return void response.writeHead(204).end();
      response
        .writeHead(403)
        .end(JSON.stringify({ errors: [`the token ${String(request.headers["x-vault-token"])} may not do that`] }));
    };
    const error: unknown = await mint({ address: await overHttp(handler), allow_plaintext: true }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: "provider-refused", detail: "vault: status 403: the token [secret] may not do that" });
  });

  it("takes no batch token and no root token for a job", async () => {
    const giving =
      (auth: object): RequestListener =>
      (_, response) =>
        void response.end(JSON.stringify({ request_id: "1", auth: { ...JSON.parse(login).auth, ...auth } }));
    for (const auth of [{ token_type: "batch" }, { policies: ["root"] }, { accessor: "" }]) {
      await expect(mint({ address: await overHttp(giving(auth)), allow_plaintext: true })).rejects.toMatchObject({
        code: "provider-broken-promise",
      });
    }
  });
});
