import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import { secretsOf } from "../../src/material.ts";
import { intentOf } from "../conformance/provider.ts";
import { lodge, type TestLodging } from "./lodging.ts";
import { brokersProof, given, inMilliseconds, type Json, type Puppet, pull, revocable, started, ttl } from "./puppet.ts";

/** What a plug-in may answer, and what its broker makes of it. The plug-in is real; only what it says is made up. */
let home: TestLodging;
let puppet: Puppet;
beforeAll(async () => {
  home = lodge("puppet");
  puppet = pull(home, { timeout: "1s" });
  await started(puppet);
});
afterAll(() => home[Symbol.asyncDispose]());

const caught = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );
const isCertain = (error: unknown): boolean =>
  error instanceof BrokerError && ["provider-refused", "provider-unavailable", "provider-unknown"].includes(error.code);

describe("an answer as declared", () => {
  it.each([
    ["a bearer token", { kind: "bearer" }, given(), { kind: "bearer" }, ["tok-lse-1-secret"]],
    [
      "a token that expires",
      { kind: "short" },
      given(undefined, { expires: { at: inMilliseconds(ttl) } }),
      { kind: "bearer" },
      ["tok-lse-1-secret"],
    ],
    [
      "a login",
      { kind: "login" },
      given({ usernamePassword: { username: "v-shop", password: "correct-horse" } }, revocable({ renewWithin: "60s" })),
      { kind: "username-password", username: "v-shop" },
      ["correct-horse"],
    ],
    [
      "fields",
      { kind: "fields" },
      given({ fields: { fields: { user: "joe-the-user", password: "battery-staple" } } }, { stored: {} }),
      { kind: "fields" },
      ["joe-the-user", "battery-staple"],
    ],
  ])("is taken: %s", async (...[, options, body, material, secrets]) => {
    puppet.play({ Mint: { body } });
    const minted = await puppet.mint(options, { lease: "lse-1" });
    expect(minted.material).toMatchObject(material);
    expect(secretsOf(minted.material).map((secret) => secret.use(String))).toEqual(secrets);
    expect(minted.ending.kind).toBe(puppet.provider.ends(options));
  });

  it("is asked for with the intent, the options and a deadline, and nothing else", async () => {
    puppet.play({});
    const intent = intentOf({ ttl }, { lease: "lse-asked" });
    await puppet.mint({ kind: "bearer" }, intent);
    const { method, request, headers } = puppet.wrote("calls").at(-1) ?? {};
    const { latestExpiry, ttl: _, ...names } = intent;
    expect({ method, request }).toEqual({
      method: "Mint",
      request: {
        intent: { ...names, ttl: "600s", latestExpiry: new Date(latestExpiry).toISOString() },
        options: { kind: "bearer" },
      },
    });
    expect(headers).toMatchObject({
      "content-type": "application/json",
      "connect-protocol-version": "1",
      "connect-timeout-ms": expect.stringMatching(/^\d+$/),
    });
    expect(Number((headers as Json)["connect-timeout-ms"])).toBeLessThanOrEqual(1_000);
  });

  it("gives back what only its broker can open, and opens it for every call about it", async () => {
    puppet.play({
      Mint: { body: given(undefined, revocable({ sealed: { key: "the-only-name-of-it" } })) },
      Revoke: { body: {} },
      Renew: { body: {} },
    });
    const { ending } = await puppet.mint();
    if (ending.kind !== "revoke") throw new Error("it does not end so");
    expect(JSON.stringify(ending.handle)).not.toContain("the-only-name-of-it");
    const afterRestart = JSON.parse(JSON.stringify(ending.handle)) as Record<string, string>;
    await puppet.revocation().revoke(afterRestart, puppet.ending);
    await puppet.revocation().renew?.(afterRestart, puppet.ending);
    for (const call of puppet.wrote("calls").slice(-2))
      expect(call["request"]).toEqual({
        handle: { id: expect.stringMatching(/^lse-/) },
        sealed: { key: "the-only-name-of-it" },
      });
  });

  it.each([
    ["refused", { refused: { detail: "no such role" } }, "provider-refused"],
    ["unavailable", { unavailable: { detail: "sealed" } }, "provider-unavailable"],
  ])("may be that certainly nothing happened: %s", async (_, body, code) => {
    puppet.play({ Mint: { body } });
    expect(await caught(puppet.mint())).toMatchObject({ code, detail: expect.stringMatching(/no such role|sealed/) });
  });
});

