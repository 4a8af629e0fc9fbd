import { chmod, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Intent, Minted, Provider } from "../../src/lease/provider.ts";
import { intentOf } from "../conformance/provider.ts";
import { ownAudience } from "../servers/kubernetes.ts";
import { kubernetesMissing } from "../servers/kubernetes-binary.ts";
import { type KubernetesBench, openKubernetesBench, options, textOf } from "./kubernetes-bench.ts";

const missing = kubernetesMissing();
let bench: KubernetesBench;
beforeAll(async () => {
  if (missing === undefined) bench = await openKubernetesBench();
});
beforeEach(({ skip }) => {
  if (missing !== undefined) skip(missing);
  bench.proxy.heal();
});
afterAll(async () => {
  if (missing === undefined) await bench[Symbol.asyncDispose]();
});

const never = new AbortController().signal;
const [secrets, tokens] = ["/namespaces/ci-jobs/secrets", "/serviceaccounts/deploy/token"];
const mint = (
  asked: unknown,
  intent: Intent = intentOf({ ttl: 600_000 }),
  by: Provider<unknown> = bench.provider,
): Promise<Minted> => by.mint({ intent, options: asked, proof: bench.authority.proofs.mint(intent), signal: never });
const end = async ({ ending }: Minted): Promise<void> => {
  const { revocation } = bench.provider;
  if (revocation === "none" || ending.kind !== "revoke") throw new Error("it must be revocable");
  await revocation.revoke(ending.handle, { proof: bench.authority.proofs.end("lse-0"), signal: never });
};
const use = async (minted: Minted, method: string, path: string, body?: object): Promise<number> =>
  (await bench.cluster.ask(textOf(minted.material), method, path, body)).status;
const review = async (minted: Minted, audience: string): Promise<boolean> => {
  const asked = {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenReview",
    spec: { token: textOf(minted.material), audiences: [audience] },
  };
  const { body } = await bench.cluster.ask(bench.cluster.admin, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", asked);
  return (body as { readonly status: { readonly authenticated?: boolean } }).status.authenticated === true;
};

describe("what a token may do, by the API server's own word", () => {
  let minted: Minted;
  beforeAll(async () => {
    if (missing === undefined) minted = await mint(options);
  });

  it.each([
    ["what its account may", "GET", "/api/v1/namespaces/shop/configmaps", 200],
    ["not read what else is there", "GET", "/api/v1/namespaces/shop/secrets", 403],
    ["not delete what it may list", "DELETE", "/api/v1/namespaces/shop/configmaps/x", 403],
    ["not go to another namespace", "GET", "/api/v1/namespaces/ci-jobs/configmaps", 403],
    ["not see its own lease's Secret", "GET", "/api/v1/namespaces/ci-jobs/secrets", 403],
    ["not make itself another token", "POST", `/api/v1/namespaces/ci-jobs${tokens}`, 403],
    ["not see the whole cluster", "GET", "/api/v1/namespaces", 403],
  ])("is %s: %s %s", async (_, method, path, status) => {
    const body =
      method === "POST" ? { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { audiences: [] } } : undefined;
    expect(await use(minted, method, path, body)).toBe(status);
  });

  it("is for its audience only", async () => {
    const elsewhere = await mint({ ...options, audiences: ["https://elsewhere.example.com"] });
    expect(await use(elsewhere, "GET", "/api/v1/namespaces/shop/configmaps")).toBe(401);
    expect(await review(elsewhere, "https://elsewhere.example.com")).toBe(true);
    expect(await review(elsewhere, "https://another.example.com")).toBe(false);
    await end(elsewhere);
    await expect.poll(() => review(elsewhere, "https://elsewhere.example.com"), { timeout: 12_000, interval: 500 }).toBe(false);
  }, 20_000);

  it("that was just used ends within the API server's own ten seconds, one that was not used at once", async () => {
    const [used, unused] = [await mint(options), await mint(options)];
    expect(await use(used, "GET", "/api/v1/namespaces/shop/configmaps")).toBe(200);
    await Promise.all([end(used), end(unused)]);
    expect(await use(unused, "GET", "/api/v1/namespaces/shop/configmaps")).toBe(401);
    await expect
      .poll(() => use(used, "GET", "/api/v1/namespaces/shop/configmaps"), { timeout: 12_000, interval: 250 })
      .toBe(401);
  }, 20_000);

  it("that only its signature vouches for is bound to nothing, and is said to expire", async () => {
    const intent = intentOf({ ttl: 600_000 });
    const loose = await mint({ ...options, verified_by: "signature" }, intent);
    expect(loose.ending.kind).toBe("expires");
    expect(await bench.alive(intent.lease)).toEqual([]);
    expect(await use(loose, "GET", "/api/v1/namespaces/shop/configmaps")).toBe(200);
    const { revocation } = bench.provider;
    if (revocation === "none") throw new Error("it must be revocable");
    const found = await revocation.recover(
      intent,
      { ...options, verified_by: "signature" },
      { proof: bench.authority.proofs.end("x"), signal: never },
    );
    expect(found).toEqual({ kind: "found", ending: { kind: "expires", at: intent.latestExpiry } });
  });
});

describe("what the broker may do, set up as the documentation says", () => {
  const as = async (purpose: "mint" | "end"): Promise<string> => {
    const { proofs } = bench.authority;
    const proof = purpose === "mint" ? proofs.mint(intentOf({ ttl: 600_000 })) : proofs.end("lse-0");
    return (await proof.token("https://k8s.example.com")).use((bytes) => bytes.toString("utf8"));
  };
  const spec = { audiences: [ownAudience], expirationSeconds: 600 };
  const request = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec };
  const secret = (type: string): object => ({
    apiVersion: "v1",
    kind: "Secret",
    type,
    metadata: { generateName: "x-", annotations: { "kubernetes.io/service-account.name": "deploy" } },
  });

  it.each([
    ["mint", "make a Secret of a lease", 201, { method: "POST", path: secrets, body: secret("mayfly/lease") }],
    ["mint", "not make a Secret of another type", 422, { method: "POST", path: secrets, body: secret("Opaque") }],
    [
      "mint",
      "not make a token without end",
      422,
      { method: "POST", path: secrets, body: secret("kubernetes.io/service-account-token") },
    ],
    ["mint", "not read Secrets", 403, { method: "GET", path: secrets, body: undefined }],
    [
      "mint",
      "not speak for an account that is not named",
      403,
      { method: "POST", path: "/namespaces/ci-jobs/serviceaccounts/payroll/token", body: request },
    ],
    ["mint", "not work elsewhere", 403, { method: "POST", path: "/namespaces/shop/secrets", body: secret("mayfly/lease") }],
    ["end", "delete what is not there", 404, { method: "DELETE", path: `${secrets}/lse-nonesuch`, body: undefined }],
    ["end", "not make a Secret", 403, { method: "POST", path: secrets, body: secret("mayfly/lease") }],
    ["end", "not mint", 403, { method: "POST", path: `/namespaces/ci-jobs${tokens}`, body: request }],
    ["end", "not read Secrets", 403, { method: "GET", path: secrets, body: undefined }],
  ] as const)("%s: %s", async (purpose, _, status, { method, path, body }) => {
    const answer = await bench.cluster.ask(await as(purpose), method, `/api/v1${path}`, body);
    expect(answer.status, JSON.stringify(answer.body)).toBe(status);
  });

  it("end: not delete another's Secret", async () => {
    const { cluster } = bench;
    const theirs = { apiVersion: "v1", kind: "Secret", metadata: { name: "theirs" } };
    await cluster.ask(cluster.admin, "POST", `/api/v1${secrets}`, theirs);
    expect((await cluster.ask(await as("end"), "DELETE", `/api/v1${secrets}/theirs`)).status).toBe(422);
  });
});

