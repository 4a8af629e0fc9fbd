import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { crc32c } from "../../providers/gcp/stored.ts";
import { openAuthority } from "../../src/lease/authority.ts";
import type { Proof } from "../../src/lease/provider.ts";
import { Secret } from "../../src/secret.ts";
import { systemClock } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";
import { pool } from "../servers/google.ts";
import { address } from "../servers/google-apis.ts";
import { bearerOf, type GcpBench, minted, openGcpBench } from "./gcp-bench.ts";

let bench: GcpBench;
const environment = { ...process.env };
beforeAll(async () => {
  bench = await openGcpBench();
});
afterAll(() => bench[Symbol.asyncDispose]());

const scopes = ["https://www.googleapis.com/auth/devstorage.read_only"];
const usual = { service_account: address("ci-deploy"), scopes };
const signal = new AbortController().signal;

const caught = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "it was given",
    (error: unknown) => error,
  );

describe("google refuses", () => {
  it.each([
    ["a proof for another audience", { audience: "https://another.example.com" }, "another audience", "allowed audiences"],
    [
      "a pool that it does not know",
      { pool: "projects/123456789012/locations/global/workloadIdentityPools/nobody/providers/mayfly", audience: "x" },
      "no such workload identity provider",
      "`pool`",
    ],
  ])("%s", async (_, config, message, hint) => {
    const error = await caught(minted(bench, usual, { provider: await bench.again(config) }));
    expect(error).toMatchObject({
      code: "provider-refused",
      message: expect.stringContaining(message),
      hint: expect.stringContaining(hint),
    });
  });

  /** What another broker would show: with keys and a name of its own, or with a clock of its own. */
  async function proofOf(issuerUrl: string, age = 0): Promise<Proof> {
    const folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
    const clock = { ...systemClock, now: () => Date.now() - age };
    const authority = await openAuthority({ folder, issuerUrl, clock, random: randomBytes });
    await rm(folder, { recursive: true, force: true });
    return authority.proofs.mint(intentOf({ ttl: 600_000 }));
  }
  const mintWith = (proof: Proof): Promise<unknown> =>
    caught(bench.provider.mint({ intent: intentOf({ ttl: 600_000 }), options: usual, proof, signal }));

  it("another issuer's proof", async () => {
    const error = await mintWith(await proofOf("https://other.test"));
    expect(error).toMatchObject({ code: "provider-refused", message: expect.stringContaining("another issuer") });
  });
  it("a proof that only ends leases", async () => {
    const error = await mintWith(bench.authority.proofs.end("lse-0"));
    expect(error).toMatchObject({ code: "provider-refused", message: expect.stringContaining("attribute condition") });
  });
  it("what nobody signed", async () => {
    const token = await bench.authority.proofs.mint(intentOf({ ttl: 1 })).token(`https://iam.googleapis.com/${pool}`);
    const [header, payload] = token.use((bytes) => bytes.toString()).split(".");
    const error = await mintWith({ token: () => Promise.resolve(Secret.of(`${header}.${payload}.AAAA`)) });
    expect(error).toMatchObject({ code: "provider-refused", hint: expect.stringContaining("mayfly keys jwks") });
  });
  it("a proof from the past", async () => {
    const error = await mintWith(await proofOf("https://mayfly.test", 600_000));
    expect(error).toMatchObject({ code: "provider-refused", hint: "compare this host's clock with a time server's" });
  });

  it.each([
    ["an account that is not there", { ...usual, service_account: address("ci-nobody") }, "roles/iam.workloadIdentityUser"],
    [
      "an account that is another template's",
      { ...usual, service_account: address("ci-stranger") },
      "roles/iam.workloadIdentityUser",
    ],
    [
      "a secret that is not the account's",
      { service_account: address("ci-reader"), secret: "projects/shop-prod/secrets/other" },
      "secretAccessor",
    ],
    [
      "a version that is disabled",
      { service_account: address("ci-reader"), secret: "projects/shop-prod/secrets/registry", version: "6" },
      "enable it",
    ],
    ["a text that is no object", { secret: "projects/shop-prod/secrets/direct", format: "fields" }, "format: text"],
  ])("%s", async (_, options, hint) => {
    expect(await caught(minted(bench, options))).toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining(hint),
    });
  });

  it("a life of more than an hour, but where an organisation allows it", async () => {
    const error = await caught(minted(bench, usual, { ttl: 7_200_000 }));
    expect(error).toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining("allowServiceAccountCredentialLifetimeExtension"),
    });
    const { ending } = await minted(bench, { ...usual, service_account: address("ci-nightly") }, { ttl: 7_200_000 });
    expect(ending.kind === "expires" && ending.at - Date.now()).toBeGreaterThan(7_100_000);
  });
  it("a quota that is used up", async () => {
    const body = JSON.stringify({ error: { code: 429, status: "RESOURCE_EXHAUSTED", message: "Quota exceeded" } });
    bench.proxy.next({ kind: "answer", status: 429, body }, { path: ":generateAccessToken" });
    expect(await caught(minted(bench, usual))).toMatchObject({
      code: "provider-unavailable",
      hint: "the project's quota is used up",
    });
  });
});