describe("a broken promise", () => {
  const login = (parts: Json) => given({ usernamePassword: { username: "v-shop", password: "correct-horse", ...parts } });
  it.each([
    ["of another kind", {}, given({ usernamePassword: { username: "root", password: "correct-horse" } })],
    ["that nobody can revoke", {}, given(undefined, { expires: { at: inMilliseconds(1_000) } })],
    ["that never ends", {}, given(undefined, { stored: {} })],
    ["that lives longer than asked", {}, given(undefined, revocable({ expiresAt: inMilliseconds(ttl + 60_000) }))],
    ["that lives for ever", {}, given(undefined, revocable({ expiresAt: "9999-12-31T23:59:59Z" }))],
    ["that is over", {}, given(undefined, revocable({ expiresAt: inMilliseconds(-1_000) }))],
    ["that is to be renewed, undeclared", {}, given(undefined, revocable({ renewWithin: "60s" }))],
    ["whose handle is the secret", {}, given(undefined, revocable({ handle: { id: "Bearer tok-LEASE-secret" } }))],
    ["whose username is the password", { kind: "login" }, login({ username: "u-correct-horse" })],
  ])("is refused as such, and is not certain: a credential %s", async (_, options, body) => {
    puppet.play({ Mint: { body } });
    const error = await caught(puppet.mint({ kind: "bearer", ...options }));
    expect(error).toMatchObject({ code: "provider-broken-promise" });
    expect(String(error)).not.toMatch(/tok-|correct-horse/);
  });
});

