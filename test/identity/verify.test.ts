import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import type { Identity } from "../../src/identity/identity.ts";
import { compileProfiles, issuersSchema } from "../../src/identity/issuers/issuers.ts";
import { readRegularFile } from "../../src/identity/keys/file.ts";
import { noHistory } from "../../src/identity/keys/key-history.ts";
import { issuerFetch } from "../../src/identity/keys/network.ts";
import { createVerifier, type Verifier } from "../../src/identity/verify.ts";
import { Secret } from "../../src/secret.ts";
import {
  audience,
  ecKey,
  githubClaims,
  headerOf,
  now,
  rsaKey,
  seconds,
  signatureOf,
  signed,
  startIssuer,
  type TestIssuer,
} from "./issuer.ts";
import { ManualClock } from "./manual-clock.ts";

const key = rsaKey("k1");
/** Served without `alg`, as many issuers do: the profile alone says what it may sign with. */
const plainKey = rsaKey("plain");
const ec = ecKey("e1");
const encryption = rsaKey("enc");

const outside = { readFile: readRegularFile, history: noHistory, clock: new ManualClock(now) };
let github: TestIssuer;
let generic: TestIssuer;
let verifier: Verifier;

beforeAll(async () => {
  github = await startIssuer(() => ({
    keys: [key.jwk, { ...plainKey.jwk, alg: undefined }, ec.jwk, { ...encryption.jwk, use: "enc" }],
  }));
  generic = await startIssuer(() => ({ keys: [ec.jwk] }));
  const config = issuersSchema.parse({
    github: { url: github.url, audience, preset: "github", allow_private: true },
    generic: {
      url: generic.url,
      audience,
      algorithms: ["ES256"],
      type: "at+jwt",
      workload: ["project"],
      job: ["job"],
      jti: "absent",
      max_lifetime: "1h",
      max_size: 16_384,
      allow_private: true,
      trust: { protected: { ref_protected: "true" }, branch: { ref_type: ["branch", "tag"] }, fork: { from_fork: true } },
    },
  });
  const profiles = compileProfiles(config, () => "");
  verifier = createVerifier({ profiles, ...outside, fetch: issuerFetch });
});

afterAll(async () => {
  await Promise.all([github, generic].map((issuer) => issuer[Symbol.asyncDispose]()));
});

type Changes = Readonly<Record<string, unknown>>;

const token = (claims: Changes = {}, header: Changes = {}) =>
  signed(key, { ...headerOf(key), ...header }, githubClaims(github.url, claims));
const genericClaims = (changes: Changes = {}) => ({
  iss: generic.url,
  aud: [audience],
  sub: "someone",
  iat: seconds(0),
  exp: seconds(3600),
  project: 20,
  job: "302",
  from_fork: false,
  ...changes,
});
const genericToken = (claims: Changes = {}, header: Changes = {}) =>
  signed(ec, { alg: "ES256", kid: "e1", typ: "at+jwt", ...header }, genericClaims(claims));

function verify(text: string): Promise<Identity> {
  return verifier.verify(Secret.of(text), AbortSignal.timeout(10_000));
}

