import { describe, expect, it } from "vitest";
import { createVerifier } from "../../src/identity/verify.ts";
import { verifyWith } from "../prove/identity/mutated.ts";
import { operators } from "../prove/identity/operators.ts";
import { sources, tokenOf } from "../prove/identity/sources.ts";
import { twinOf } from "../prove/identity/twin.ts";

/** A few of each, everyday; `npm run prove -- identity` tries a hundred thousand. */
const tries = 10;

const verify = verifyWith(createVerifier);

/** mulberry32's little brother: the same choices in every run. */
function choices(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe.each(sources.map((source) => [source.name, source] as const))("a token of %s", (_, source) => {
  it("is accepted as it is", async () => {
    await expect(verify(tokenOf(source))).resolves.toMatchObject({ issuer: source.name });
  });

  it.each(operators)("is refused with %s", async (_, operator) => {
    const random = choices(1);
    for (let nth = 0; nth < tries; nth++) {
      const token = tokenOf(source);
      const changed = operator({ source, token, other: tokenOf(source) }, random);
      if (changed !== token) await expect(verify(changed), changed).resolves.toBeUndefined();
    }
  });
});

it("an ECDSA signature's twin (r, n - s) is the same token: accepted, and spent under the same key", async () => {
  for (const source of sources.filter(({ key }) => key.alg === "ES256")) {
    const token = tokenOf(source);
    const [original, twin] = [await verify(token), await verify(twinOf(token))];
    expect(twin?.token.key).toBe(original?.token.key);
    expect(twin).toBeDefined();
  }
});
