import { describe, expect, it } from "vitest";
import { readRegularFile } from "../../src/identity/keys/file.ts";
import { noHistory } from "../../src/identity/keys/key-history.ts";
import type { Profile } from "../../src/identity/profile.ts";
import { createVerifier } from "../../src/identity/verify.ts";
import { ecKey, githubClaims, headerOf, now, rsaKey, seconds, signed, type TestKey } from "./issuer.ts";
import { goodKey, openStage, outcome, profileOf, tokenOf } from "./keys/key-rows/stage.ts";
import { ManualClock } from "./manual-clock.ts";

const svidKey = ecKey("svid");
const ciKey = ecKey("ci");
const ciUrl = "https://ci.example";

const inline = (key: TestKey, use: string): Profile["keys"] => ({
  kind: "inline",
  text: JSON.stringify({
    keys: [
      { ...key.jwk, use },
      { ...ecKey("x").jwk, kid: undefined, use: "x509-svid" },
    ],
  }),
});
const ci: Profile = { ...profileOf(ciUrl), name: "ci", keys: inline(ciKey, "sig") };
const spiffe: Profile = {
  ...profileOf(ciUrl),
  name: "mesh",
  issuer: "spiffe://example.org",
  chosenBy: "trust-domain",
  keyUse: "jwt-svid",
  keys: inline(svidKey, "jwt-svid"),
};

/** The trust domain first: who is asked first must not depend on the order of mayfly.yaml. */
const verifier = createVerifier({
  profiles: [spiffe, ci],
  fetch: () => Promise.reject(new Error("no network")),
  readFile: readRegularFile,
  clock: new ManualClock(now),
  history: noHistory,
});

const tokenBy = (key: TestKey, iss: string | undefined, sub: string): string =>
  signed(
    key,
    headerOf(key),
    Object.fromEntries(Object.entries({ ...githubClaims(ciUrl), iss, sub }).filter(([, value]) => value !== undefined)),
  );

describe("whose token it is", () => {
  it.each<[string, string, string]>([
    ["a trust domain's, without iss", tokenBy(svidKey, undefined, "spiffe://example.org/ci/deploy"), "accepted"],
    [
      "a trust domain's, with an iss that is not configured",
      tokenBy(svidKey, "https://spire.example", "spiffe://example.org/x"),
      "accepted",
    ],
    ["an issuer's, whatever its sub looks like", tokenBy(ciKey, ciUrl, "spiffe://example.org/x"), "accepted"],
    [
      "an issuer's, signed with a key of the trust domain",
      tokenBy(svidKey, ciUrl, "spiffe://example.org/x"),
      "token-signature",
    ],
    [
      "a trust domain's, signed with a key of the issuer",
      tokenBy(ciKey, undefined, "spiffe://example.org/x"),
      "token-signature",
    ],
    ["a longer trust domain's", tokenBy(svidKey, undefined, "spiffe://example.org.evil/x"), "token-issuer"],
    ["a trust domain's without a path", tokenBy(svidKey, undefined, "spiffe://example.org"), "token-issuer"],
    ["a trust domain's in capitals", tokenBy(svidKey, undefined, "spiffe://EXAMPLE.org/x"), "token-issuer"],
    ["nobody's", tokenBy(ciKey, undefined, "someone"), "token-issuer"],
  ])("%s", async (_, token, expected) => {
    expect(await outcome(verifier, token)).toBe(expected);
  });

  it("is told by its name in mayfly.yaml, with whom its tokens must be made for", () => {
    expect(verifier.audiences()).toEqual([
      { issuer: "mesh", preset: spiffe.preset, audience: spiffe.audience },
      { issuer: "ci", preset: ci.preset, audience: ci.audience },
    ]);
  });
});