describe("an answer that the protocol does not have", () => {
  const raw = (text: string) => ({ acts: [{ do: "raw", text }] });
  const cases: readonly (readonly [why: string, script: Json, options?: Json])[] = [
    ["nothing", { body: "" }],
    ["no outcome", { body: {} }],
    ["two outcomes", { body: { ...given(), refused: { detail: "both" } } }],
    ["a page of HTML", { body: "<html>hello</html>", headers: { "Content-Type": "text/html" } }],
    ["half of it", { body: JSON.stringify(given()).slice(0, 40) }],
    ["a list", { body: [given()] }],
    ["wrong types", { body: given({ bearer: { token: 7 } }) }],
    ["a field that nobody knows", { body: { ...given(), scope: "everything" } }],
    ["a kind that nobody knows", { body: given({ masterKey: { token: "tok-LEASE-secret" } }) }],
    ["no material", { body: { minted: { ending: revocable() } } }],
    ["no ending", { body: { minted: { material: { bearer: { token: "tok-LEASE-secret" } } } } }],
    ["no expiry", { body: given(undefined, { revoke: { handle: { id: "x" } } }) }],
    ["an expiry that is none", { body: given(undefined, revocable({ expiresAt: "tomorrow" })) }],
    ["an empty secret", { body: given({ bearer: { token: "" } }) }],
    ["a secret of 65 KiB", { body: given({ bearer: { token: "x".repeat(65 * 1_024) } }) }],
    ["no handle", { body: given(undefined, revocable({ handle: {} })) }],
    [
      "a handle of 17 parts",
      {
        body: given(
          undefined,
          revocable({ handle: Object.fromEntries(Array.from({ length: 17 }, (__, at) => [`p${at}`, "x"])) }),
        ),
      },
    ],
    ["a handle that passes for sealed", { body: given(undefined, revocable({ handle: { "sealed:key": "x" } })) }],
    ["a handle with a line feed", { body: given(undefined, revocable({ handle: { id: "x\ny" } })) }],
    ["a handle of 2 KiB", { body: given(undefined, revocable({ handle: { id: "x".repeat(2_048) } })) }],
    [
      "a username of two lines",
      { body: given({ usernamePassword: { username: "joe\n[profile root]", password: "correct-horse" } }) },
      { kind: "login" },
    ],
    [
      "a field that is a path",
      { body: given({ fields: { fields: { "../../etc/cron.d/x": "* * * * *" } } }, { stored: {} }) },
      { kind: "fields" },
    ],
    ["no fields", { body: given({ fields: { fields: {} } }, { stored: {} }) }, { kind: "fields" }],
    [
      "renewal every millisecond",
      {
        body: given(
          { usernamePassword: { username: "v-shop", password: "correct-horse" } },
          revocable({ renewWithin: "0.001s" }),
        ),
      },
      { kind: "login" },
    ],
    ["a megabyte and more", { body: JSON.stringify({ refused: { detail: "x".repeat(2_000_000) } }) }],
    ["a deep nest", { body: `${"[".repeat(200_000)}` }],
    ["another protocol", raw("SSH-2.0-OpenSSH_9.2\r\n")],
    ["no end of headers", raw(`HTTP/1.1 200 OK\r\n${"X-Filler: y\r\n".repeat(5_000)}`)],
    ["a length that is not true", raw('HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"refused":{}}')],
    ["two lengths", raw('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 14\r\n\r\n{"refused":{}}')],
    ["another conversation", raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")],
    [
      "patience without end",
      {
        acts: [
          { do: "raw", text: "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(2_000) },
          { do: "sleep", seconds: 5 },
        ],
      },
    ],
    ["a drip", { acts: [{ do: "drip" }] }],
    ["silence", { acts: [{ do: "sleep", seconds: 5 }] }],
    ["a hung-up line", {}],
  ];
  it.each(cases.map(([why, script, options]) => ({ why, script, options })))(
    "is a lost one: $why",
    async ({ script, options = {} }) => {
      puppet.play({ Mint: script });
      const before = performance.now();
      const error = await caught(puppet.mint({ kind: "bearer", ...options }));
      expect(performance.now() - before).toBeLessThan(2_000);
      expect(error).toBeInstanceOf(Error);
      expect(isCertain(error), String(error)).toBe(false);
      expect(String(error)).not.toMatch(/tok-|correct-horse/);
    },
  );

  it.each([
    [500, { code: "internal", message: "boom" }, "internal: boom"],
    [503, { code: "unavailable", message: "its own upstream's word" }, "unavailable: its own upstream's word"],
    [403, { code: "permission_denied", message: "no" }, "permission_denied: no"],
    [404, { code: "unimplemented" }, "unimplemented: "],
    [204, {}, "status 204"],
    [302, "", "status 302"],
    [429, "slow down", "status 429"],
  ])("says nothing about the upstream by its status: %i", async (status, body, words) => {
    puppet.play({ Mint: { status, body, headers: status === 302 ? { Location: "http://127.0.0.1:1/" } : {} } });
    const error = await caught(puppet.mint());
    expect(isCertain(error)).toBe(false);
    expect(String(error)).toContain(words);
  });

  it.each([
    ["Recover", {}, (p: Puppet) => p.revocation().recover(intentOf({ ttl }), { kind: "bearer" }, p.ending)],
    [
      "Recover",
      { found: { expires: { at: inMilliseconds(1_000) } } },
      (p: Puppet) => p.revocation().recover(intentOf({ ttl }), { kind: "bearer" }, p.ending),
    ],
    ["Revoke", { error: "still there" }, (p: Puppet) => p.revocation().revoke({ id: "x" }, p.ending)],
    ["Renew", "", (p: Puppet) => p.revocation().renew?.({ id: "x" }, p.ending)],
  ] as const)("is none of the other calls' either: %s with %j", async (method, body, work) => {
    puppet.play({ [method]: { body } });
    expect(await caught(Promise.resolve(work(puppet)))).toBeInstanceOf(Error);
  });

  it("of `Recover` may be of something that lives too long: that must be found too", async () => {
    puppet.play({ Recover: { body: { found: revocable({ expiresAt: "9999-12-31T23:59:59Z" }) } } });
    const found = await puppet.revocation().recover(intentOf({ ttl }), { kind: "bearer" }, puppet.ending);
    expect(found).toMatchObject({ kind: "found", ending: { kind: "revoke" } });
  });
});

describe("a proof of the broker's", () => {
  it("is shown to the plug-in, and is in no error that it makes of it", async () => {
    await using other = lodge("proving");
    const proving = pull(other, { as: "broker", entry: { audience: "https://upstream.test" } });
    proving.play({ Mint: { body: { refused: { detail: `I was shown ${brokersProof}\u{202e}\n${"x".repeat(10_000)}` } } } });
    const error = await caught(proving.mint());
    expect(proving.wrote("calls").at(-1)?.["request"]).toMatchObject({ proof: brokersProof });
    expect(error).toMatchObject({ code: "provider-refused", detail: expect.stringContaining("I was shown [secret]") });
    expect(JSON.stringify(error, ["message", "detail", "hint"])).not.toMatch(new RegExp(`${brokersProof}|\u202e`));
    expect(String((error as BrokerError).detail).length).toBeLessThan(700);
    proving.play({ Mint: { body: given(undefined, revocable({ handle: { id: brokersProof } })) } });
    expect(await caught(proving.mint())).toMatchObject({ code: "provider-broken-promise" });
    proving.play({ Mint: { status: 500, body: { code: "internal", message: brokersProof } } });
    expect(String(await caught(proving.mint()))).toBe("Error: internal: [secret]".replace("Error", "Complaint"));
  });
});