/** Who asks the API server over TLS need not verify what it answers with. */
function unsigned(claims: object): string {
  return [{ alg: "RS256" }, claims, {}].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
}

describe("an answer that is not what was asked for", () => {
  const soon = Math.floor(Date.now() / 1_000) + 500;
  const bound = { secret: { name: "lse-x", uid: "u" } };
  const good = { sub: "system:serviceaccount:ci-jobs:deploy", aud: [ownAudience], exp: soon, "kubernetes.io": bound };
  it.each([
    ["is another account's", { sub: "system:serviceaccount:ci-jobs:payroll" }, "another service account"],
    ["is for one more", { aud: [ownAudience, "https://elsewhere.example.com"] }, "somebody else"],
    ["is for nobody", { aud: [] }, "somebody else"],
    ["is bound to another lease", {}, "not bound"],
    ["is bound to nothing", { "kubernetes.io": {} }, "not bound"],
    ["does not say when it ends", { exp: undefined }, "does not say"],
  ])("is refused, and the lease's Secret is gone: one that %s", async (_, claims, why) => {
    const token = unsigned({ ...good, ...claims });
    const body = JSON.stringify({
      kind: "TokenRequest",
      status: { token, expirationTimestamp: new Date(soon * 1_000).toISOString() },
    });
    bench.proxy.next({ kind: "answer", status: 201, body }, { path: tokens });
    const intent = intentOf({ ttl: 600_000 });
    await expect(mint(options, intent)).rejects.toMatchObject({
      code: "provider-broken-promise",
      message: expect.stringContaining(why),
    });
    expect(await bench.alive(intent.lease)).toEqual([]);
  });

  it.each([
    ["lives longer by its own word", { exp: soon + 3_600 }, new Date(soon * 1_000), "lives longer"],
    ["lives longer by the answer's", {}, new Date((soon + 3_600) * 1_000), "lives longer"],
    ["is stale", { exp: soon - 3_600 }, new Date((soon - 3_600) * 1_000), "has expired"],
  ])("is refused: one that %s", async (_, claims, until, why) => {
    const token = unsigned({ ...good, ...claims });
    const body = JSON.stringify({ kind: "TokenRequest", status: { token, expirationTimestamp: until.toISOString() } });
    bench.proxy.next({ kind: "answer", status: 201, body }, { path: tokens });
    await expect(mint({ ...options, verified_by: "signature" })).rejects.toMatchObject({
      code: "provider-broken-promise",
      message: expect.stringContaining(why),
    });
  });
});

