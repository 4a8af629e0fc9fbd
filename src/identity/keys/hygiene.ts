import type { JWK } from "jose";
import { isObject, type Json, type JsonObject } from "../json.ts";
import type { Algorithm, Profile } from "../profile.ts";

/** Either a key to verify with, cut down to the members that matter, or why it is none. */
export type Inspected =
  | { readonly kind: "usable"; readonly kid: string; readonly jwk: JWK }
  /** Sound for all we know, and meant for something else. */
  | { readonly kind: "foreign"; readonly why: string }
  | { readonly kind: "unfit"; readonly why: string };

/** What an issuer's profile asks of its keys. */
export type KeyRules = Pick<Profile, "algorithms" | "keyUse">;

const privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/** As in a token's header: a key that no token can name is none. */
const keyId = /^[\x21-\x7e]{1,256}$/;

/**
 * Looks at one member of a key set before any library does (hardening J-19). A key that breaks a rule is never used, even
 * though its issuer vouches for it: under a small-order or `e = 1` key anybody can sign.
 */
export function inspectKey(jwk: Json, rules: KeyRules): Inspected {
  if (!isObject(jwk)) return unfit("not an object");
  const purpose = otherPurpose(jwk, rules);
  if (purpose !== undefined) return { kind: "foreign", why: purpose };
  const { kid } = jwk;
  if (typeof kid !== "string" || !keyId.test(kid)) return unfit("no kid that a token can name");
  const why = materialFlaw(jwk);
  return why === undefined ? { kind: "usable", kid, jwk: publicPart(jwk) } : unfit(why);
}

function unfit(why: string): Inspected {
  return { kind: "unfit", why };
}

/** RFC 7517 sections 4.2 to 4.4. Published sets hold keys for encryption too, and SPIFFE's bundles those of X.509 identities. */
function otherPurpose(jwk: JsonObject, { algorithms, keyUse }: KeyRules): string | undefined {
  const { use, key_ops: operations, alg } = jwk;
  if (use !== undefined && use !== keyUse) return "not for signing tokens";
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) return "not for verifying";
  if (alg !== undefined && !algorithms.some((algorithm) => algorithm === alg)) return "for another algorithm";
  return fittingAlgorithms(jwk, algorithms).length === 0 ? "of a type that no allowed algorithm uses" : undefined;
}

/** Those of the allowed algorithms that may use this key (RFC 7517 section 4.4, RFC 7518 section 3.1, RFC 8037). */
export function fittingAlgorithms(jwk: Fitted, allowed: readonly Algorithm[]): readonly Algorithm[] {
  return allowed.filter((algorithm) => fitsType(jwk, algorithm) && (jwk.alg === undefined || jwk.alg === algorithm));
}

interface Fitted {
  readonly kty?: unknown;
  readonly crv?: unknown;
  readonly alg?: unknown;
}

function materialFlaw(jwk: JsonObject): string | undefined {
  if (privateMembers.some((member) => Object.hasOwn(jwk, member))) return "its private part was published";
  if (jwk["kty"] === "RSA") return rsaFlaw(numberOf(jwk["n"]), numberOf(jwk["e"]));
  return jwk["kty"] === "OKP" ? edwardsFlaw(jwk["x"]) : undefined;
}

const curves: Readonly<Partial<Record<Algorithm, string>>> = {
  ES256: "P-256",
  ES384: "P-384",
  ES512: "P-521",
  EdDSA: "Ed25519",
};

function fitsType(jwk: Fitted, algorithm: Algorithm): boolean {
  if (/^[RP]S/.test(algorithm)) return jwk.kty === "RSA";
  return jwk.kty === (algorithm === "EdDSA" ? "OKP" : "EC") && jwk.crv === curves[algorithm];
}

function publicPart(jwk: JsonObject): JWK {
  const members = ["kty", "crv", "x", "y", "n", "e", "kid", "alg"];
  return Object.fromEntries(members.filter((member) => typeof jwk[member] === "string").map((member) => [member, jwk[member]]));
}

/** Big-endian, as JWKs have it; undefined where it is not canonical base64url. */
function numberOf(text: Json | undefined): bigint | undefined {
  if (typeof text !== "string" || text === "") return undefined;
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? BigInt(`0x${bytes.toString("hex")}`) : undefined;
}

const longestExponent = 2n ** 64n;

function rsaFlaw(n: bigint | undefined, e: bigint | undefined): string | undefined {
  if (n === undefined || e === undefined) return "not an RSA key";
  const bits = n.toString(2).length;
  if (bits < 2048 || bits > 8192) return "an RSA key of another size than 2048 to 8192 bits";
  if (n % 2n === 0n) return "an RSA key with an even modulus";
  if (e < 3n || e % 2n === 0n || e > longestExponent) return "an RSA key with an unsafe exponent";
  return hasRocaMark(n) ? "an RSA key that can be factored (ROCA, CVE-2017-15361)" : undefined;
}

const rocaPrimes = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127,
  131, 137, 139, 149, 151, 157, 163, 167,
];

const rocaPowers = rocaPrimes.map((prime) => ({ prime: BigInt(prime), powers: powersOf65537(prime) }));

/** Keys of the broken generator are a power of 65537 modulo each of these primes; of other keys, about one in 2^28 is. */
function hasRocaMark(n: bigint): boolean {
  return rocaPowers.every(({ prime, powers }) => powers.has(Number(n % prime)));
}

function powersOf65537(prime: number): ReadonlySet<number> {
  const powers = new Set<number>();
  for (let power = 1; !powers.has(power); power = (power * 65537) % prime) powers.add(power);
  return powers;
}

const edwardsPrime = 2n ** 255n - 19n;
/** y of the points of order 4, 2, 1 and 8 of edwards25519 (RFC 7748 section 4.1's curve in its Edwards form). */
const smallOrder: ReadonlySet<bigint> = new Set([
  0n,
  1n,
  edwardsPrime - 1n,
  0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
  0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n,
]);

function edwardsFlaw(x: Json | undefined): string | undefined {
  const bytes = typeof x === "string" ? Buffer.from(x, "base64url") : Buffer.alloc(0);
  if (bytes.length !== 32 || bytes.toString("base64url") !== x) return "not an Ed25519 key";
  const y = BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`) & (2n ** 255n - 1n);
  if (y >= edwardsPrime) return "an Ed25519 key that is not canonical";
  return smallOrder.has(y) ? "an Ed25519 key of small order, under which anybody can sign" : undefined;
}
