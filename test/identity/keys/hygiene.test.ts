import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Json } from "../../../src/identity/json.ts";
import { inspectKey, type KeyRules } from "../../../src/identity/keys/hygiene.ts";
import { readKeySet } from "../../../src/identity/keys/keyset.ts";
import { algorithms } from "../../../src/identity/profile.ts";
import { ecKey, rsaKey } from "../issuer.ts";

type Jwk = Readonly<Record<string, Json>>;

const exported = (key: { export(options: { format: "jwk" }): unknown }, kid: string): Jwk => ({
  ...(key.export({ format: "jwk" }) as Jwk),
  kid,
});
const rsa: Jwk = { ...(rsaKey("r").jwk as Jwk) };
const ec: Jwk = { ...(ecKey("e").jwk as Jwk) };
const ed = exported(generateKeyPairSync("ed25519").publicKey, "o");
const p384 = exported(generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey, "p");
const secp256k1 = exported(generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey, "k");
const small: Jwk = { ...(rsaKey("s", 1024).jwk as Jwk) };
const privateRsa = exported(generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey, "p");

const without = (jwk: Jwk, name: string): Jwk => Object.fromEntries(Object.entries(jwk).filter(([key]) => key !== name));
const little = (y: bigint): string => Buffer.from(y.toString(16).padStart(64, "0"), "hex").reverse().toString("base64url");
const p = 2n ** 255n - 19n;
const evenModulus = () => {
  const n = Buffer.from(String(rsa["n"]), "base64url");
  n[n.length - 1] = (n.at(-1) ?? 0) & 0xfe;
  return n.toString("base64url");
};

const read = (keys: readonly Json[], rules: Partial<KeyRules> = {}) =>
  readKeySet(Buffer.from(JSON.stringify({ keys })), { algorithms, keyUse: "sig", ...rules });

/** 1 modulo each of the generator's primes, which is the zeroth power of 65537: the mark of CVE-2017-15361, by its definition. */
const withRocaMark = () => {
  const primes = Array.from({ length: 165 }, (_, nth) => nth + 3).filter((n) =>
    [2, 3, 5, 7, 11].every((d) => n === d || n % d !== 0),
  );
  const step = primes.reduce((product, prime) => product * BigInt(prime), 2n);
  const n = (2n ** 2047n / step + 1n) * step + 1n;
  return Buffer.from(n.toString(16), "hex").toString("base64url");
};

async function verdict(jwk: Json, rules: Partial<KeyRules> = {}): Promise<string> {
  return read([jwk], rules).then(
    () => "usable",
    (error: unknown) => (error instanceof Error ? error.message.replace("no usable key: ", "") : "?"),
  );
}

describe("keys that may verify", () => {
  it.each<[string, Jwk]>([
    ["RSA of 2048 bits", rsa],
    ["RSA without alg and use", without(without(rsa, "alg"), "use")],
    ["RSA that says verify", { ...without(rsa, "use"), key_ops: ["verify"] }],
    ["RSA with a certificate that nobody reads", { ...rsa, x5c: ["AAAA"] }],
    ["P-256", ec],
    ["P-384", p384],
    ["Ed25519", ed],
  ])("%s", async (_, jwk) => {
    expect(await verdict(jwk)).toBe("usable");
  });
});