describe("looking for a lease", () => {
  it("ends nothing", async () => {
    const intent = intentOf({ ttl: 600_000 });
    const minted = await mint(options, intent);
    const { revocation } = bench.provider;
    if (revocation === "none") throw new Error("it must be revocable");
    const request = { proof: bench.authority.proofs.end(intent.lease), signal: never };
    for (const _ of [1, 2]) expect(await revocation.recover(intent, options, request)).toMatchObject({ kind: "found" });
    expect(await bench.alive(intent.lease)).toEqual([intent.lease]);
    expect(await use(minted, "GET", "/api/v1/namespaces/shop/configmaps")).toBe(200);
    await end(minted);
  });
});

describe("the way there", () => {
  it("is TLS that trusts the cluster's own authority, and nothing else", async () => {
    const { cluster, again, tokenFile } = bench;
    const server = `https://localhost:${cluster.tlsPort}`;
    const ca = `${tokenFile}.ca`;
    await writeFile(ca, cluster.ca);
    const minted = await mint(options, undefined, await again({ server, ca }));
    await end(minted);
    await expect(mint(options, undefined, await again({ server }))).rejects.toMatchObject({ code: "provider-unavailable" });
  });
});

describe("what Kubernetes refuses", () => {
  it.each([
    ["an account that there is none of", { ...options, service_account: "nobody" }, "create on serviceaccounts/token"],
    ["a namespace that there is none of", { ...options, namespace: "nowhere" }, "create and delete on secrets"],
  ])("says what to do: %s", async (_, asked, hint) => {
    await expect(mint(asked)).rejects.toMatchObject({ code: "provider-refused", hint: expect.stringContaining(hint) });
  });

  it("says what to do: an audience that the API server does not expect", async () => {
    const other = await bench.again({ audience: "https://another.example.com" });
    await expect(mint(options, undefined, other)).rejects.toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining("AuthenticationConfiguration"),
    });
  });

  it.each([
    ["what is no token", "nothing like it", 0o600, "token_file must be"],
    ["a token that others can read", "eyJ.e.x", 0o644, "token_file must be"],
    ["a token of another cluster", "eyJ.e.x", 0o600, "another audience or cluster"],
  ])("says what to do: %s in the token file", async (_, text, mode, hint) => {
    const path = `${bench.tokenFile}-${mode}-${text.length}`;
    await writeFile(path, text);
    await chmod(path, mode);
    const other = await bench.again({ token_file: path }, "host");
    await expect(mint(options, undefined, other)).rejects.toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining(hint),
    });
  });

  it.each([
    ["a policy's", 422, "ValidatingAdmissionPolicy 'x' with binding 'x' denied request: no", "policy of the cluster"],
    ["a webhook's", 403, 'admission webhook "x" denied the request: no', "policy of the cluster"],
    ["a namespace that is on its way out", 403, "namespace ci-jobs because it is being terminated", "being deleted"],
    ["a namespace that is not there", 404, 'namespaces "ci-jobs" not found', "no such namespace"],
  ])("says whose word it is: %s", async (_, status, message, why) => {
    bench.proxy.next({ kind: "answer", status, body: JSON.stringify({ kind: "Status", message }) }, { path: secrets });
    await expect(mint(options)).rejects.toMatchObject({ code: "provider-refused", message: expect.stringContaining(why) });
  });

  it("leaves nothing when the token is refused, and does not say so where it cannot be sure", async () => {
    const no = {
      kind: "answer",
      status: 404,
      body: '{"kind":"Status","message":"serviceaccounts \\"deploy\\" not found"}',
    } as const;
    bench.proxy.next(no, { path: tokens });
    const first = intentOf({ ttl: 600_000 });
    await expect(mint(options, first)).rejects.toMatchObject({
      code: "provider-refused",
      message: "there is no such service account",
    });
    expect(await bench.alive(first.lease)).toEqual([]);
    bench.proxy.next(no, { path: tokens });
    bench.proxy.next({ kind: "answer", status: 403, body: "{}" }, { method: "DELETE" });
    const second = intentOf({ ttl: 600_000 });
    await expect(mint(options, second)).rejects.toMatchObject({ code: "internal" });
    expect(await bench.alive(second.lease)).toEqual([second.lease]);
  });

  it("does not call a Secret gone that a finalizer keeps", async () => {
    const intent = intentOf({ ttl: 600_000 });
    const minted = await mint(options, intent);
    const { cluster } = bench;
    const path = `/api/v1${secrets}/${intent.lease}`;
    const { body } = await cluster.ask(cluster.admin, "GET", path);
    const kept = body as { metadata: { finalizers?: string[] } };
    kept.metadata.finalizers = ["example.com/keep"];
    await cluster.ask(cluster.admin, "PUT", path, kept);
    await expect(end(minted)).rejects.toThrow("still there");
    const again = (await cluster.ask(cluster.admin, "GET", path)).body as typeof kept;
    again.metadata.finalizers = [];
    await cluster.ask(cluster.admin, "PUT", path, again);
    await sleep(50);
    await end(minted);
  });
});
