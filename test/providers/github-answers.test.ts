import { generateKeyPairSync } from "node:crypto";
import { chmod, rm, symlink, writeFile } from "node:fs/promises";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { hour } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";
import { type GithubBench, openGithubBench, options, tokenOf } from "./github-bench.ts";

let bench: GithubBench;
beforeAll(async () => {
  bench = await openGithubBench();
});
beforeEach(async () => {
  Object.assign(bench.hub, { lies: undefined, format: "short", ahead: 0, suspended: false, deaf: false });
  bench.proxy.heal();
  await writeFile(bench.keyFile, bench.hub.key, { mode: 0o600 });
});
afterAll(() => bench[Symbol.asyncDispose]());

const never = new AbortController().signal;
const end = async (token: { readonly ending: { readonly kind: string } }): Promise<void> => {
  const { revocation } = bench.provider;
  const { ending } = token as Awaited<ReturnType<GithubBench["mint"]>>;
  if (revocation === "none" || ending.kind !== "revoke") throw new Error("it must be revocable");
  await revocation.revoke(ending.handle, { proof: bench.authority.proofs.end("lse-0"), signal: never });
};

describe("what a token may do", () => {
  const narrow = { repositories: ["shop"], permissions: { contents: "read" } };

  it.each([
    ["what was granted", "GET", "/repos/shop-org/shop/contents/README.md", 200],
    ["what every token may", "GET", "/repos/shop-org/shop", 200],
    ["not write what it may read", "PUT", "/repos/shop-org/shop/contents/README.md", 403],
    ["not read of another kind", "GET", "/repos/shop-org/shop/issues", 403],
    ["not write of another kind", "POST", "/repos/shop-org/shop/issues", 403],
    ["not read another repository", "GET", "/repos/shop-org/shop-docs/contents/README.md", 404],
    ["not see another repository", "GET", "/repos/shop-org/payroll", 404],
  ])("is %s: %s %s", async (_, method, path, status) => {
    const given = await bench.mint(narrow);
    expect(await bench.hub.use(tokenOf(given.material), method, path)).toBe(status);
    await end(given);
    expect(await bench.hub.use(tokenOf(given.material), method, path)).toBe(401);
  });

  it("is asked for with repositories and permissions, and nothing else", async () => {
    await bench.mint(narrow);
    expect(bench.hub.asked.at(-1)).toEqual({ repositories: ["shop"], permissions: { contents: "read" } });
    await bench.mint(options);
    expect(bench.hub.asked.at(-1)).toEqual({ repository_ids: [519283746], permissions: options.permissions });
  });

  it.each(["short", "stateless"] as const)("whatever it looks like: %s", async (format) => {
    bench.hub.format = format;
    const given = await bench.mint(narrow);
    expect(tokenOf(given.material).length).toBeGreaterThanOrEqual(format === "short" ? 40 : 400);
    expect(JSON.stringify(given.ending)).not.toContain(tokenOf(given.material).slice(4, 24));
    await end(given);
  });
});

