import { createHash, createHmac, generateKeyPairSync, sign } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BrokerError, type Code, codes } from "../../src/errors.ts";
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
  part,
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
const otherKey = rsaKey("k1");
const ec = ecKey("e1");
const encryption = rsaKey("enc");
const publicPem = generateKeyPairSync("rsa", { modulusLength: 2048 })
  .publicKey.export({ type: "spki", format: "pem" })
  .toString();

const outside = { readFile: readRegularFile, history: noHistory, clock: new ManualClock(now) };
let github: TestIssuer;
let generic: TestIssuer;
let twin: TestIssuer;
let verifier: Verifier;

beforeAll(async () => {
  github = await startIssuer(() => ({
    keys: [key.jwk, { ...plainKey.jwk, alg: undefined }, ec.jwk, { ...encryption.jwk, use: "enc" }],
  }));
  generic = await startIssuer(() => ({ keys: [ec.jwk] }));
  twin = await startIssuer(() => ({ keys: [otherKey.jwk] }));
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
    twin: { url: twin.url, audience, preset: "github", allow_private: true },
  });
  const profiles = compileProfiles(config, () => "");
  verifier = createVerifier({ profiles, ...outside, fetch: issuerFetch });
});

afterAll(async () => {
  await Promise.all([github, generic, twin].map((issuer) => issuer[Symbol.asyncDispose]()));
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

/** Refused with the code, in the code's own words and no others. */
async function expectRefused(text: string, code: Code): Promise<void> {
  const error = await refusal(text);
  expect({ code: error.code, message: error.message, hint: error.hint, cause: error.cause }).toEqual({
    code,
    message: codes[code],
    hint: undefined,
    cause: undefined,
  });
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

const hmac = (secret: string | Buffer, alg = "HS256") => {
  const input = `${part({ alg, kid: "k1", typ: "JWT" })}.${part(githubClaims(github.url))}`;
  return `${input}.${createHmac(alg.replace("HS", "sha"), secret).update(input).digest("base64url")}`;
};
const raw = (header: unknown, payload: unknown = githubClaims(github.url)) => signed(key, header, payload);
const signature = (text: string) => text.slice(text.lastIndexOf(".") + 1);
const body = (text: string) => text.slice(0, text.lastIndexOf("."));
const twisted = (claims: string) => raw(headerOf(key), JSON.stringify(githubClaims(github.url)).replace(/}$/, `,${claims}}`));
const twistedHeader = (member: string) => raw(JSON.stringify(headerOf(key)).replace(/}$/, `,${member}}`));

const algorithms: [string, () => string, Code][] = [
  ...["none", "None", "NONE", "nOnE", " none", "none\0", "", null, 0, ["RS256"], "RS1", "ES256K", "Ed448", "ML-DSA-44"].map(
    (alg): [string, () => string, Code] => [
      `alg ${JSON.stringify(alg)}`,
      () => raw({ ...headerOf(key), alg }),
      "token-malformed",
    ],
  ),
  [
    "alg none without a signature",
    () => `${part({ alg: "none", kid: "k1" })}.${part(githubClaims(github.url))}.`,
    "token-malformed",
  ],
  ["no alg", () => raw({ kid: "k1", typ: "JWT" }), "token-malformed"],
  ["HS256 keyed with the public key's PEM", () => hmac(publicPem), "token-malformed"],
  ["HS256 keyed with the PEM and a blank", () => hmac(` ${publicPem}`), "token-malformed"],
  ["HS256 keyed with the JWK", () => hmac(JSON.stringify(key.jwk)), "token-malformed"],
  ["HS384 keyed with the kid", () => hmac("k1", "HS384"), "token-malformed"],
  ["HS512 with an empty key", () => hmac("", "HS512"), "token-malformed"],
  ["RS256's signature as PS256", () => raw({ ...headerOf(key), alg: "PS256" }), "token-signature"],
  ["RS256's signature as RS512", () => raw({ ...headerOf(key), alg: "RS512" }), "token-signature"],
  ["ES256, rightly signed, where only RS256 may", () => signed(ec, headerOf(ec), githubClaims(github.url)), "token-signature"],
  ...["RS384", "RS512"].map((alg): [string, () => string, Code] => [
    `${alg}, rightly signed, where only RS256 may`,
    () => {
      const input = `${part({ alg, kid: "plain", typ: "JWT" })}.${part(githubClaims(github.url))}`;
      return `${input}.${sign(alg.replace("RS", "sha"), Buffer.from(input), plainKey.privateKey).toString("base64url")}`;
    },
    "token-signature",
  ]),
  ["RS256 against a key for ES256", () => raw({ ...headerOf(key), kid: "e1" }), "token-signature"],
];

const headers: [string, () => string, Code][] = [
  ["an embedded key", () => raw({ ...headerOf(key), jwk: otherKey.jwk }), "token-malformed"],
  ...["jku", "x5u"].flatMap((name) =>
    ["https://evil.example/k", "http://169.254.169.254/k", "file:///etc/passwd", "data:,x"].map(
      (url): [string, () => string, Code] => [
        `${name} ${url}`,
        () => raw({ ...headerOf(key), [name]: url }),
        "token-malformed",
      ],
    ),
  ),
  ["x5c", () => raw({ ...headerOf(key), x5c: ["AAAA"] }), "token-malformed"],
  ["x5t#S256", () => raw({ ...headerOf(key), "x5t#S256": "AAAA" }), "token-malformed"],
  ...[[], ["x"], ["exp"], ["alg"], ["b64"], "x", ["x", "x"]].map((crit): [string, () => string, Code] => [
    `crit ${JSON.stringify(crit)}`,
    () => raw({ ...headerOf(key), crit }),
    "token-malformed",
  ]),
  ["b64: false", () => raw({ ...headerOf(key), b64: false }), "token-malformed"],
  ["zip", () => raw({ ...headerOf(key), zip: "DEF" }), "token-malformed"],
  ["cty", () => raw({ ...headerOf(key), cty: "JWT" }), "token-malformed"],
  ["typ at+jwt where a JWT is expected", () => token({}, { typ: "at+jwt" }), "token-malformed"],
  ["typ secevent+jwt", () => token({}, { typ: "secevent+jwt" }), "token-malformed"],
  ["a typ that is a number", () => token({}, { typ: 7 }), "token-malformed"],
  ["typ JWT where an access token is expected", () => genericToken({}, { typ: "JWT" }), "token-malformed"],
  ["no typ where an access token is expected", () => genericToken({}, { typ: undefined }), "token-malformed"],
  ["no kid", () => raw({ alg: "RS256", typ: "JWT" }), "token-malformed"],
  ...["", 7, null, [], {}, "k1 ", "k1\0", "\u200Fk1", "k".repeat(65_000 / 10)].map((kid): [string, () => string, Code] => [
    `kid ${JSON.stringify(kid).slice(0, 20)}`,
    () => token({}, { kid }),
    "token-malformed",
  ]),
  ...["../../dev/null", "'OR'1'='1", "|id", "$(id)", "__proto__", "constructor", "toString", "K1", "enc", "e1"].map(
    (kid): [string, () => string, Code] => [`kid ${kid}`, () => token({}, { kid }), "token-signature"],
  ),
  ...["alg", "kid", "typ"].map((name): [string, () => string, Code] => [
    `${name} twice`,
    () => twistedHeader(`"${name}":${JSON.stringify(headerOf(key)[name])}`),
    "token-malformed",
  ]),
  ["alg twice, once spelled with an escape", () => twistedHeader('"\\u0061lg":"RS256"'), "token-malformed"],
];

const shapes: [string, () => string, Code][] = [
  ["nothing", () => "", "token-malformed"],
  ["one part", () => part(headerOf(key)), "token-malformed"],
  ["two parts", () => body(token()), "token-malformed"],
  ["four parts", () => `${token()}.AA`, "token-malformed"],
  ["five parts, as a JWE has", () => `${token()}.AA.AA`, "token-malformed"],
  ["an empty signature", () => `${body(token())}.`, "token-malformed"],
  ["a detached payload", () => token().replace(/\..*\./, ".."), "token-malformed"],
  ["JSON serialisation", () => JSON.stringify({ payload: part(githubClaims(github.url)), signature: "AA" }), "token-malformed"],
  ["Bearer in front", () => `Bearer ${token()}`, "token-malformed"],
  ...[" ", "\t", "\n", "\r\n", "\0"].flatMap((blank): [string, () => string, Code][] => [
    [`${JSON.stringify(blank)} at the start`, () => blank + token(), "token-malformed"],
    [`${JSON.stringify(blank)} at the end`, () => token() + blank, "token-malformed"],
    [`${JSON.stringify(blank)} before the signature`, () => token().replace(/\.([^.]*)$/, `.${blank}$1`), "token-malformed"],
  ]),
  ["padding", () => `${token()}==`, "token-malformed"],
  ["the other alphabet", () => `${body(token())}.${Buffer.alloc(256, 0xfb).toString("base64")}`, "token-malformed"],
  [
    "spare bits in the signature's last character",
    () => token().replace(/.$/, (last) => (last === "B" ? "C" : "B")),
    "token-malformed",
  ],
  ...['[{"alg":"RS256"}]', '"x"', "1", "null", "", "{"].map((text): [string, () => string, Code] => [
    `a header of ${text}`,
    () => raw(text),
    "token-malformed",
  ]),
  ...["[]", '"x"', "1", "null", "", "{", "\uFEFF{}"].map((text): [string, () => string, Code] => [
    `a payload of ${JSON.stringify(text)}`,
    () => raw(headerOf(key), text),
    "token-malformed",
  ]),
  ["a token in a token", () => raw({ ...headerOf(key), cty: "JWT" }, token()), "token-malformed"],
  ["a payload with a duplicate aud", () => twisted(`"aud":"${audience}"`), "token-malformed"],
  ...["iss", "sub", "exp", "nbf", "jti", "repository", "ref", "environment"].map((name): [string, () => string, Code] => [
    `${name} twice`,
    () => twisted(`"${name}":"evil"`),
    "token-malformed",
  ]),
  ["a member called __proto__", () => twisted('"__proto__":{"trust":"protected"}'), "token-malformed"],
  ["a lone surrogate", () => twisted('"x":"\\ud800"'), "token-malformed"],
  ["NUL in sub", () => token({ sub: "a\0b" }), "token-malformed"],
  ["17 levels", () => twisted(`"x":${"[".repeat(18)}${"]".repeat(18)}`), "token-malformed"],
  ["a number of a thousand digits", () => twisted(`"x":${"1".repeat(1_000)}`), "token-malformed"],
  ["9 KiB", () => token({ padding: "a".repeat(7_000) }), "token-malformed"],
  ["17 KiB", () => genericToken({ padding: "a".repeat(13_000) }), "token-malformed"],
  ["8 MiB", () => "a".repeat(8 << 20), "token-malformed"],
];

const issuers: [string, () => string, Code][] = [
  ...["/", ":443", "@evil.example", ".evil.example", "\\", "?x", "#x", "/..", " "].map((tail): [string, () => string, Code] => [
    `iss with ${JSON.stringify(tail)} behind it`,
    () => token({ iss: `${github.url}${tail}` }),
    "token-issuer",
  ]),
  ["iss with a blank before it", () => token({ iss: ` ${github.url}` }), "token-issuer"],
  ["iss in capitals", () => token({ iss: github.url.toUpperCase() }), "token-issuer"],
  ["iss without its scheme", () => token({ iss: github.url.replace("http://", "") }), "token-issuer"],
  ["iss by https", () => token({ iss: github.url.replace("http:", "https:") }), "token-issuer"],
  ["no iss", () => token(without("iss")), "token-issuer"],
  ...[7, true, null, [], {}, ""].map((iss): [string, () => string, Code] => [
    `iss ${JSON.stringify(iss)}`,
    () => token({ iss }),
    "token-malformed",
  ]),
  [
    "our issuer's name, signed by another with the same kid",
    () => signed(otherKey, headerOf(key), githubClaims(github.url)),
    "token-signature",
  ],
  ["another issuer's name, signed by ours with the same kid", () => token({ iss: twin.url }), "token-signature"],
  ["a body that was changed after signing", () => `${body(token({ actor: "eve" }))}.${signature(token())}`, "token-signature"],
  ["a signature of zeros", () => `${body(token())}.${Buffer.alloc(256).toString("base64url")}`, "token-signature"],
  ["an ECDSA signature of zeros", () => `${body(genericToken())}.${Buffer.alloc(64).toString("base64url")}`, "token-signature"],
  [
    "an ECDSA signature that is too short",
    () => `${body(genericToken())}.${Buffer.alloc(63, 1).toString("base64url")}`,
    "token-signature",
  ],
];

const audiences: [string, () => string, Code][] = [
  ...[
    [audience, "https://other.example"],
    [audience, audience],
    [],
    `${audience}/`,
    `${audience}.evil`,
    "https://broker.exampl",
    audience.toUpperCase(),
    `${audience},https://other.example`,
    "sts.amazonaws.com",
    "https://brоker.example",
  ].map((aud): [string, () => string, Code] => [`aud ${JSON.stringify(aud)}`, () => token({ aud }), "token-audience"]),
  ["no aud", () => token(without("aud")), "token-audience"],
  ...[[[audience]], {}, 7, true, null, "", [audience, 7]].map((aud): [string, () => string, Code] => [
    `aud ${JSON.stringify(aud)}`,
    () => token({ aud }),
    "token-malformed",
  ]),
];

const times: [string, () => string, Code][] = [
  ["no exp", () => token(without("exp")), "token-claim"],
  ["expired at the skew", () => token({ iat: seconds(-300), exp: seconds(-30) }), "token-expired"],
  ["exp 0", () => token({ exp: 0 }), "token-expired"],
  ["24 hours ahead", () => token({ exp: seconds(86_400) }), "token-lifetime"],
  ["ten years ahead", () => token({ exp: seconds(315_360_000) }), "token-lifetime"],
  ["one second above the longest lifetime", () => token({ exp: seconds(901) }), "token-lifetime"],
  ["older than its profile allows", () => genericToken({ iat: seconds(-3_631), exp: seconds(1) }), "token-lifetime"],
  ["exp before iat", () => token({ iat: seconds(20), exp: seconds(10) }), "token-lifetime"],
  ["nbf in the future", () => token({ nbf: seconds(31) }), "token-not-yet-valid"],
  ["iat in the future", () => token({ iat: seconds(31), exp: seconds(300) }), "token-not-yet-valid"],
  ["nbf after exp", () => token({ iat: seconds(-10), nbf: seconds(25), exp: seconds(20) }), "token-claim"],
  ["no iat", () => token(without("iat")), "token-claim"],
  ["iat 0", () => token({ iat: 0 }), "token-lifetime"],
  ...["exp", "iat", "nbf"].flatMap((name) =>
    [-1, 0.5, 1e308, 2 ** 53 + 2, now, "1790000300", "1e10", "0x7fffffff", null, true, [seconds(300)]].map(
      (value): [string, () => string, Code] => [
        `${name} ${JSON.stringify(value)}`,
        () => token({ [name]: value }),
        "token-malformed",
      ],
    ),
  ),
];

const claims: [string, () => string, Code][] = [
  ["no sub", () => token(without("sub")), "token-claim"],
  ["a sub with a star", () => token({ sub: "repo:octo-org/*" }), "token-claim"],
  ...[7, true, ["x"], {}, "", null].map((sub): [string, () => string, Code] => [
    `sub ${JSON.stringify(sub)}`,
    () => token({ sub }),
    "token-malformed",
  ]),
  ["no jti where the issuer sets one", () => token(without("jti")), "token-claim"],
  ["a jti of 300 characters", () => token({ jti: "j".repeat(300) }), "token-claim"],
  ...["repository_id", "run_id", "run_attempt", "ref", "event_name"].map((name): [string, () => string, Code] => [
    `no ${name}`,
    () => token(without(name)),
    "token-claim",
  ]),
  ...["repository", "environment", "job_workflow_ref", "ref_protected"].flatMap((name) =>
    [7, true, ["x"], [["x"]], "", ["a", "b"]].map((value): [string, () => string, Code] => [
      `${name} ${JSON.stringify(value)}`,
      () => token({ [name]: value }),
      "token-claim",
    ]),
  ),
  ...["repository_id", "check_run_id"].flatMap((name) =>
    [true, null, 20.5, -0.1, ["x"], {}, { toString: "x" }, ""].map((value): [string, () => string, Code] => [
      `${name} ${JSON.stringify(value)}`,
      () => token({ [name]: value }),
      "token-claim",
    ]),
  ),
];

describe.each([
  ["algorithm", algorithms],
  ["header", headers],
  ["shape", shapes],
  ["issuer and signature", issuers],
  ["audience", audiences],
  ["time", times],
  ["claims", claims],
] as const)("tokens that are refused: %s", (_, table) => {
  it.each(table)("%s", async (_, make, code) => {
    await expectRefused(make(), code);
  });
});

describe("while tokens are refused", () => {
  it("one that is too long is not even looked at", async () => {
    expect(await refusal(`${token().split(".")[0]}.${"a".repeat(1 << 20)}.AA`)).toMatchObject({ detail: "longer than 16 KiB" });
  });

  it("nothing but the issuers' own documents is asked for", async () => {
    await refusal(raw({ ...headerOf(key), jku: `${generic.url}/evil` }));
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
