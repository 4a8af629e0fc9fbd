import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BrokerError, codes } from "../../src/errors.ts";
import { badTokens } from "./bad-tokens/all.ts";
import { rows } from "./bad-tokens/bad-token.ts";
import { goodTokens } from "./bad-tokens/good.ts";
import { openStage, type Stage } from "./bad-tokens/stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
}, 60_000);
afterAll(() => stage[Symbol.asyncDispose]());

async function refusal(token: string): Promise<BrokerError> {
  const outcome = await stage.present(token).then(
    (identity) => new Error(`accepted: ${JSON.stringify(identity.claims)}`),
    (error: unknown) => error,
  );
  if (outcome instanceof BrokerError) return outcome;
  throw outcome;
}

describe.each(Object.entries(rows))("%s", (row, { attack, fewest }) => {
  const tokens = badTokens.filter((token) => token.row === row);

  it.each(tokens)(`${attack}: $name`, async ({ make, code }) => {
    const error = await refusal(make(stage));
    expect({ code: error.code, message: error.message }).toEqual({ code, message: codes[code] });
    expect(error.cause).toBeUndefined();
    // Whoever cannot sign learns nothing about what would have passed; an issuer that is away is another matter.
    expect(error.hint).toBe(code === "issuer-unavailable" ? "try again in a minute" : undefined);
  });

  it(`has at least ${fewest} different tokens`, () => {
    expect(new Set(tokens.map(({ name }) => name)).size).toBeGreaterThanOrEqual(fewest);
  });
});

describe("beside them", () => {
  it.each(goodTokens)("$name is accepted", async ({ make, trust }) => {
    await expect(stage.present(make(stage))).resolves.toMatchObject({ trust });
  });

  it("nobody connected to where a token wanted to be fetched from, and nothing else was asked for", () => {
    expect({ connections: stage.connections(), fetches: stage.fetches() }).toEqual({ connections: 0, fetches: 0 });
  });
});