describe("nobody is asked", () => {
  const nothing = async (work: () => Promise<unknown>): Promise<unknown> => {
    const before = bench.proxy.seen.length;
    const error = await caught(work());
    expect(bench.proxy.seen.slice(before)).toEqual([]);
    return error;
  };
  it.each([
    [
      "an ID token for less than an hour",
      { service_account: address("ci-deploy"), id_token: "https://shop.example.com" },
      3_599_000,
      "1h",
    ],
    ["the pool's own token for less than an hour", { scopes }, 600_000, "service_account"],
    ["a token for more than 12 hours", usual, 43_201_000, "ttl"],
  ])("for %s", async (_, options, ttl, hint) => {
    expect(await nothing(() => minted(bench, options, { ttl }))).toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining(hint),
    });
  });
  it("for a boundary that is too long once its slots are filled", async () => {
    const rules = Array.from({ length: 7 }, () => ({
      bucket: "shop-artifacts",
      roles: ["roles/storage.objectViewer"],
      condition: "resource.name.startsWith('projects/_/buckets/shop-artifacts/objects/{ref}/')",
    }));
    const options = { service_account: address("ci-deploy"), storage: rules };
    const error = await nothing(() => minted(bench, options, { claims: { ref: "x".repeat(128) } }));
    expect(error).toMatchObject({
      code: "provider-refused",
      message: expect.stringMatching(/access boundary has \d{4} characters/),
    });
  });
  it("for a secret whose name is none", async () => {
    const error = await nothing(() =>
      minted(bench, { secret: "projects/shop-prod/secrets/{ref}" }, { claims: { ref: "a.b" } }),
    );
    expect(error).toMatchObject({ code: "provider-refused", message: expect.stringContaining("does not fit: secret") });
  });
});

describe("an answer that was not asked for", () => {
  const answer = (body: object): { kind: "answer"; status: number; body: string } => ({
    kind: "answer",
    status: 200,
    body: JSON.stringify(body),
  });
  const later = (seconds: number): string => new Date(Date.now() + seconds * 1_000).toISOString();
  const exchanged = {
    access_token: "ya29.other",
    token_type: "Bearer",
    issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
  };
  const jwt = (payload: object): string =>
    `${Buffer.from('{"alg":"RS256"}').toString("base64url")}.${Buffer.from(JSON.stringify(payload)).toString("base64url")}.AAAA`;
  const payload = { aud: "https://shop.example.com", email: address("ci-deploy"), exp: Math.floor(Date.now() / 1_000) + 3_600 };
  const id = { service_account: address("ci-deploy"), id_token: "https://shop.example.com" };
  const secret = { secret: "projects/shop-prod/secrets/direct" };
  const data = Buffer.from("known").toString("base64");
  const sum = String(crc32c(Buffer.from("known")));
  const bucket = {
    service_account: address("ci-deploy"),
    storage: [{ bucket: "shop-artifacts", roles: ["roles/storage.objectViewer"] }],
  };

  it.each([
    ["a longer life", usual, ":generateAccessToken", { accessToken: "t", expireTime: later(700) }, "lives longer"],
    ["a life that is over", usual, ":generateAccessToken", { accessToken: "t", expireTime: later(-1) }, "over already"],
    [
      "another scope",
      { scopes },
      "/v1/token",
      { ...exchanged, expires_in: 3_600, scope: `${scopes[0]} https://www.googleapis.com/auth/x` },
      "scope",
    ],
    ["a life that is not said", { scopes }, "/v1/token", exchanged, "does not say how long"],
    ["a life of the pool's of two hours", { scopes }, "/v1/token", { ...exchanged, expires_in: 7_200 }, "lives longer"],
    [
      "an ID token for another audience",
      id,
      ":generateIdToken",
      { token: jwt({ ...payload, aud: "https://other.example.com" }) },
      "somebody else",
    ],
    [
      "an ID token of another account",
      id,
      ":generateIdToken",
      { token: jwt({ ...payload, email: address("ci-reader") }) },
      "somebody else",
    ],
    [
      "an ID token that lives for a day",
      id,
      ":generateIdToken",
      { token: jwt({ ...payload, exp: payload.exp + 86_400 }) },
      "lives longer",
    ],
    [
      "another secret",
      secret,
      "/secrets/",
      { name: "projects/1/secrets/other/versions/7", payload: { data, dataCrc32c: sum } },
      "another secret",
    ],
  ])("is a broken promise: %s", async (_, ...[options, path, body, message]: readonly [object, string, object, string]) => {
    bench.proxy.next(answer(body), { path });
    const error = await caught(minted(bench, options, { ttl: options === usual ? 600_000 : 3_600_000 }));
    expect(error).toMatchObject({ code: "provider-broken-promise", message: expect.stringContaining(message) });
  });

  it("is a broken promise: the token within a boundary is the one without, or outlives it", async () => {
    for (const seconds of [3_600, undefined]) {
      const first = await mintedToken();
      bench.proxy.next(answer({ accessToken: first, expireTime: later(500) }), { path: ":generateAccessToken" });
      const again = seconds === undefined ? { ...exchanged, access_token: first } : { ...exchanged, expires_in: seconds };
      bench.proxy.next({ kind: "delay", milliseconds: 0 }, { path: "/v1/token" });
      bench.proxy.next(answer(again), { path: "/v1/token" });
      expect(await caught(minted(bench, bucket))).toMatchObject({ code: "provider-broken-promise" });
    }
  });
  const mintedToken = async (): Promise<string> => bearerOf((await minted(bench, usual)).material);

  it("is no secret when its checksum is another's, and is one when it fits", async () => {
    const named = { name: "projects/1/secrets/direct/versions/7" };
    bench.proxy.next(answer({ ...named, payload: { data, dataCrc32c: String((Number(sum) ^ 1) >>> 0) } }), {
      path: "/secrets/",
    });
    expect(await caught(minted(bench, secret))).toMatchObject({ message: "the secret does not have its checksum" });
    bench.proxy.next(answer({ ...named, payload: { data, dataCrc32c: sum } }), { path: "/secrets/" });
    expect(await caught(minted(bench, secret))).toBe("it was given");
  });
});

