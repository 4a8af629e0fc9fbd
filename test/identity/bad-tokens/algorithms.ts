import { createPublicKey, sign } from "node:crypto";
import { githubClaims, headerOf, part } from "../issuer.ts";
import { type BadToken, bad, named } from "./bad-token.ts";
import { githubToken, hmacToken, inputOf, issuers, keys, raw, signedBy, strangeKey } from "./makers.ts";

const spellings = ["none", "None", "NONE", "nOnE", " none", "none\0", "", null, undefined, ["ES256"], 0] as const;

const none = spellings.flatMap((alg) => {
  const token = () => raw({ ...headerOf(keys.github), alg });
  return bad("J-01", "token-malformed", {
    [`${named(alg)}, its signature kept`]: token,
    [`${named(alg)}, its signature empty`]: () => `${inputOf(token())}.`,
    [`${named(alg)}, its signature gone`]: () => inputOf(token()),
  });
});

const publicKey = createPublicKey(keys.github.privateKey);
const pem = publicKey.export({ type: "spki", format: "pem" }).toString().trimEnd();
const modulus = Buffer.from(String(keys.github.jwk["n"]), "base64url");

const secrets: Readonly<Record<string, string | Buffer>> = {
  "the public key's PEM": pem,
  "the PEM and a line feed": `${pem}\n`,
  "the PEM with Windows' line ends": `${pem.replaceAll("\n", "\r\n")}\r\n`,
  "the PEM behind a blank": ` ${pem}\n`,
  "the public key's DER": publicKey.export({ type: "spki", format: "der" }),
  "the JWK as it is served": JSON.stringify(keys.github.jwk),
  "the modulus": modulus,
  "the kid": "k1",
  "an empty key": "",
};

const hmacs = Object.entries(secrets).flatMap(([name, secret]) =>
  bad(
    "J-02",
    "token-malformed",
    ["HS256", "HS384", "HS512"].map((alg) => [`${alg} keyed with ${name}`, () => hmacToken(secret, alg)] as const),
  ),
);

const es384 = strangeKey("P-384");
const secp256k1 = strangeKey("secp256k1");
const ed448 = strangeKey("ed448");
const claims = () => githubClaims(issuers.github);

function strange(alg: string, signature: (input: Buffer) => Buffer): string {
  const input = `${part({ alg, kid: "k1", typ: "JWT" })}.${part(claims())}`;
  return `${input}.${signature(Buffer.from(input)).toString("base64url")}`;
}

const families = [
  ...bad("J-03", "token-malformed", {
    "ES256K, rightly signed": () =>
      strange("ES256K", (input) => sign("sha256", input, { key: secp256k1, dsaEncoding: "ieee-p1363" })),
    "Ed448, rightly signed": () => strange("Ed448", (input) => sign(null, input, ed448)),
    "RS1, rightly signed": () => strange("RS1", (input) => sign("sha1", input, keys.github.privateKey)),
    "ML-DSA-44": () => strange("ML-DSA-44", () => Buffer.alloc(2_420, 1)),
    "HS256 keyed with an oct key that the issuer serves": () => hmacToken(Buffer.alloc(32, 7), "HS256", "oct"),
    "Ed25519, the name of EdDSA that no CI system uses": () => raw({ ...headerOf(keys.github), alg: "Ed25519" }),
  }),
  ...bad("J-03", "token-signature", {
    "RS256's signature as PS256": () => raw({ ...headerOf(keys.github), alg: "PS256" }),
    "RS256's signature as RS512": () => raw({ ...headerOf(keys.github), alg: "RS512" }),
    "ES256 signed with a P-384 key": () =>
      strange("ES256", (input) => sign("sha256", input, { key: es384, dsaEncoding: "ieee-p1363" })),
    "ES256, rightly signed by a key of another issuer": () =>
      signedBy(keys.generic, { alg: "ES256", kid: "e1", typ: "JWT" }, claims()),
    "RS256 against the kid of a key for encryption": () => githubToken({}, { kid: "enc" }),
    ...Object.fromEntries(
      ["RS384", "RS512", "PS256", "PS384"].map((alg) => [
        `${alg}, rightly signed by a key that does not say its algorithm`,
        () => signedAs(alg),
      ]),
    ),
  }),
];

function signedAs(alg: string): string {
  const input = `${part({ alg, kid: "plain", typ: "JWT" })}.${part(claims())}`;
  const key = { key: keys.plain.privateKey, ...(alg.startsWith("PS") && { padding: 6, saltLength: Number(alg.slice(2)) / 8 }) };
  return `${input}.${sign(`sha${alg.slice(2)}`, Buffer.from(input), key).toString("base64url")}`;
}

export const algorithmTokens: readonly BadToken[] = [...none, ...hmacs, ...families];
