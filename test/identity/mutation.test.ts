import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import { compileProfiles, issuersSchema } from "../../src/identity/issuers.ts";
import { issuerFetch } from "../../src/identity/network.ts";
import { createVerifier, type Verifier } from "../../src/identity/verify.ts";
import { Secret } from "../../src/secret.ts";
import { audience, ecKey, githubClaims, headerOf, now, rsaKey, signed, startIssuer, type TestIssuer } from "./issuer.ts";
import { ManualClock } from "./manual-clock.ts";

const keys = [rsaKey("r"), ecKey("e")];
let issuer: TestIssuer;
let verifier: Verifier;
let tokens: string[];

beforeAll(async () => {
  issuer = await startIssuer(() => ({ keys: keys.map(({ jwk }) => jwk) }));
  const config = issuersSchema.parse({
    test: { url: issuer.url, audience, preset: "github", algorithms: ["RS256", "ES256"], allowPrivate: true },
  });
  verifier = createVerifier({ profiles: compileProfiles(config, () => ""), fetch: issuerFetch, clock: new ManualClock(now) });
  tokens = keys.map((key) => signed(key, headerOf(key), githubClaims(issuer.url)));
});
afterAll(() => issuer[Symbol.asyncDispose]());

async function isAccepted(token: string): Promise<boolean> {
  return verifier.verify(Secret.of(token), AbortSignal.timeout(5_000)).then(
    () => true,
    (error: unknown) => {
      if (error instanceof BrokerError && error.code !== "internal") return false;
      throw error;
    },
  );
}

/** One change to the text of a token. */
type Mutation = (token: string) => string;

const place = fc.nat(2_000);
const character = fc.constantFrom(..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\0é");
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(place, character).map(
    ([at, put]): Mutation =>
      (text) =>
        text.slice(0, at % text.length) + put + text.slice((at % text.length) + 1),
  ),
  fc.tuple(place, character).map(
    ([at, put]): Mutation =>
      (text) =>
        text.slice(0, at % text.length) + put + text.slice(at % text.length),
  ),
  place.map(
    (at): Mutation =>
      (text) =>
        text.slice(0, at % text.length) + text.slice((at % text.length) + 1),
  ),
  fc.tuple(place, place).map(
    ([at, size]): Mutation =>
      (text) =>
        text.slice(0, at % text.length) + text.slice((at % text.length) + (size % 40)),
  ),
  place.map(
    (at): Mutation =>
      (text) =>
        text.slice(0, at % text.length),
  ),
  fc.tuple(place, place).map(
    ([at, size]): Mutation =>
      (text) => {
        const from = at % text.length;
        return text.slice(0, from) + text.slice(from, from + (size % 40)) + text.slice(from);
      },
  ),
);

describe("a token that was changed after it was signed", () => {
  it("the tokens themselves are accepted", async () => {
    for (const token of tokens) expect(await isAccepted(token)).toBe(true);
  });

  it("is never accepted, whatever was changed in its text", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(1), fc.array(mutation, { minLength: 1, maxLength: 4 }), async (which, mutations) => {
        const token = tokens[which] ?? "";
        const changed = mutations.reduce((text, change) => (text === "" ? text : change(text)), token);
        fc.pre(changed !== token);
        expect(await isAccepted(changed)).toBe(false);
      }),
      { numRuns: 4_000 },
    );
  });

  it("is never accepted with a claim changed and the rest kept", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(1),
        fc.constantFrom("ref", "sub", "repository_id", "exp", "aud", "extra"),
        fc.jsonValue(),
        async (which, name, value) => {
          const [head = "", body = "", signature = ""] = (tokens[which] ?? "").split(".");
          const claims: unknown = JSON.parse(Buffer.from(body, "base64url").toString());
          const changed = Buffer.from(JSON.stringify({ ...(claims as object), [name]: value })).toString("base64url");
          fc.pre(changed !== body);
          expect(await isAccepted(`${head}.${changed}.${signature}`)).toBe(false);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("an ECDSA signature's twin (r, n - s) is the same token: accepted, and spent under the same key", async () => {
    const token = tokens[1] ?? "";
    const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const at = token.lastIndexOf(".");
    const bytes = Buffer.from(token.slice(at + 1), "base64url");
    const s = n - BigInt(`0x${bytes.subarray(32).toString("hex")}`);
    const twin = Buffer.concat([bytes.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, "0"), "hex")]).toString(
      "base64url",
    );
    const verify = (text: string) => verifier.verify(Secret.of(text), AbortSignal.timeout(5_000));
    expect((await verify(`${token.slice(0, at)}.${twin}`)).token.key).toBe((await verify(token)).token.key);
  });
});
