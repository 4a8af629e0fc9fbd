import { describe, expect, it } from "vitest";
import { BrokerError, codes } from "../../../src/errors.ts";
import type { Identity } from "../../../src/identity/identity.ts";
import { identifyingClaims } from "../../../src/identity/issuers/ids.ts";
import { compileProfiles, issuersSchema } from "../../../src/identity/issuers/issuers.ts";
import { readRegularFile } from "../../../src/identity/keys/file.ts";
import { noHistory } from "../../../src/identity/keys/key-history.ts";
import { presetNames } from "../../../src/identity/presets/presets.ts";
import { createVerifier } from "../../../src/identity/verify.ts";
import { Secret } from "../../../src/secret.ts";
import { now } from "../issuer.ts";
import { ManualClock } from "../manual-clock.ts";
import { type GoldenCase, goldenCases } from "./golden.ts";

const cases = goldenCases(now);
/** All of them in one configuration: none of them may take another's tokens. */
const config = issuersSchema.parse(Object.fromEntries(cases.map(({ issuer, config: written }) => [issuer, written])));

const verifier = createVerifier({
  profiles: compileProfiles(config, () => ""),
  fetch: () => Promise.reject(new Error("nothing may be asked for")),
  readFile: readRegularFile,
  history: noHistory,
  clock: new ManualClock(now),
});

function outcome(golden: GoldenCase): Promise<Identity | BrokerError> {
  return verifier.verify(Secret.of(golden.sign()), AbortSignal.timeout(10_000)).catch((error: unknown) => {
    if (error instanceof BrokerError) return error;
    throw error;
  });
}

describe.each([...new Set(cases.map(({ issuer }) => issuer))])("golden tokens of %s", (issuer) => {
  it.each(cases.filter((golden) => golden.issuer === issuer).map((golden) => [golden.name, golden] as const))(
    "%s",
    async (_, golden) => {
      const found = await outcome(golden);
      if ("refused" in golden.expected) {
        const { refused, detail = expect.anything() } = golden.expected;
        // No claim and no reason crosses the socket: the message is the code's own sentence.
        const spoken = { code: refused, message: codes[refused], hint: undefined };
        expect(found).toMatchObject(refused === "token-claim" ? { ...spoken, detail } : spoken);
        return;
      }
      expect(found).toMatchObject({ ...golden.expected, issuer });
    },
  );
});

describe("the golden tokens", () => {
  it("are of every preset, each with tokens that are accepted and tokens that are not", () => {
    const of = (kind: "trust" | "refused") =>
      new Set(cases.filter(({ expected }) => kind in expected).map(({ preset }) => preset));
    expect([...of("trust")].toSorted()).toEqual(presetNames.toSorted());
    expect([...of("refused")].toSorted()).toEqual(presetNames.toSorted());
  });

  it("are enough to be a control: at least 46 are accepted", () => {
    expect(cases.filter(({ expected }) => "trust" in expected).length).toBeGreaterThanOrEqual(46);
  });

  it("have what identifies them, by the names that a template may use", async () => {
    const identifying = identifyingClaims(config);
    for (const golden of cases.filter(({ expected }) => "trust" in expected)) {
      const found = await outcome(golden);
      const claims = found instanceof BrokerError ? [] : Object.keys(found.claims);
      const ids = identifying.get(golden.issuer)?.claims ?? [];
      // Of Jenkins its issuer alone.
      if (golden.preset === "jenkins") expect(ids).toEqual([]);
      else expect(claims.filter((claim) => ids.includes(claim))).not.toEqual([]);
    }
  });
});
