import { now, seconds } from "../issuer.ts";
import { type BadToken, bad, badValues } from "./bad-token.ts";
import { genericToken, githubToken, without } from "./makers.ts";

const far = [
  ...bad("J-15", "token-claim", {
    "no exp": () => githubToken(without("exp")),
    "no iat": () => githubToken(without("iat")),
    "nbf after exp": () => githubToken({ iat: seconds(-10), nbf: seconds(25), exp: seconds(20) }),
  }),
  ...bad("J-15", "token-expired", {
    "expired at the skew": () => githubToken({ iat: seconds(-300), exp: seconds(-30) }),
    "expired a second before the skew": () => githubToken({ iat: seconds(-300), exp: seconds(-31) }),
    "expired a year ago": () => githubToken({ iat: seconds(-31_536_300), exp: seconds(-31_536_000) }),
    "exp 0": () => githubToken({ exp: 0 }),
  }),
  ...bad("J-15", "token-not-yet-valid", {
    "nbf a second after the skew": () => githubToken({ nbf: seconds(31) }),
    "nbf in an hour": () => githubToken({ nbf: seconds(3_600) }),
    "iat a second after the skew": () => githubToken({ iat: seconds(31), exp: seconds(300) }),
    "iat in an hour": () => githubToken({ iat: seconds(3_600), nbf: seconds(0), exp: seconds(3_700) }),
  }),
  ...bad("J-15", "token-lifetime", {
    "ten years": () => githubToken({ exp: seconds(315_360_000) }),
    "a day": () => githubToken({ exp: seconds(86_400) }),
    "a second above the longest lifetime": () => githubToken({ exp: seconds(901) }),
    "older than the profile allows": () => genericToken({ iat: seconds(-3_631), exp: seconds(-31 + 60) }),
    "exp before iat": () => githubToken({ iat: seconds(20), exp: seconds(10) }),
    "exp at iat": () => githubToken({ iat: seconds(10), exp: seconds(10) }),
    "iat 0": () => githubToken({ iat: 0 }),
  }),
];

const odd = ["exp", "iat", "nbf"].flatMap((name) =>
  badValues(
    "J-15",
    "token-malformed",
    [-1, 0.5, 1e308, 2 ** 53 + 2, now, "1790000300", "1e10", "0x7fffffff", null, true, [seconds(300)], {}, ""],
    (value) => githubToken({ [name]: value }),
  ).map((token) => ({ ...token, name: `${name} ${token.name}` })),
);

export const timeTokens: readonly BadToken[] = [...far, ...odd];
