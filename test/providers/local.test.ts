import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLocalJWKSet, decodeJwt, jwtVerify } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { Minted, Provider } from "../../src/lease/provider.ts";
import { systemClock } from "../../src/time.ts";
import { type Bench, intentOf, provesProvider } from "../conformance/provider.ts";
import { startTlsServer, type TlsServer, visit } from "../servers/tls.ts";
import { configured } from "./configured.ts";

const audience = "https://shop.test";

async function open(): Promise<{ authority: BrokerAuthority; provider: Provider<unknown> } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  const authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  const provider = await configured("local", {}, { authority });
  return { authority, provider, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

provesProvider("local, with a client certificate", async (): Promise<Bench> => {
  const { provider, authority, ...folder } = await open();
  const server = await startTlsServer({ authority: authority.publicKeys().authority });
  return {
    provider,
    proofs: authority.proofs,
    options: { kind: "x509" },
    ttl: 60_000,
    works: async (material) => material.kind === "x509" && (await enters(server, material)),
    alive: () => Promise.resolve([]),
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await folder[Symbol.asyncDispose]();
    },
  };
});

provesProvider("local, with a signed JWT", async (): Promise<Bench> => {
  const { provider, authority, ...folder } = await open();
  const { issuer, jwks } = authority.publicKeys().jobs;
  const keys = createLocalJWKSet({ keys: [...jwks.keys] });
  return {
    provider,
    proofs: authority.proofs,
    options: { kind: "jwt", audience },
    ttl: 60_000,
    works: async (material) =>
      material.kind === "bearer" &&
      (await jwtVerify(material.token.use(String), keys, { issuer, audience })).payload.sub === "github:519283746",
    alive: () => Promise.resolve([]),
    ...folder,
  };
});

async function enters(
  server: TlsServer,
  { certificate, privateKey }: Extract<Minted["material"], { kind: "x509" }>,
): Promise<boolean> {
  const answer = await privateKey.use((key) => visit(server, { certificate, privateKey: Buffer.from(key) }));
  return answer.includes("welcome");
}

describe("what the local provider signs", () => {
  let bench: Awaited<ReturnType<typeof open>>;
  beforeAll(async () => {
    bench = await open();
  });
  afterAll(() => bench[Symbol.asyncDispose]());

  const mint = (options: unknown, parts: Parameters<typeof intentOf>[1] = {}): Promise<Minted> => {
    const intent = intentOf({ ttl: 60_000 }, parts);
    return bench.provider.mint({
      intent,
      options,
      proof: bench.authority.proofs.mint(intent),
      signal: new AbortController().signal,
    });
  };

  it("lets a job into a server that demands its certificate, and not once it has expired", async () => {
    await using server = await startTlsServer({ authority: bench.authority.publicKeys().authority });
    const { material } = await mint({ kind: "x509" }, { lease: "lse-one", ttl: 2_000 });
    if (material.kind !== "x509") throw new Error("no certificate");
    expect(await enters(server, material)).toBe(true);
    expect(server.guests).toEqual(["lse-one"]);
    await systemClock.sleep(2_100);
    await expect(enters(server, material)).rejects.toThrow();
    expect(server.guests).toEqual(["lse-one"]);
  });

  it("names the workload in the certificate so that no other workload has the same name", async () => {
    await using server = await startTlsServer({ authority: bench.authority.publicKeys().authority });
    const { material } = await mint({ kind: "x509" }, { workload: "github:1/template/x, URI:mayfly://root", template: "a/b" });
    if (material.kind !== "x509") throw new Error("no certificate");
    const answer = await material.privateKey.use((key) =>
      visit(server, { certificate: material.certificate, privateKey: Buffer.from(key) }),
    );
    expect(JSON.parse(answer)).toMatchObject({
      workload: "URI:mayfly://workload/github%3A1%2Ftemplate%2Fx%2C%20URI%3Amayfly%3A%2F%2Froot/template/a%2Fb",
    });
  });

  it("is refused by a server that trusts another broker", async () => {
    await using other = await open();
    await using server = await startTlsServer({ authority: other.authority.publicKeys().authority });
    const { material } = await mint({ kind: "x509" });
    if (material.kind !== "x509") throw new Error("no certificate");
    await expect(enters(server, material)).rejects.toThrow();
  });

  it("carries the lease as the token's jti", async () => {
    const { material } = await mint({ kind: "jwt", audience }, { lease: "lse-two" });
    if (material.kind !== "bearer") throw new Error("no token");
    expect(decodeJwt(material.token.use(String))).toMatchObject({
      jti: "lse-two",
      aud: audience,
      iss: "https://mayfly.test/jobs",
    });
  });

  it("is no proof of the broker's: a job's token does not verify with the keys that upstreams trust", async () => {
    const { material } = await mint({ kind: "jwt", audience: "https://vault.test" });
    if (material.kind !== "bearer") throw new Error("no token");
    const { proofs, jobs } = bench.authority.publicKeys();
    const token = material.token.use(String);
    await expect(jwtVerify(token, createLocalJWKSet({ keys: [...proofs.jwks.keys] }))).rejects.toThrow();
    await expect(jwtVerify(token, createLocalJWKSet({ keys: [...jobs.jwks.keys] }))).resolves.toBeDefined();
  });
});