describe("keys that may not", () => {
  it.each<[string, Json, string]>([
    ["RSA of 1024 bits", small, "another size"],
    ["e = 1", { ...rsa, e: "AQ" }, "unsafe exponent"],
    ["e = 2", { ...rsa, e: "Ag" }, "unsafe exponent"],
    ["an even e", { ...rsa, e: "AQAA" }, "unsafe exponent"],
    ["e as long as n", { ...rsa, e: String(rsa["n"]) }, "unsafe exponent"],
    ["an even n", { ...rsa, n: evenModulus() }, "even modulus"],
    ["an n of the generator of CVE-2017-15361", { ...rsa, n: withRocaMark() }, "ROCA"],
    ["an n with padding", { ...rsa, n: `${String(rsa["n"])}==` }, "not an RSA key"],
    ["no n", without(rsa, "n"), "not an RSA key"],
    ["a private key", privateRsa, "private part was published"],
    ["only its d", { ...rsa, d: "AQAB" }, "private part was published"],
    ["a secret beside a public key", { ...rsa, k: "AAAA" }, "private part was published"],
    ["a symmetric key", { kty: "oct", kid: "h", k: "AAAA" }, "no allowed algorithm"],
    ["a symmetric key that calls itself HS256", { kty: "oct", kid: "h", alg: "HS256", k: "AAAA" }, "another algorithm"],
    ["for encryption", { ...rsa, use: "enc" }, "not for signing tokens"],
    ["a use that is a list", { ...rsa, use: ["sig"] }, "not for signing tokens"],
    ["key_ops without verify", { ...rsa, key_ops: ["encrypt"] }, "not for verifying"],
    ["empty key_ops", { ...rsa, key_ops: [] }, "not for verifying"],
    ["key_ops that are text", { ...rsa, key_ops: "verify" }, "not for verifying"],
    ["for RSA-OAEP", { ...rsa, alg: "RSA-OAEP" }, "another algorithm"],
    ["an EC key that calls itself RS256", { ...ec, alg: "RS256" }, "no allowed algorithm"],
    ["P-384 that calls itself ES256", { ...p384, alg: "ES256" }, "no allowed algorithm"],
    ["secp256k1", secp256k1, "no allowed algorithm"],
    ["an unknown kty", { kty: "AKP", kid: "a", alg: "ML-DSA-44" }, "another algorithm"],
    ["a point off its curve", { ...ec, y: String(ec["x"]) }, "does not import"],
    [
      "the point zero",
      { ...ec, x: Buffer.alloc(32).toString("base64url"), y: Buffer.alloc(32).toString("base64url") },
      "does not import",
    ],
    ["no kid", without(rsa, "kid"), "no kid"],
    ["a kid of 257 characters", { ...rsa, kid: "k".repeat(257) }, "no kid that a token can name"],
    ["a kid with a blank", { ...rsa, kid: "a b" }, "no kid that a token can name"],
    ["a kid that is a number", { ...rsa, kid: 7 }, "no kid"],
    ["text", "key", "not an object"],
    ["Ed25519 with 31 bytes", { ...ed, x: Buffer.alloc(31, 1).toString("base64url") }, "not an Ed25519 key"],
    ["Ed25519 y = 0", { ...ed, x: little(0n) }, "small order"],
    ["Ed25519 y = 1", { ...ed, x: little(1n) }, "small order"],
    ["Ed25519 y = 1 with the sign bit", { ...ed, x: little(1n + 2n ** 255n) }, "small order"],
    ["Ed25519 y = -1", { ...ed, x: little(p - 1n) }, "small order"],
    [
      "Ed25519 of order 8",
      {
        ...ed,
        x: Buffer.from("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "hex").toString("base64url"),
      },
      "small order",
    ],
    [
      "Ed25519 of order 8, the other",
      {
        ...ed,
        x: Buffer.from("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "hex").toString("base64url"),
      },
      "small order",
    ],
    ["Ed25519 y = p", { ...ed, x: little(p) }, "not canonical"],
    ["Ed25519 y = p + 1", { ...ed, x: little(p + 1n) }, "not canonical"],
    ["Ed25519 y = p with the sign bit", { ...ed, x: little(p + 2n ** 255n) }, "not canonical"],
  ])("%s", async (_, jwk, why) => {
    expect(await verdict(jwk)).toContain(why);
  });

  it("a good key for an algorithm that the profile does not allow", async () => {
    expect(await verdict(ec, { algorithms: ["RS256"] })).toContain("another algorithm");
    expect(await verdict(without(ec, "alg"), { algorithms: ["RS256"] })).toContain("no allowed algorithm");
  });

  it("are left out, and the good one beside them is used; what is meant for something else is not worth a word", async () => {
    const set = await read([small, rsa, { ...ec, use: "enc" }, { ...ec, alg: "HS256" }]);
    expect([...set.byKid.keys()]).toEqual(["r"]);
    expect(set.unfit).toEqual(["an RSA key of another size than 2048 to 8192 bits"]);
  });

  it("two keys without a kid are none, and neither is one of them", async () => {
    await expect(read([without(rsa, "kid"), without(ec, "kid")])).rejects.toThrow(
      "no usable key: no kid that a token can name",
    );
    expect([...(await read([without(rsa, "kid"), ec])).byKid.keys()]).toEqual(["e"]);
  });

  it("only the members that matter reach the library", () => {
    const inspected = inspectKey({ ...rsa, x5u: "https://evil.example", ext: true }, { algorithms, keyUse: "sig" });
    expect(inspected.kind === "usable" && Object.keys(inspected.jwk).sort()).toEqual(["alg", "e", "kid", "kty", "n"]);
  });
});

describe("a SPIFFE bundle", () => {
  const svid: Jwk = { ...without(ec, "alg"), use: "jwt-svid" };
  const x509 = { ...without(p384, "kid"), use: "x509-svid", x5c: ["AAAA"] };

  it("gives the keys of its tokens, without a word about those of its certificates", async () => {
    const set = await read([x509, svid], { keyUse: "jwt-svid" });
    expect([...set.byKid.keys()]).toEqual(["e"]);
    expect(set.unfit).toEqual([]);
  });

  it.each<[string, Jwk, KeyRules["keyUse"]]>([
    ["an issuer's own keys are not for it", ec, "jwt-svid"],
    ["its keys are not for other issuers", svid, "sig"],
  ])("%s", async (_, jwk, keyUse) => {
    expect(await verdict(jwk, { keyUse })).toBe("not for signing tokens");
  });
});

describe("a key that is found", () => {
  const query = (kid: string, alg: string) => async () => (await read([without(rsa, "alg"), ec])).find({ kid, alg });

  it("was imported once for each algorithm that it may be used with", async () => {
    const set = await read([without(rsa, "alg"), { ...rsa, kid: "one" }]);
    expect(set.byKid.get("r")?.byAlgorithm.size).toBe(6);
    expect([...(set.byKid.get("one")?.byAlgorithm.keys() ?? [])]).toEqual(["RS256"]);
    expect(set.find({ kid: "r", alg: "PS384" })).toMatchObject({
      type: "public",
      algorithm: { name: "RSA-PSS", hash: { name: "SHA-384" } },
    });
    expect(set.find({ kid: "r", alg: "PS384" })).toBe(set.find({ kid: "r", alg: "PS384" }));
  });

  it.each([
    ["another kid", "x", "RS256"],
    ["another algorithm", "e", "RS256"],
    ["an algorithm that is none", "r", "none"],
    ["a kid that every object has", "constructor", "RS256"],
  ])("not under %s", async (_, kid, alg) => {
    await expect(query(kid, alg)()).rejects.toMatchObject({ code: "token-signature", detail: "its issuer has no such key" });
  });

  it("has the thumbprint of RFC 7638 section 3.1", async () => {
    const example = {
      kty: "RSA",
      n: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
      e: "AQAB",
      alg: "RS256",
      kid: "2011-04-29",
    };
    const set = await read([example]);
    expect(set.byKid.get("2011-04-29")?.thumbprint).toBe("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
  });
});