describe("a token that could not pass", () => {
  it("by its algorithm asks nobody for keys", async () => {
    await using stage = await openStage({ profile: (profile) => ({ ...profile, algorithms: ["RS256"] }) });
    expect(await stage.tried(goodKey)).toBe("token-signature");
    expect(stage.attempts()).toBe(0);
    expect(await stage.tried(rsaKey("rsa"))).toBe("issuer-unavailable");
    expect(stage.attempts()).toBe(1);
  });
});

describe("a token that names a key which its issuer did not have", () => {
  const newcomer = ecKey("newcomer");
  const stranger = ecKey("stranger");
  const changed = (key: TestKey, changes: Readonly<Record<string, unknown>>) => (url: string) =>
    signed(key, headerOf(key), githubClaims(url, changes));

  /** Its keys were read a while ago, and it has another one since. */
  const laterStage = async () => {
    const clock = new ManualClock(now);
    const stage = await openStage({ clock });
    await stage.tried(goodKey);
    stage.keys = [goodKey, newcomer];
    clock.advance(30_000);
    return stage;
  };

  it.each<[string, Readonly<Record<string, unknown>>]>([
    ["for another audience", { aud: "https://other.example" }],
    ["that is expired", { iat: seconds(-900), exp: seconds(-600) }],
    ["of tomorrow", { nbf: seconds(86_000), iat: seconds(86_000), exp: seconds(86_300) }],
    ["that lives too long", { exp: seconds(864_000) }],
    ["without an end", { exp: undefined }],
    ["that lacks an id", { repository_id: undefined }],
    ["whose subject is a glob", { sub: "repo:*" }],
  ])("and that is %s makes nobody ask for it, and is refused in the same words as any other", async (_, changes) => {
    await using stage = await laterStage();
    const before = stage.fetches();
    for (const key of [stranger, newcomer])
      expect(await outcome(stage.verifier, changed(key, changes)(stage.issuer.url))).toBe("token-signature");
    expect(stage.fetches()).toBe(before);
    expect(await outcome(stage.verifier, changed(newcomer, {})(stage.issuer.url))).toBe("accepted");
    expect(stage.fetches()).toBe(before + 1);
    expect(await outcome(stage.verifier, changed(newcomer, changes)(stage.issuer.url))).not.toBe("token-signature");
    expect(await outcome(stage.verifier, changed({ ...stranger, kid: goodKey.kid }, changes)(stage.issuer.url))).toBe(
      "token-signature",
    );
  });
});

describe("a held key", () => {
  const attackers = ecKey("attackers");
  const heldStage = async () => {
    const stage = await openStage({ clock: new ManualClock(now), profile: (profile) => ({ ...profile, hold: 3_600_000 }) });
    await stage.tried(goodKey);
    stage.keys = [goodKey, attackers];
    await stage.verifier.readAnew(undefined);
    return stage;
  };

  it.each<[string, (url: string) => string, string]>([
    ["is what a token that it signed is refused for", (url) => tokenOf(url, attackers, now), "key-held"],
    ["is not told to who only names it", (url) => tokenOf(url, { ...ecKey("attackers") }, now), "token-signature"],
    ["is what even its expired token is refused for", (url) => tokenOf(url, attackers, now - 3_600_000), "key-held"],
    ["does not hold back the others", (url) => tokenOf(url, goodKey, now), "accepted"],
  ])("%s", async (_, token, expected) => {
    await using stage = await heldStage();
    expect(await outcome(stage.verifier, token(stage.issuer.url))).toBe(expected);
  });

  it("of mayfly.yaml itself is none: whoever wrote it looked at it", async () => {
    const first = { issuer: "ci", change: "first", keys: [{ kid: "old", thumbprint: "old" }], why: null } as const;
    await using stage = await openStage({
      past: [{ kind: "changed", at: now, changed: first }],
      profile: (profile) => ({
        ...profile,
        hold: 3_600_000,
        keys: { kind: "inline", text: JSON.stringify({ keys: [goodKey.jwk] }) },
      }),
    });
    expect(await stage.tried(goodKey)).toBe("accepted");
  });
});