describe("an answer that is not what was asked for", () => {
  const lies: readonly (readonly [string, (answer: Record<string, unknown>) => object, string])[] = [
    ["may do more", () => ({ permissions: { contents: "write", issues: "read", actions: "write" } }), "may do more"],
    ["may write where reading was asked", () => ({ permissions: { contents: "write", issues: "write" } }), "may do more"],
    ["has a level that nobody knows", () => ({ permissions: { contents: "owner" } }), "may do more"],
    ["has a permission of an object's own", () => ({ permissions: { constructor: "read" } }), "may do more"],
    ["is for all repositories", () => ({ repository_selection: "all" }), "all repositories"],
    [
      "is for one more",
      ({ repositories }) => ({ repositories: [...(repositories as object[]), { id: 9, name: "x" }] }),
      "other repositories",
    ],
    ["is for another", () => ({ repositories: [{ id: 519283748, name: "payroll" }] }), "other repositories"],
    ["is for none", () => ({ repositories: [] }), "other repositories"],
    ["does not say for which", () => ({ repositories: undefined }), "does not say"],
    ["does not say what for", () => ({ permissions: undefined }), "does not say"],
    ["does not say until when", () => ({ expires_at: undefined }), "does not say"],
    ["has no date", () => ({ expires_at: "soon" }), "does not say"],
    ["lives for two hours", () => ({ expires_at: new Date(Date.now() + 2 * hour).toISOString() }), "lives longer"],
    ["is stale", () => ({ expires_at: new Date(Date.now() - 1_000).toISOString() }), "has expired"],
  ];
  it.each(lies)("is refused and ended: one that %s", async (_, lie, why) => {
    const before = bench.hub.alive().length;
    bench.hub.lies = (answer) => ({ ...answer, ...lie(answer) });
    await expect(bench.mint(options)).rejects.toMatchObject({
      code: "provider-broken-promise",
      message: expect.stringContaining(why),
    });
    expect(bench.hub.alive()).toHaveLength(before);
  });

  it("may do less: that is for GitHub to say", async () => {
    bench.hub.lies = (answer) => ({ ...answer, permissions: { contents: "read", metadata: "read" } });
    await expect(bench.mint(options)).resolves.toBeDefined();
  });
});

describe("what GitHub refuses", () => {
  const other = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ type: "pkcs1", format: "pem" });
  const refused: readonly (readonly [string, () => unknown, unknown, string])[] = [
    [
      "a permission that the App lacks",
      () => undefined,
      { ...options, permissions: { actions: "read" } },
      "was not given every permission",
    ],
    [
      "a level that it lacks",
      () => undefined,
      { ...options, permissions: { contents: "admin" } },
      "was not given every permission",
    ],
    [
      "a repository that is not the installation's",
      () => undefined,
      { ...options, repository_ids: ["1"] },
      "lacks one of the template's",
    ],
    ["a suspended installation", () => (bench.hub.suspended = true), options, "is suspended"],
    ["a clock that is behind", () => (bench.hub.ahead = 120), options, "clocks"],
    ["a clock that is ahead", () => (bench.hub.ahead = -120), options, "clocks"],
    ["a key of another App", () => writeFile(bench.keyFile, other), options, "a key of the App"],
  ];
  it.each(refused)("says what to do: %s", async (_, arrange, asked, hint) => {
    await arrange();
    const before = bench.hub.alive().length;
    await expect(bench.mint(asked)).rejects.toMatchObject({ code: "provider-refused", hint: expect.stringContaining(hint) });
    expect(bench.hub.alive()).toHaveLength(before);
  });

  it.each([
    ["another App", { app: "Iv23liSomebodyElse" }],
    ["another installation", { installation: "1" }],
  ])("says what to do: %s", async (_, config) => {
    const provider = await bench.again(config);
    const intent = intentOf({ ttl: hour });
    const asked = { intent, options, proof: bench.authority.proofs.mint(intent), signal: never };
    await expect(provider.mint(asked)).rejects.toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining("not the right one"),
    });
  });

  it.each([
    ["403 with nothing left", 403, { "x-ratelimit-remaining": "0" }],
    ["403 with a time to wait", 403, { "retry-after": "60" }],
    ["429", 429, {}],
  ])("is asked again later: %s", async (_, status, headers) => {
    bench.proxy.next({ kind: "answer", status, headers, body: '{"message":"You have exceeded a secondary rate limit"}' });
    await expect(bench.mint(options)).rejects.toMatchObject({
      code: "provider-unavailable",
      hint: expect.stringContaining("rate limit"),
    });
  });
});

