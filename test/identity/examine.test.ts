import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import { type Check, type Examination, examine } from "../../src/identity/examine.ts";
import { compileProfiles, issuersSchema } from "../../src/identity/issuers/issuers.ts";
import { readRegularFile } from "../../src/identity/keys/file.ts";
import { noHistory } from "../../src/identity/keys/key-history.ts";
import { issuerFetch } from "../../src/identity/keys/network.ts";
import { trustClaims } from "../../src/identity/trust-claims.ts";
import { createVerifier, type Gate, gatesOf, type VerifierParts } from "../../src/identity/verify.ts";
import { Secret } from "../../src/secret.ts";
import {
  audience,
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
const stranger = rsaKey("k1");
const unknown = rsaKey("k2");

let issuer: TestIssuer;
let down: TestIssuer;
let parts: VerifierParts;
let gates: readonly Gate[];

beforeAll(async () => {
  issuer = await startIssuer(() => ({ keys: [key.jwk] }));
  down = await startIssuer(() => ({ keys: [key.jwk] }));
  down.answers.clear();
  const config = issuersSchema.parse({
    github: { url: issuer.url, audience, preset: "github", allow_private: true },
    down: { url: down.url, audience, preset: "github", allow_private: true },
  });
  parts = {
    profiles: compileProfiles(config, () => ""),
    clock: new ManualClock(now),
    history: noHistory,
    fetch: issuerFetch,
    readFile: readRegularFile,
  };
  gates = gatesOf(parts);
});

afterAll(async () => {
  await Promise.all([issuer, down].map((one) => one[Symbol.asyncDispose]()));
});

type Changes = Readonly<Record<string, unknown>>;

const claims = (changes: Changes = {}) => githubClaims(issuer.url, changes);
const token = (changes: Changes = {}, header: Changes = {}) => signed(key, { ...headerOf(key), ...header }, claims(changes));

function examined(text: string, offline = false): Promise<Examination> {
  return examine(Secret.of(text), gates, { now: new Date(now), signal: AbortSignal.timeout(10_000), offline });
}

function inState(checks: readonly Check[], state: Check["state"]): readonly string[] {
  return checks.filter((check) => check.state === state).map(({ check }) => check);
}

const later = ["keys", "signature"];
const rules = ["audience", "times", "claims"];

/** Each with what fails of it, and what was not looked at. */
const tokens: readonly (readonly [string, () => string, readonly string[], readonly string[]])[] = [
  ["a good token", () => token(), [], []],
  ["text that is no token", () => "no token", ["form"], []],
  ["two members of one name", () => signed(key, '{"alg":"RS256","kid":"k1","kid":"k1"}', claims()), ["form"], []],
  ["an issuer that nobody knows", () => token({ iss: "https://evil.example" }), ["issuer"], []],
  ["a header's member that changes the key", () => token({}, { jku: "https://evil.example" }), ["header"], later],
  ["an algorithm that is not this issuer's", () => token({}, { alg: "PS256" }), ["header"], later],
  ["an issuer that is away", () => token({ iss: down.url }), ["keys"], ["signature"]],
  ["a key that the issuer has not", () => signed(unknown, headerOf(unknown), claims()), ["keys"], ["signature"]],
  ["a stranger's signature", () => signed(stranger, headerOf(key), claims()), ["signature"], []],
  ["another's audience", () => token({ aud: "other" }), ["audience"], []],
  ["our audience and another's", () => token({ aud: [audience, "other"] }), ["audience"], []],
  ["an expired token", () => token({ iat: seconds(-900), exp: seconds(-600) }), ["times"], []],
  ["a token of tomorrow", () => token({ nbf: seconds(200) }), ["times"], []],
  ["a token that lives too long", () => token({ exp: seconds(7200) }), ["times"], []],
  ["a token without a claim that it must have", () => token({ run_id: undefined }), ["claims"], []],
  ["a token without a jti", () => token({ jti: undefined }), ["claims"], []],
  ["a token without an end", () => token({ exp: undefined }), ["times"], []],
  [
    "a token without an end for another, lacking a claim",
    () => token({ exp: undefined, aud: "x", run_id: undefined }),
    rules,
    [],
  ],
  [
    "a token that ends before it may be used",
    () => token({ iat: seconds(-10), nbf: seconds(25), exp: seconds(20) }),
    ["times"],
    [],
  ],
  ["a subject that is a glob", () => token({ sub: "repo:*" }), ["claims"], []],
  ["a token without a subject", () => token({ sub: undefined }), ["claims"], []],
  [
    "an expired token for another, lacking a claim",
    () => token({ aud: "other", iat: seconds(-900), exp: seconds(-600), run_id: undefined }),
    ["audience", "times", "claims"],
    [],
  ],
  [
    "all of that, and forged",
    () => signed(stranger, headerOf(key), claims({ aud: "other", iat: seconds(-9000), exp: seconds(-600), run_id: undefined })),
    ["signature", "audience", "times", "claims"],
    [],
  ],
];

describe("an examination", () => {
  it.each(tokens)("of %s names what failed, and goes on", async (_, text, failed, unchecked) => {
    const seen = await examined(text());
    expect([inState(seen.checks, "failed"), inState(seen.checks, "unchecked")]).toEqual([failed, unchecked]);
  });

  it.each(tokens)("of %s ends with the verifier's own word", async (_, text) => {
    const verifier = createVerifier(parts);
    const secret = Secret.of(text());
    const refused: unknown = await verifier.verify(secret, AbortSignal.timeout(10_000)).then(
      () => undefined,
      (error: unknown) => error,
    );
    const { refusal, checks } = await examined(secret.use(String));
    expect(refusal?.code).toBe(refused instanceof BrokerError ? refused.code : undefined);
    expect(refusal?.detail).toBe(refused instanceof BrokerError ? refused.detail : undefined);
    expect(checks.some(({ state }) => state === "failed")).toBe(refusal !== undefined);
  });

  it.each(tokens.filter(([, , failed]) => failed.length > 0 && !failed.some((name) => ["form", "issuer"].includes(name))))(
    "of %s still says who would be believed, where that can be told",
    async (_, text) => {
      const { identity, parsed } = await examined(text());
      if (parsed?.claims["exp"] === undefined || parsed.claims["sub"] === undefined) expect(identity).toBeUndefined();
      else expect(identity).toMatchObject({ workload: expect.stringMatching(/^(github|down):456789$/), trust: "protected" });
    },
  );

  it("without the network asks nobody, and leaves the signature unchecked", async () => {
    const before = [...issuer.asked.values()];
    for (const text of [token(), signed(stranger, headerOf(key), claims())]) {
      const seen = await examined(text, true);
      expect([inState(seen.checks, "failed"), inState(seen.checks, "unchecked")]).toEqual([[], ["keys", "signature"]]);
      expect([seen.refusal, seen.identity?.workload]).toEqual([undefined, "github:456789"]);
    }
    expect((await examined(token({ aud: "other" }), true)).refusal?.code).toBe("token-audience");
    expect([...issuer.asked.values()]).toEqual(before);
  });

  it("asks for no keys on behalf of a token whose header could not pass", async () => {
    const fresh = gatesOf(parts);
    const before = [...issuer.asked.values()];
    await examine(Secret.of(token({}, { jku: "https://evil.example" })), fresh, {
      now: new Date(now),
      signal: AbortSignal.timeout(10_000),
      offline: false,
    });
    expect([...issuer.asked.values()]).toEqual(before);
  });

  it("says from which claims trust was derived, the absent ones too", async () => {
    const { profile, identity } = await examined(token({ ref_protected: undefined }));
    expect(profile !== undefined && identity !== undefined && trustClaims(profile, identity)).toEqual(
      expect.arrayContaining(["event_name", "ref_protected"]),
    );
    expect(identity?.trust).toBe("branch");
  });

  it("keeps nothing of the token's text or signature", async () => {
    const text = token();
    const { checks, identity, profile, refusal } = await examined(text);
    const kept = JSON.stringify({ checks, identity, profile, refusal });
    const [header = "", payload = "", signature = ""] = text.split(".");
    for (const secret of [header, payload, signature, signatureOf(key, `${header}.${part(claims())}`)])
      expect(kept).not.toContain(secret);
  });
});
