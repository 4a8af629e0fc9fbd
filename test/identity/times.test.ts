import { describe, expect, it } from "vitest";
import { checkTimes } from "../../src/identity/times.ts";
import { now, seconds } from "./issuer.ts";

const profile = { skew: 30_000, maxAge: 600_000, maxLifetime: 1_200_000 };
const good = { iat: seconds(0), nbf: seconds(0), exp: seconds(300) };

const outcome = (claims: Readonly<Record<string, number | undefined>>): string => {
  const members = Object.fromEntries(
    Object.entries(claims).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  try {
    checkTimes(members, profile, new Date(now + 999));
    return "good";
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : "?";
  }
};

describe("the times of a token, by a clock that may be 30 s wrong, for an issuer whose tokens may be 10 minutes old", () => {
  it.each<[string, Readonly<Record<string, number | undefined>>, string]>([
    ["of now", good, "good"],
    ["without nbf", { ...good, nbf: undefined }, "good"],
    ["that expired 29 s ago", { iat: seconds(-300), exp: seconds(-29) }, "good"],
    ["that expired 30 s ago", { iat: seconds(-300), exp: seconds(-30) }, "token-expired"],
    ["that begins in 30 s", { ...good, nbf: seconds(30) }, "good"],
    ["that begins in 31 s", { ...good, nbf: seconds(31) }, "token-not-yet-valid"],
    ["issued in 30 s", { ...good, iat: seconds(30) }, "good"],
    ["issued in 31 s", { ...good, iat: seconds(31) }, "token-not-yet-valid"],
    ["issued 10 minutes and 30 s ago", { ...good, iat: seconds(-630) }, "good"],
    ["issued a second before that", { ...good, iat: seconds(-631) }, "token-lifetime"],
    ["that lives for 20 minutes", { ...good, exp: seconds(1_200) }, "good"],
    ["that lives a second longer", { ...good, exp: seconds(1_201) }, "token-lifetime"],
    ["that ends before it begins", { iat: seconds(20), exp: seconds(10) }, "token-lifetime"],
    ["that ends before it may be used", { iat: seconds(-10), nbf: seconds(25), exp: seconds(20) }, "token-claim"],
    ["without an end", { ...good, exp: undefined }, "token-claim"],
    ["without a beginning", { ...good, iat: undefined }, "token-claim"],
  ])("%s", (_, claims, expected) => {
    expect(outcome(claims)).toBe(expected);
  });
});
