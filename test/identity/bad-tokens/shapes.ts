import { deflateRawSync } from "node:zlib";
import { audience, githubClaims, headerOf, part } from "../issuer.ts";
import { type BadToken, bad, type Make } from "./bad-token.ts";
import { claimsWith, genericToken, githubToken, inputOf, issuers, keys, raw } from "./makers.ts";

const header = headerOf(keys.github);

/** A claim that the token has is written once more; the one that verifies nothing is the evil one. */
const evilClaims = ["iss", "sub", "aud", "exp", "nbf", "jti", "repository", "ref", "environment"];

const twice = evilClaims.flatMap((name) =>
  bad("J-09", "token-malformed", {
    [`${name}, the evil one first`]: () => claimsWith(`"${name}":"evil"`, "first"),
    [`${name}, the evil one last`]: () => claimsWith(`"${name}":"evil"`, "last"),
    [`${name}, the same value again`]: () =>
      claimsWith(`"${name}":${JSON.stringify(githubClaims(issuers.github)[name])}`, "last"),
    [`${name}, spelled with an escape`]: () =>
      claimsWith(`"\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}":"evil"`, "last"),
  }),
);

const parts: Readonly<Record<string, Make>> = {
  nothing: () => "",
  "one part": () => part(header),
  "two parts": () => inputOf(githubToken()),
  "four parts": () => `${githubToken()}.AA`,
  "five parts, as a JWE has": () => `${githubToken()}.AA.AA`,
  "six parts": () => `${githubToken()}.AA.AA.AA`,
  "the flattened JSON serialisation": () => flattened(githubToken()),
  "the general JSON serialisation": () => general(githubToken()),
  "a detached payload": () => githubToken().replace(/\..*\./, ".."),
  "a token in a token": () => raw({ ...header, cty: "JWT" }, githubToken()),
  "a JWE, RSA-OAEP": () => encrypted({ alg: "RSA-OAEP", enc: "A256GCM" }),
  "a JWE, dir": () => encrypted({ alg: "dir", enc: "A256GCM" }),
  "a compressed payload": () => raw({ ...header, zip: "DEF" }, deflateRawSync(JSON.stringify(githubClaims(issuers.github)))),
  "Bearer Bearer before it": () => `Bearer Bearer ${githubToken()}`,
  padding: () => `${githubToken()}==`,
  "the other alphabet": () => `${inputOf(githubToken())}.${Buffer.alloc(256, 0xfb).toString("base64")}`,
  "spare bits in the last character": () => githubToken().replace(/.$/, (last) => (last === "B" ? "C" : "B")),
  "an empty signature": () => `${inputOf(githubToken())}.`,
};

function flattened(token: string): string {
  const [head, payload, signature] = token.split(".");
  return JSON.stringify({ protected: head, payload, signature });
}

function general(token: string): string {
  const [head, payload, signature] = token.split(".");
  return JSON.stringify({ payload, signatures: [{ protected: head, signature }] });
}

function encrypted(head: object): string {
  return [part(head), ...[32, 12, 300, 16].map((size) => Buffer.alloc(size, 9).toString("base64url"))].join(".");
}

const blanks: Readonly<Record<string, string>> = { "a blank": " ", "a tab": "\t", CR: "\r", LF: "\n" };
const places: readonly (readonly [string, (token: string, blank: string) => string])[] = [
  ["at the start", (token, blank) => blank + token],
  ["at the end", (token, blank) => token + blank],
  ["inside the header", (token, blank) => token.slice(0, 8) + blank + token.slice(8)],
  ["inside the payload", (token, blank) => token.replace(".", `.AA${blank}`)],
  ["inside the signature", (token, blank) => `${token.slice(0, -9)}${blank}${token.slice(-9)}`],
];

const blanked = Object.entries(blanks).flatMap(([name, blank]) =>
  bad(
    "J-10",
    "token-malformed",
    places.map(([where, put]) => [`${name} ${where}`, () => put(githubToken(), blank)]),
  ),
);

const texts = (where: string, values: readonly string[], make: (text: string) => string): readonly BadToken[] =>
  bad(
    "J-10",
    "token-malformed",
    values.map((text) => [`${where} ${JSON.stringify(text)}`, () => make(text)]),
  );