async function refusal(text: string): Promise<BrokerError> {
  const error = await verify(text).then(
    (identity) => new Error(`accepted: ${JSON.stringify(identity.claims)}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof BrokerError)) throw error;
  return error;
}

const without = (name: string): Changes => ({ [name]: undefined });

describe("tokens that are accepted", () => {
  it.each<[string, () => string]>([
    ["GitHub's own sample", () => token()],
    ["a key that does not say its algorithm", () => signed(plainKey, headerOf(plainKey), githubClaims(github.url))],
    ["a typ in small letters", () => token({}, { typ: "jwt" })],
    ["no typ, as Buildkite writes it", () => signed(key, { alg: "RS256", kid: "k1" }, githubClaims(github.url))],
    ["a thumbprint of the certificate in the header", () => token({}, { x5t: "abc" })],
    ["one audience in a list, as Kubernetes writes it", () => token({ aud: [audience] })],
    ["nbf before iat, as GitHub writes it", () => token({ nbf: seconds(-3600) })],
    ["no nbf", () => token(without("nbf"))],
    ["no environment", () => token(without("environment"))],
    ["no check run, as older servers write it", () => token(without("check_run_id"))],
    ["expired within the skew", () => token({ iat: seconds(-310), exp: seconds(-10) })],
    ["issued ahead of us, within the skew", () => token({ iat: seconds(20), nbf: seconds(20), exp: seconds(320) })],
    ["the longest lifetime of the profile", () => token({ exp: seconds(900) })],
    ["claims that nobody can match on", () => token({ nested: { a: 1 }, nothing: null, mixed: ["a", 1] })],
    ["an access token of a generic issuer", () => genericToken()],
    ["a type with its prefix", () => genericToken({}, { typ: "application/at+jwt" })],
    ["numbers as ids", () => genericToken({ project: 20, job: 302 })],
    ["12 KiB where the profile allows it", () => genericToken({ padding: "a".repeat(8_500) })],
  ])("%s", async (_, make) => {
    await expect(verify(make())).resolves.toMatchObject({ trust: expect.any(String) });
  });
});

describe("what is believed of a token", () => {
  it("GitHub's ids make the workload and the job", async () => {
    const identity = await verify(token({ jti: "one" }));
    expect(identity).toMatchObject({
      issuer: "github",
      subject: "repo:octo-org@123456/octo-repo@456789:environment:prod",
      workload: "github:456789",
      job: "github:456789:77:1:991",
      trust: "protected",
      token: { key: `jti:${github.url.replaceAll(":", "%3A")}:one`, expiresAt: seconds(300) * 1000 },
    });
  });

  it("an id that older servers do not send leaves its place empty", async () => {
    await expect(verify(token(without("check_run_id")))).resolves.toMatchObject({ job: "github:456789:77:1:" });
  });

  it("a claim that the token lacks is absent, even one called toString", async () => {
    const { claims } = await verify(token());
    expect(Object.getPrototypeOf(claims)).toBeNull();
    expect((claims as { toString?: unknown }).toString).toBeUndefined();
  });

  it("claims of other shapes are left out", async () => {
    const { claims } = await verify(
      token({ nested: { a: 1 }, nothing: null, mixed: ["a", 1], list: ["a"], yes: true, five: 5 }),
    );
    expect(claims).toMatchObject({ list: ["a"], yes: true, five: 5 });
    expect(Object.keys(claims)).not.toEqual(expect.arrayContaining(["nested", "nothing", "mixed"]));
  });

  it("without a jti, every spelling of the signature is the same token", async () => {
    const text = genericToken();
    const signingInput = text.slice(0, text.lastIndexOf("."));
    const { token: first } = await verify(text);
    const { token: again } = await verify(`${signingInput}.${signatureOf(ec, signingInput)}`);
    expect(first.key).toBe(`sha256:${createHash("sha256").update(signingInput).digest("hex")}`);
    expect(again.key).toBe(first.key);
  });

  it.each<[string, Changes, string]>([
    ["a push to a protected ref", {}, "protected"],
    ["a push to another ref", { ref_protected: "false" }, "branch"],
    ["a push whose protection is not told", without("ref_protected"), "branch"],
    ["a protection that is not text", {}, "protected"],
    ["a pull request", { event_name: "pull_request" }, "pull_request"],
    ["pull_request_target, which runs with the protected base ref", { event_name: "pull_request_target" }, "pull_request"],
    ["an event that nobody has heard of", { event_name: "sparkle" }, "unknown"],
  ])("trust: %s", async (_, changes, trust) => {
    await expect(verify(token(changes))).resolves.toMatchObject({ trust });
  });

  it.each<[string, Changes, string]>([
    ["a generic token says nothing", {}, "unknown"],
    ["its mapped claim", { ref_protected: "true" }, "protected"],
    ["true is not 'true'", { ref_protected: true }, "unknown"],
    ["any of a list", { ref_type: "tag" }, "branch"],
    ["a token that two rules fit gets the lower trust", { ref_protected: "true", from_fork: true }, "fork"],
  ])("trust by mapping: %s", async (_, changes, trust) => {
    await expect(verify(genericToken(changes))).resolves.toMatchObject({ trust });
  });

  it("is ready once it has read the keys", async () => {
    await verify(token());
    expect(verifier.readiness().find(({ issuer }) => issuer === "github")).toEqual({
      issuer: "github",
      keys: "ready",
      kids: ["k1", "plain"],
      held: [],
      trouble: undefined,
    });
  });
});

describe("while tokens are refused", () => {
  it("one that is too long is not even looked at", async () => {
    expect(await refusal(`${token().split(".")[0]}.${"a".repeat(1 << 20)}.AA`)).toMatchObject({ detail: "longer than 16 KiB" });
  });

  it("nothing but the issuers' own documents is asked for", async () => {
    await refusal(token({}, { jku: `${generic.url}/evil` }));
    expect([...github.asked.keys(), ...generic.asked.keys()].sort()).toEqual(
      ["/.well-known/openid-configuration", "/.well-known/openid-configuration", "/jwks", "/jwks"].sort(),
    );
  });

  it("an aborted caller is let go with the abort's own reason", async () => {
    const reason = new BrokerError("cancelled");
    await expect(verifier.verify(Secret.of(token()), AbortSignal.abort(reason))).resolves.toBeDefined();
    const fresh = createVerifier({
      profiles: compileProfiles(
        issuersSchema.parse({ a: { url: github.url, audience, preset: "github", allow_private: true } }),
        () => "",
      ),
      ...outside,
      fetch: () => new Promise(() => undefined),
    });
    await expect(fresh.verify(Secret.of(token()), AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});
