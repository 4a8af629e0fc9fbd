import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { Minted } from "../../src/lease/provider.ts";
import { systemClock } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";
import { configured } from "./configured.ts";

/**
 * Vault's own aws, gcp and azure engines, by the shape of their answers alone (HashiCorp's API documentation): OpenBao has none of them, and
 * Vault is no free software that could run here. A login that ends and an engine that answers, both ours.
 */
let folder: string;
let authority: BrokerAuthority;
let server: Server;
let answer: object;
let asked: { readonly method: string | undefined; readonly url: string | undefined; readonly body: unknown }[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString("utf8");
      asked.push({ method: request.method, url: request.url, body: text === "" ? undefined : JSON.parse(text) });
      if (request.url?.endsWith("/revoke-self") === true) return response.writeHead(204).end();
      return response.end(JSON.stringify(request.url?.endsWith("/login") === true ? login : { request_id: "2", ...answer }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});

const login = {
  request_id: "1",
  auth: { client_token: "hvs.x", accessor: "a", policies: ["p"], lease_duration: 900, token_type: "service", renewable: true },
};

async function mint(options: unknown, given: object, lease = "lse-0123"): Promise<Minted> {
  asked = [];
  answer = given;
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const entry = {
    address,
    allow_plaintext: true,
    login: { role: "ci", audience: "https://vault.test" },
    sweeper: { role: "s" },
  };
  const provider = await configured("vault", entry, { authority });
  const intent = intentOf({ ttl: 900_000 }, { lease });
  return provider.mint({ intent, options, proof: authority.proofs.mint(intent), signal: new AbortController().signal });
}

const aws = { kind: "aws", path: "aws/sts/deploy", role_arn: "arn:aws:iam::111122223333:role/ci" };
const session = { access_key: "ASIAX", secret_key: "canary-secret", session_token: "canary-session" };
const lease = { lease_id: "aws/sts/deploy/x", lease_duration: 899 };

describe("vault's aws engine", () => {
  it("is asked for a session that carries the lease's name, and gives one that only expires", async () => {
    const { material, ending } = await mint(aws, { ...lease, data: session });
    expect(asked[1]).toEqual({
      method: "POST",
      url: "/v1/aws/sts/deploy",
      body: { ttl: "900s", role_session_name: "lse-0123", role_arn: "arn:aws:iam::111122223333:role/ci" },
    });
    expect(asked[2]?.url).toBe("/v1/auth/token/revoke-self");
    expect(material).toMatchObject({ kind: "aws-session", accessKeyId: "ASIAX" });
    expect(ending.kind).toBe("expires");
  });

  it("spells the token as older ones do", async () => {
    const { session_token: security_token, ...rest } = session;
    expect((await mint(aws, { ...lease, data: { ...rest, security_token } })).material.kind).toBe("aws-session");
  });

  it.each([
    ["a user's key", { ...lease, data: { ...session, session_token: null } }, "credential_type"],
    ["a longer session", { ...lease, lease_duration: 3_600, data: session }, "max_ttl"],
    ["an end that is past", { ...lease, lease_duration: 0, data: session }, "clocks"],
    ["no key", { ...lease, data: { session_token: "x" } }, "path"],
  ])("is not believed with %s", async (_, given, hint) => {
    await expect(mint(aws, given)).rejects.toMatchObject({
      code: "provider-broken-promise",
      hint: expect.stringContaining(hint),
    });
  });
});

describe("vault's gcp engine", () => {
  const gcp = { kind: "gcp", path: "gcp/impersonated-account/deploy/token" };
  const token = (seconds: number): object => ({
    data: { token: "canary-token", token_ttl: seconds, expires_at_seconds: Math.floor(Date.now() / 1_000) + seconds },
  });
  it("gives an access token that only expires", async () => {
    const { material, ending } = await mint(gcp, token(900));
    expect([material.kind, ending.kind]).toEqual(["bearer", "expires"]);
  });
  it.each([
    ["a longer life", token(3_600)],
    ["an end that is past", token(-1)],
    ["no end", { data: { token: "canary-token" } }],
    ["no token", { data: { expires_at_seconds: Math.floor(Date.now() / 1_000) + 60 } }],
  ])("is not believed with %s", async (_, given) => {
    await expect(mint(gcp, given)).rejects.toMatchObject({ code: "provider-broken-promise" });
  });
});

describe("vault's azure engine", () => {
  const azure = { kind: "azure", path: "azure/creds/deploy" };
  const data = { client_id: "c", client_secret: "canary-secret" };
  it("gives a principal's secret, whose lease is revoked", async () => {
    const { material, ending } = await mint(azure, { lease_id: "azure/creds/deploy/x", lease_duration: 900, data });
    expect(material).toMatchObject({ kind: "fields", fields: { "client-id": {}, "client-secret": {} } });
    expect(ending).toMatchObject({
      kind: "revoke",
      handle: { leaseId: "azure/creds/deploy/x", accessor: "a", path: "azure/creds/deploy" },
    });
    expect(asked).toHaveLength(2);
  });
  it.each([
    ["no lease", { data }],
    ["a longer lease", { lease_id: "azure/creds/deploy/x", lease_duration: 7_200, data }],
    ["a lease of another role", { lease_id: "azure/creds/other/x", lease_duration: 900, data }],
  ])("is not believed with %s", async (_, given) => {
    await expect(mint(azure, given)).rejects.toMatchObject({ code: "provider-broken-promise" });
  });
});
