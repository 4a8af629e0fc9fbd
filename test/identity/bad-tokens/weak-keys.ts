import { checkPrimeSync, createHash, createPublicKey, generateKeyPairSync, randomBytes, verify } from "node:crypto";
import { part, rsaKey, seconds } from "../issuer.ts";
import { type BadToken, bad } from "./bad-token.ts";
import { type Changes, issuers, privateKeyOf, signatureBy } from "./makers.ts";

/**
 * Keys under which anybody can sign, or which are not for signatures at all. Their issuer serves them; every token below is
 * forged or signed as well as it can be under its key, so that a verifier without hygiene accepts many of them.
 */
interface WeakKey {
  readonly name: string;
  readonly alg: string;
  readonly jwk: Changes;
  /** Undefined where nobody can sign under it: then any bytes do. */
  readonly sign: ((input: string) => Buffer | undefined) | undefined;
}

const bytesOf = (value: bigint): Buffer => {
  const hex = value.toString(16);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex");
};
const text = (value: bigint): string => bytesOf(value).toString("base64url");
const bigOf = (member: unknown): bigint => BigInt(`0x${Buffer.from(String(member), "base64url").toString("hex")}`);

const good = rsaKey("good");
const goodModulus = bigOf(good.jwk["n"]);

/** RFC 8017 section 9.2 for SHA-256: what a signature raised to `e` must be. */
function padded(input: string, size: number): Buffer {
  const digest = Buffer.concat([
    Buffer.from("3031300d060960864801650304020105000420", "hex"),
    createHash("sha256").update(input).digest(),
  ]);
  return Buffer.concat([Buffer.of(0, 1), Buffer.alloc(size - digest.length - 3, 0xff), Buffer.of(0), digest]);
}

function rsa(name: string, bits: number): WeakKey {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: bits });
  return {
    name,
    alg: "RS256",
    jwk: publicKey.export({ format: "jwk" }),
    sign: (input) => signatureBy({ alg: "RS256", privateKey }, input),
  };
}

/** 39 primes: a modulus of the broken generator is a power of 65537 modulo each. */
const primes = [
  2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127,
  131, 137, 139, 149, 151, 157, 163, 167,
];
const product = primes.reduce((so, prime) => so * BigInt(prime), 1n);

function rocaPrime(): bigint {
  for (;;) {
    const power = modularPower(65537n, BigInt(`0x${randomBytes(6).toString("hex")}`), product);
    const high = BigInt(`0x${randomBytes(128).toString("hex")}`) | (3n << 1022n);
    const candidate = high - (high % product) + power;
    if (candidate.toString(2).length === 1024 && checkPrimeSync(candidate)) return candidate;
  }
}

function modularPower(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let [result, square] = [1n, base % modulus];
  for (let left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n];
  while (a > 1n) [a, b, x, y] = [b, a % b, y, x - (a / b) * y];
  return ((x % modulus) + modulus) % modulus;
}

function roca(): WeakKey {
  const [p, q, e] = [rocaPrime(), rocaPrime(), 65537n];
  const d = inverse(e, (p - 1n) * (q - 1n));
  const numbers = { n: p * q, e, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) };
  const jwk = { kty: "RSA", ...Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, text(value)])) };
  const privateKey = privateKeyOf(jwk);
  return {
    name: "a key of the broken generator (ROCA)",
    alg: "RS256",
    jwk: { kty: "RSA", n: jwk["n" as never], e: "AQAB" },
    sign: (input) => signatureBy({ alg: "RS256", privateKey }, input),
  };
}

const rsaKeys: readonly WeakKey[] = [
  rsa("1024 bits", 1024),
  rsa("2040 bits", 2040),
  { name: "e = 1", alg: "RS256", jwk: { kty: "RSA", n: good.jwk["n"], e: "AQ" }, sign: (input) => padded(input, 256) },
  { name: "e = 2", alg: "RS256", jwk: { kty: "RSA", n: good.jwk["n"], e: "Ag" }, sign: undefined },
  { name: "an even modulus", alg: "RS256", jwk: { kty: "RSA", n: text(goodModulus - 1n), e: "AQAB" }, sign: undefined },
  roca(),
];

const goodPoint = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" });

const curveKeys: readonly WeakKey[] = [
  {
    name: "a point that is not on its curve",
    alg: "ES256",
    jwk: { ...goodPoint, y: text(bigOf(goodPoint["y"]) ^ 1n) },
    sign: undefined,
  },
  {
    name: "the point (0, 0)",
    alg: "ES256",
    jwk: { kty: "EC", crv: "P-256", x: "A".repeat(43), y: "A".repeat(43) },
    sign: undefined,
  },
];

