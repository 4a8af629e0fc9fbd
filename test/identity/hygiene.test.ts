import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { inspectKey } from "../../src/identity/hygiene.ts";
import type { Json } from "../../src/identity/json.ts";
import { readKeySet } from "../../src/identity/keyset.ts";
import { type Algorithm, algorithms } from "../../src/identity/profile.ts";
import { ecKey, rsaKey } from "./issuer.ts";

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

async function verdict(jwk: Json, allowed: readonly Algorithm[] = algorithms): Promise<string> {
  const set = { keys: [jwk] };
  return readKeySet(Buffer.from(JSON.stringify(set)), allowed).then(
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
    ["an n with padding", { ...rsa, n: `${String(rsa["n"])}==` }, "not an RSA key"],
    ["no n", without(rsa, "n"), "not an RSA key"],
    ["a private key", privateRsa, "private part was published"],
    ["only its d", { ...rsa, d: "AQAB" }, "private part was published"],
    ["a secret beside a public key", { ...rsa, k: "AAAA" }, "private part was published"],
    ["a symmetric key", { kty: "oct", kid: "h", k: "AAAA" }, "private part was published"],
    ["a symmetric key that calls itself HS256", { kty: "oct", kid: "h", alg: "HS256", k: "AAAA" }, "another algorithm"],
    ["for encryption", { ...rsa, use: "enc" }, "not for signatures"],
    ["a use that is a list", { ...rsa, use: ["sig"] }, "not for signatures"],
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
    expect(await verdict(ec, ["RS256"])).toContain("another algorithm");
    expect(await verdict(without(ec, "alg"), ["RS256"])).toContain("no allowed algorithm");
  });

  it("are left out, and the good one beside them is used", async () => {
    const set = await readKeySet(Buffer.from(JSON.stringify({ keys: [small, rsa, { ...ec, use: "enc" }] })), algorithms);
    expect([...set.kids]).toEqual(["r"]);
    expect(set.unfit).toEqual(["an RSA key of another size than 2048 to 8192 bits", "not for signatures"]);
  });

  it("only the members that matter reach the library", () => {
    const inspected = inspectKey({ ...rsa, x5u: "https://evil.example", ext: true }, algorithms);
    expect(inspected.kind === "usable" && Object.keys(inspected.jwk).sort()).toEqual(["alg", "e", "kid", "kty", "n"]);
  });
});