describe("the way to google", () => {
  it("gives up on a black hole when it is told to", async () => {
    bench.proxy.next({ kind: "black-hole" });
    const before = performance.now();
    expect(await caught(minted(bench, usual, { signal: AbortSignal.timeout(100) }))).toBeInstanceOf(Error);
    expect(performance.now() - before).toBeLessThan(1_000);
  });

  it("asks once: a lost answer is not asked for again by the library", async () => {
    const before = bench.proxy.seen.length;
    bench.proxy.next({ kind: "reset" }, {}, 5);
    await caught(minted(bench, usual));
    bench.proxy.heal();
    expect(bench.proxy.seen.slice(before)).toEqual(["POST /v1/token"]);
  });

  it("goes through no proxy, prints nothing, and takes nothing of the environment's", async () => {
    const elsewhere: string[] = [];
    const proxy = createServer((request, response) => {
      elsewhere.push(request.url ?? "");
      response.end();
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    Object.assign(process.env, { HTTP_PROXY: url, HTTPS_PROXY: url, http_proxy: url, ALL_PROXY: url });
    Object.assign(process.env, { GOOGLE_SDK_NODE_LOGGING: "*", GOOGLE_APPLICATION_CREDENTIALS: "/nonexistent" });
    const printed: string[] = [];
    const before = process.stderr.write.bind(process.stderr);
    process.stderr.write = (chunk: string | Uint8Array) => printed.push(String(chunk)) > 0;
    try {
      await minted(bench, usual);
    } finally {
      process.stderr.write = before;
      for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
      await new Promise((resolve) => proxy.close(resolve));
    }
    expect(elsewhere).toEqual([]);
    expect(printed).toEqual([]);
  });

  it("keeps what google repeats out of the error", async () => {
    let shown = "";
    const proof = bench.authority.proofs.mint(intentOf({ ttl: 600_000 }));
    const watched: Proof = {
      token: async (audience) => {
        const token = await proof.token(audience);
        shown = token.use((bytes) => bytes.toString());
        bench.proxy.next({
          kind: "answer",
          status: 400,
          body: JSON.stringify({ error: "invalid_grant", error_description: `I saw ${shown}` }),
        });
        return token;
      },
    };
    const error = await caught(
      bench.provider.mint({ intent: intentOf({ ttl: 600_000 }), options: usual, proof: watched, signal }),
    );
    expect(shown.length).toBeGreaterThan(100);
    expect(error).toMatchObject({ code: "provider-refused", detail: "sts: status 400: invalid_grant: I saw [secret]" });
  });
});

describe("the checksum", () => {
  // RFC 3720 appendix B.4, and the check value of the catalogue of CRCs.
  it.each([
    ["123456789", Buffer.from("123456789"), 0xe3069283],
    ["32 zeroes", Buffer.alloc(32), 0x8a9136aa],
    ["32 ones", Buffer.alloc(32, 0xff), 0x62a8ab43],
    ["0 to 31", Buffer.from(Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e],
    ["31 to 0", Buffer.from(Array.from({ length: 32 }, (_, index) => 31 - index)), 0x113fdb5c],
  ])("of %s", (_, bytes, sum) => expect(crc32c(bytes)).toBe(sum));
});