const field = 2n ** 255n - 19n;
const little = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(64, "0"), "hex").reverse();
/** The y of the points of order 8; the others of small order have y of 0, 1 and -1. */
const eighth = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n;
const smallPoints = [1n, field - 1n, 0n, eighth, field - eighth];
const notCanonical = [field, field + 1n, 2n ** 255n - 1n];

/** With S = 0 the signature holds where R is what -k times the key is; a small order leaves few to try. */
function forged(x: Buffer): (input: string) => Buffer | undefined {
  const jwk = { kty: "OKP", crv: "Ed25519", x: x.toString("base64url") };
  return (input) =>
    smallPoints
      .flatMap((y) => [little(y), little(y | (1n << 255n))])
      .map((point) => Buffer.concat([point, Buffer.alloc(32)]))
      .find((signature) => verifies(jwk, input, signature));
}

function verifies(jwk: Record<string, string>, input: string, signature: Buffer): boolean {
  try {
    return verify(null, Buffer.from(input), createPublicKey({ key: jwk, format: "jwk" }), signature);
  } catch {
    return false;
  }
}

const edwardsKeys = [...smallPoints, ...notCanonical].map((y, nth): WeakKey => {
  const kind = nth < smallPoints.length ? "small order" : "no canonical form";
  const x = little(y);
  return {
    name: `an Ed25519 key of ${kind} (${nth})`,
    alg: "EdDSA",
    jwk: { kty: "OKP", crv: "Ed25519", x: x.toString("base64url") },
    sign: forged(x),
  };
});

const properly = (input: string): Buffer => signatureBy({ alg: "RS256", privateKey: good.privateKey }, input);
const material = { kty: "RSA", n: good.jwk["n"], e: good.jwk["e"] };

const misplaced: readonly WeakKey[] = [
  { name: "its private part published", alg: "RS256", jwk: { ...good.privateKey.export({ format: "jwk" }) }, sign: properly },
  { name: "use enc", alg: "RS256", jwk: { ...material, use: "enc" }, sign: properly },
  { name: "key_ops without verify", alg: "RS256", jwk: { ...material, key_ops: ["encrypt"] }, sign: properly },
  { name: "alg of another family", alg: "RS256", jwk: { ...material, alg: "RSA-OAEP" }, sign: properly },
  { name: "an oct key", alg: "RS256", jwk: { kty: "oct", k: "A".repeat(43) }, sign: undefined },
  { name: "a kty that nobody knows", alg: "RS256", jwk: { kty: "AKP", alg: "ML-DSA-44", pub: "AAAA" }, sign: properly },
];

const all = [...rsaKeys, ...curveKeys, ...edwardsKeys, ...misplaced].map((key, nth) => ({ ...key, kid: `weak-${nth}` }));

/** As their issuer serves them; one good key among them, else the set would not load at all. */
export const servedWeakKeys: readonly Changes[] = [
  ...all.map(({ jwk, kid }) => ({ ...jwk, kid })),
  { ...material },
  { kty: "oct", kid: "oct", k: Buffer.alloc(32, 7).toString("base64url") },
  good.jwk,
];

function payload(changes: Changes = {}): Changes {
  const claims = { iss: issuers.poisoned, aud: "https://broker.example", sub: "someone", iat: seconds(0), exp: seconds(300) };
  return { ...claims, jti: crypto.randomUUID(), project: "20", job: "302", ...changes };
}

/** Where a forgery depends on the message, another jti is another try. */
function forgery({ alg, kid, sign }: (typeof all)[number]): string {
  for (let tries = 0; ; tries++) {
    const input = `${part({ alg, kid, typ: "JWT" })}.${part(payload())}`;
    const signature = sign === undefined || tries === 64 ? Buffer.alloc(64, 1) : sign(input);
    if (signature !== undefined) return `${input}.${signature.toString("base64url")}`;
  }
}

/** A control: the good key of the same set. */
export function tokenOfGoodKey(): string {
  const input = `${part({ alg: "RS256", kid: "good", typ: "JWT" })}.${part(payload())}`;
  return `${input}.${properly(input).toString("base64url")}`;
}

export const weakKeyTokens: readonly BadToken[] = [
  ...bad(
    "J-19",
    "token-signature",
    all.map((key) => [key.name, () => forgery(key)] as const),
  ),
  ...bad("J-19", "token-malformed", {
    "no kid, where keys have several": () => {
      const input = `${part({ alg: "RS256", typ: "JWT" })}.${part(payload())}`;
      return `${input}.${properly(input).toString("base64url")}`;
    },
  }),
];