describe("before GitHub is asked, the provider", () => {
  it.each([
    ["a ttl that is shorter than a token's life", options, hour - 1_000, "ttl: 1h"],
    ["a claim that is no id", { ...options, repository_ids: ["shop"] }, hour, undefined],
  ])("refuses %s", async (_, asked, ttl, hint) => {
    const seen = bench.proxy.seen.length;
    const intent = intentOf({ ttl });
    const given = bench.provider.mint({ intent, options: asked, proof: bench.authority.proofs.mint(intent), signal: never });
    if (hint === undefined) await expect(given).rejects.toThrow();
    else await expect(given).rejects.toMatchObject({ code: "provider-refused", hint: expect.stringContaining(hint) });
    expect(bench.proxy.seen).toHaveLength(seen);
  });

  const keys: readonly (readonly [string, (path: string) => Promise<unknown>])[] = [
    ["a key that others can read", (path) => chmod(path, 0o644)],
    ["a key that is not there", (path) => rm(path)],
    ["a key behind a link", async (path) => (await rm(path), await symlink("/etc/hostname", path))],
    ["what is no key", (path) => writeFile(path, "canary")],
    [
      "a key of another kind",
      (path) =>
        writeFile(path, generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" })),
    ],
    [
      "a short key",
      (path) =>
        writeFile(
          path,
          generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey.export({ type: "pkcs1", format: "pem" }),
        ),
    ],
  ];
  it.each(keys)("refuses %s", async (_, spoil) => {
    await spoil(bench.keyFile);
    const seen = bench.proxy.seen.length;
    await expect(bench.mint(options)).rejects.toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining("key_file"),
    });
    expect(bench.proxy.seen).toHaveLength(seen);
    await rm(bench.keyFile, { force: true });
  });
});

describe("the App's own token", () => {
  it("lives a minute, for one request", async () => {
    const { appToken } = await import("../../providers/github/app.ts");
    const { systemClock } = await import("../../src/time.ts");
    const { iat = 0, exp = 0, iss } = decodeJwt(await appToken({ app: "a", key_file: bench.keyFile } as never, systemClock));
    expect({ iss, life: exp - iat }).toEqual({ iss: "a", life: 120 });
    expect(Math.abs(exp - 60 - Date.now() / 1_000)).toBeLessThan(3);
  });
});

describe("a token whose job is gone", () => {
  it("is ended when the answer comes late, though nobody waits for it", async () => {
    const [alive, asked] = [bench.hub.alive().length, bench.hub.asked.length];
    bench.proxy.next({ kind: "delay", milliseconds: 300 });
    const intent = intentOf({ ttl: hour });
    const { proofs } = bench.authority;
    const given = bench.provider.mint({ intent, options, proof: proofs.mint(intent), signal: AbortSignal.timeout(100) });
    await expect(given).rejects.toThrow();
    expect(bench.hub.asked).toHaveLength(asked);
    await expect.poll(() => bench.hub.asked.length).toBe(asked + 1);
    await expect.poll(() => bench.hub.alive().length).toBe(alive);
  });

  it("is not called ended while GitHub takes it", async () => {
    const given = await bench.mint(options);
    bench.hub.deaf = true;
    await expect(end(given)).rejects.toThrow("still takes the token");
    bench.hub.deaf = false;
    await end(given);
    await end(given);
  });

  it.each([
    ["a page of somebody in between", 401, "<html>log in</html>"],
    ["another 401", 401, '{"message":"Requires authentication"}'],
    ["a refusal", 403, '{"message":"no"}'],
    ["an error", 502, ""],
  ])("is not called ended for %s", async (_, status, body) => {
    const given = await bench.mint(options);
    bench.proxy.next({ kind: "answer", status, body }, { method: "DELETE" });
    await expect(end(given)).rejects.toThrow();
    await end(given);
    expect(bench.hub.alive()).not.toContain(tokenOf(given.material));
  });

  it("cannot be ended by another broker's handle", async () => {
    const { revocation } = bench.provider;
    if (revocation === "none") throw new Error("it must be revocable");
    const request = { proof: bench.authority.proofs.end("lse-0"), signal: never };
    await expect(revocation.revoke({ token: "AAAA" }, request)).rejects.toMatchObject({ code: "internal" });
  });
});
