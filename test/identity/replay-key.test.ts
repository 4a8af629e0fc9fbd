import { describe, expect, it } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import { readRegularFile } from "../../src/identity/keys/file.ts";
import { noHistory } from "../../src/identity/keys/key-history.ts";
import type { Profile } from "../../src/identity/profile.ts";
import { createVerifier } from "../../src/identity/verify.ts";
import { Secret } from "../../src/secret.ts";
import { ecKey, githubClaims, headerOf, now, signatureOf, signed } from "./issuer.ts";
import { profileOf } from "./keys/key-rows/stage.ts";
import { ManualClock } from "./manual-clock.ts";

const key = ecKey("k");
const [here, elsewhere] = ["https://ci.example", "https://other.example"];

/** What a broker would spend this token as, whose mayfly.yaml says this of the issuer's jti; or why it would not. */
async function spentAs(token: string, jti: Profile["jti"], url = here): Promise<string> {
  const keys = { kind: "inline", text: JSON.stringify({ keys: [key.jwk] }) } as const;
  const { verify } = createVerifier({
    profiles: [{ ...profileOf(url), keys, jti }],
    fetch: () => Promise.reject(new Error("no network")),
    readFile: readRegularFile,
    clock: new ManualClock(now),
    history: noHistory,
  });
  return verify(Secret.of(token), AbortSignal.timeout(10_000)).then(
    (identity) => identity.token.key,
    (error: unknown) => (error instanceof BrokerError ? error.code : String(error)),
  );
}

const tokenOf = (changes: Readonly<Record<string, unknown>>, url = here) =>
  signed(key, headerOf(key), githubClaims(url, changes));

describe("what a token is spent as", () => {
  it("is the same at a broker that asks for a jti and at one that does not", async () => {
    const token = tokenOf({ jti: "one" });
    expect(await spentAs(token, "required")).toBe("jti:https%3A//ci.example:one");
    expect(await spentAs(token, "absent")).toBe("jti:https%3A//ci.example:one");
  });

  it("is the same for another token with the same jti, whatever else it says", async () => {
    const [first, second] = [{ jti: "one" }, { jti: "one", run_id: "78" }].map((changes) => tokenOf(changes));
    for (const jti of ["required", "absent"] as const)
      expect(await spentAs(first ?? "", jti)).toBe(await spentAs(second ?? "", jti));
  });

  it("is another for the same jti of another issuer", async () => {
    expect(await spentAs(tokenOf({ jti: "one" }, elsewhere), "required", elsewhere)).toBe("jti:https%3A//other.example:one");
  });

  it.each([
    ["without a jti", undefined],
    ["with a jti that is too long to be kept", "j".repeat(257)],
  ])("is a digest of what was signed, for a token %s, however its signature is spelled", async (_, jti) => {
    const token = tokenOf({ jti });
    const signingInput = token.slice(0, token.lastIndexOf("."));
    const again = `${signingInput}.${signatureOf(key, signingInput)}`;
    expect(again).not.toBe(token);
    expect(await spentAs(token, "absent")).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await spentAs(again, "absent")).toBe(await spentAs(token, "absent"));
    expect(await spentAs(token, "required")).toBe("token-claim");
  });
});