const bytes = (name: string, payload: Uint8Array): readonly BadToken[] =>
  bad("J-10", "token-malformed", { [name]: () => raw(header, payload) });

const goodClaims = Buffer.from(JSON.stringify(githubClaims(issuers.github)));

const shapes = [
  ...bad("J-10", "token-malformed", parts),
  ...blanked,
  ...texts("the header", ["[]", '"x"', "1", "null", "{", ""], (text) => raw(text)),
  ...texts("the payload", ["[]", '"x"', "1", "null", "", "{", "{}{}"], (text) => raw(header, text)),
  ...bytes("a byte that is no UTF-8", Buffer.concat([Buffer.from('{"sub":"\xff",', "latin1"), goodClaims.subarray(1)])),
  ...bytes("a surrogate in UTF-8", Buffer.concat([Buffer.from('{"x":"\xed\xa0\x80",', "latin1"), goodClaims.subarray(1)])),
  ...bytes("a byte order mark", Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), goodClaims])),
  ...bytes("UTF-16", Buffer.from(goodClaims.toString(), "utf16le")),
  ...bad("J-10", "token-malformed", {
    "NUL behind the claims": () => raw(header, `${goodClaims.toString()}\0`),
    "an escaped NUL in sub": () => githubToken({ sub: "repo:octo-org\0" }),
    "a lone surrogate": () => claimsWith('"x":"\\ud800"', "last"),
    "a member called __proto__": () => claimsWith('"__proto__":{"ref":"refs/heads/main"}', "last"),
    "__proto__ spelled with escapes": () => claimsWith('"\\u005f_proto__":{"ref":"refs/heads/main"}', "last"),
    "a member whose name has a backslash": () => claimsWith('"re\\\\":1', "first"),
  }),
];

const nested = (depth: number) => `"x":${"[".repeat(depth)}${"]".repeat(depth)}`;
const many = (count: number, one: (nth: number) => string) => Array.from({ length: count }, (_, nth) => one(nth)).join(",");

/** A token of exactly so many bytes: its padding is grown until base64url makes them. */
function sized(bytesWanted: number, make: (padding: string) => string): string {
  let padding = "a".repeat(Math.max(0, Math.floor((bytesWanted - make("").length) * 0.75) - 8));
  while (make(padding).length < bytesWanted) padding += "a";
  return make(padding);
}

export const largestGood = () => sized(8_190, (padding) => githubToken({ padding, jti: "fixed" }));

const sizes = bad("J-11", "token-malformed", {
  "more than 8 KiB": () => sized(8_193, (padding) => githubToken({ padding, jti: "fixed" })),
  "more than 16 KiB": () => sized(16_385, (padding) => genericToken({ padding })),
  "64 KiB": () => genericToken({ padding: "a".repeat(48 << 10) }),
  "1 MiB": () => "a".repeat(1 << 20),
  "8 MiB of dots": () => ".".repeat(8 << 20),
  "17 levels": () => claimsWith(nested(17), "last"),
  "a thousand levels": () => claimsWith(nested(1_000), "last"),
  "a hundred thousand levels": () => claimsWith(nested(100_000), "last"),
  "ten thousand members": () =>
    claimsWith(
      many(10_000, (nth) => `"m${nth}":1`),
      "last",
    ),
  "an audience of a million": () => githubToken({ aud: Array.from({ length: 1_000_000 }, () => audience) }),
  "one string of a megabyte": () => githubToken({ padding: "a".repeat(1 << 20) }),
  "a number of a hundred thousand digits": () => claimsWith(`"n":${"1".repeat(100_000)}`, "last"),
  "more members than a token has, in 4 KiB": () =>
    claimsWith(
      many(300, (nth) => `"m${nth}":1`),
      "last",
    ),
  "more small objects than a token has, in 4 KiB": () => claimsWith(`"x":[${many(200, () => '{"a":1}')}]`, "last"),
  "a number of a thousand digits": () => claimsWith(`"n":${"1".repeat(1_000)}`, "last"),
  "a number beyond what a double holds": () => claimsWith('"n":12345678901234567890', "last"),
  "1e999": () => claimsWith('"n":1e999', "last"),
});

export const shapeTokens: readonly BadToken[] = [...twice, ...shapes, ...sizes];
