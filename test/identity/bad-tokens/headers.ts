import { githubClaims, headerOf } from "../issuer.ts";
import { type BadToken, bad, badValues } from "./bad-token.ts";
import { githubToken, headerWith, issuers, keys, raw, signedBy } from "./makers.ts";

const header = headerOf(keys.github);
const attackersJwk = keys.attacker.jwk;
const byAttacker = (more: object): string => signedBy(keys.attacker, { ...header, ...more }, githubClaims(issuers.github));

const embedded = bad("J-04", "token-malformed", {
  "the attacker's key": () => byAttacker({ jwk: { ...attackersJwk, kid: "attacker" } }),
  "the attacker's key under a trusted kid": () => byAttacker({ jwk: attackersJwk }),
  "the attacker's key without a kid": () => byAttacker({ jwk: { ...attackersJwk, kid: undefined } }),
  "the attacker's private key": () => byAttacker({ jwk: { ...keys.attacker.privateKey.export({ format: "jwk" }), kid: "k1" } }),
});

/** Each is reached, where it can be, by whoever connects to it: the stage counts connections to `trap`. */
const addresses: readonly ((trap: string) => string)[] = [
  (trap) => `${trap}/jwks`,
  (trap) => trap.replace("http:", "https:"),
  (trap) => `${issuers.github}/login?return_to=${encodeURIComponent(trap)}`,
  (trap) => trap.replace("://", "://token.actions.githubusercontent.com@"),
  () => "file:///etc/passwd",
  () => "data:application/json,{%22keys%22:[]}",
  () => "unix:/run/docker.sock",
  () => "http://169.254.169.254/latest/meta-data",
  (trap) => trap.replace("127.0.0.1", "[::1]"),
  () => "https://token.actions.githubusercontent.com.evil.test/jwks",
];

const addressed = ["jku", "x5u"].flatMap((member) =>
  bad(
    "J-05",
    "token-malformed",
    addresses.map((address) => [
      `${member} ${address("http://127.0.0.1:PORT")}`,
      ({ trap }) => byAttacker({ [member]: address(trap) }),
    ]),
  ),
);

const certificates = bad("J-06", "token-malformed", {
  "a certificate that signs itself": () => byAttacker({ x5c: ["MIIBszCCAVmgAwIBAgIUAAAA"] }),
  "another certificate's thumbprint, by SHA-256": () => raw({ ...header, "x5t#S256": "A".repeat(43) }),
  "a certificate and its thumbprint": () => raw({ ...header, x5c: ["MIIB"], x5t: "A".repeat(27) }),
});

const oddKids = [
  ...badValues(
    "J-07",
    "token-signature",
    ["../../dev/null", "/etc/passwd", "'OR'1'='1", "|id", "$(id)", "${jndi:x}", "__proto__", "constructor", "toString", "K1"],
    (kid) => githubToken({}, { kid }),
  ),
  ...badValues(
    "J-07",
    "token-malformed",
    ["x' UNION SELECT key --", "k".repeat(65_536), "k1\0", "\u200fk1", 7, null, [], {}, "", "k1 "],
    (kid) => githubToken({}, { kid }),
  ),
  ...bad("J-07", "token-signature", {
    "a kid that two keys have": () => signedBy(keys.attacker, { ...header, kid: "twice" }, githubClaims(issuers.poisoned)),
    "the kid of a key for encryption": () => signedBy(keys.encryption, { ...header, kid: "enc" }, githubClaims(issuers.github)),
  }),
  ...bad("J-07", "token-malformed", { "no kid": () => raw({ alg: "RS256", typ: "JWT" }) }),
];

const critical = [
  ...badValues(
    "J-08",
    "token-malformed",
    [[], ["unknown"], ["http://example.com/absent"], ["x", "x"], "exp", ["exp"], ["alg"], ["b64"], 1],
    (crit) => raw({ ...header, crit }),
  ),
  ...bad("J-08", "token-malformed", {
    "b64 false and named in crit": () => raw({ ...header, b64: false, crit: ["b64"] }),
    "b64 false and not named in crit": () => raw({ ...header, b64: false }),
    'b64 "false"': () => raw({ ...header, b64: "false" }),
    "an unknown member that crit names": () => raw({ ...header, crit: ["policy"], policy: "any" }),
    zip: () => raw({ ...header, zip: "DEF" }),
    "typ at+jwt, another kind of token": () => raw({ ...header, typ: "at+jwt" }),
    "typ secevent+jwt, another kind of token": () => raw({ ...header, typ: "secevent+jwt" }),
    "a typ that is a number": () => raw({ ...header, typ: 7 }),
  }),
];

const evil: Readonly<Record<string, string>> = { alg: '"none"', kid: '"evil"', typ: '"evil"', crit: '["exp"]' };

/** `crit` is not there once, so it is written twice. */
const twice = Object.entries(evil).flatMap(([name, value]) =>
  bad("J-09", "token-malformed", {
    [`${name}, the evil one first`]: () => headerWith(`"${name}":${value}${name === "crit" ? `,"crit":[]` : ""}`, "first"),
    [`${name}, the evil one last`]: () => headerWith(`${name === "crit" ? `"crit":[],` : ""}"${name}":${value}`, "last"),
    [`${name}, spelled with an escape`]: () =>
      headerWith(
        `${name === "crit" ? `"crit":[],` : ""}"\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}":${value}`,
        "last",
      ),
  }),
);

export const headerTokens: readonly BadToken[] = [
  ...embedded,
  ...addressed,
  ...certificates,
  ...oddKids,
  ...critical,
  ...twice,
];
