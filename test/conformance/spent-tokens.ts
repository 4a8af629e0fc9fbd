import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SpentToken } from "../../src/ledger/ledger.ts";
import type { SpentTokens } from "../../src/ledger/spent-tokens.ts";

/** A store under test: `open` gives one broker's own way to it, under an origin of its own. */
export interface StoreUnderTest extends AsyncDisposable {
  open(origin: string): Promise<SpentTokens>;
  /** Everything that the store holds, as text, and nothing else. */
  contents(): Promise<string>;
}

/** What every store of spent tokens must do. */
export function spentTokensConformance(name: string, start: () => Promise<StoreUnderTest>): void {
  describe(`${name} keeps the promises of a store of spent tokens`, () => {
    let under: StoreUnderTest;
    let one: SpentTokens;
    let other: SpentTokens;
    beforeAll(async () => {
      under = await start();
      [one, other] = await Promise.all([under.open("brokers.test/one"), under.open("brokers.test/other")]);
    });
    afterAll(async () => {
      await Promise.all([one, other].map((store) => store[Symbol.asyncDispose]()));
      await under[Symbol.asyncDispose]();
    });

    let count = 0;
    const aToken = (parts: Partial<SpentToken> = {}): SpentToken => {
      count += 1;
      return {
        key: `jti:https%3A//ci.test:${count}`,
        session: `session-${count}`,
        forgetAfter: Date.now() + 3_600_000,
        ...parts,
      };
    };
    const again = (token: SpentToken): SpentToken => aToken({ key: token.key });
    const isFree = async (token: SpentToken, to: SpentTokens = other): Promise<boolean> => {
      const probe = again(token);
      const outcome = await to.claim(probe).then(
        () => true,
        (error: { readonly code: string }) => {
          expect(error.code).toBe("token-spent");
          return false;
        },
      );
      if (outcome) await to.withdraw(probe);
      return outcome;
    };

    test("a token is claimed once, whoever asks again", async () => {
      const token = aToken();
      await one.claim(token);
      for (const store of [one, other]) await expect(store.claim(again(token))).rejects.toMatchObject({ code: "token-spent" });
      expect(await isFree(aToken())).toBe(true);
    });

    test("of fifty claims at once from two brokers, one wins", async () => {
      const token = aToken();
      const race = await Promise.allSettled(
        Array.from({ length: 50 }, (_, n) => (n % 2 === 0 ? one : other).claim(again(token))),
      );
      expect(race.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      const reasons = race.flatMap((outcome) =>
        outcome.status === "rejected" ? [outcome.reason as { readonly code: string }] : [],
      );
      expect(new Set(reasons.map(({ code }) => code))).toEqual(new Set(["token-spent"]));
    });

    type Story = (token: SpentToken) => Promise<unknown>;
    test.each<readonly [string, "free" | "spent", Story]>([
      ["withdrawn by its broker", "free", (token) => one.withdraw(token)],
      ["withdrawn for another session", "spent", (token) => one.withdraw(again(token))],
      ["withdrawn by another broker", "spent", (token) => other.withdraw(token)],
      ["confirmed, and then withdrawn", "spent", async (token) => [await one.confirm([token]), await one.withdraw(token)]],
      ["of a session that is released", "free", (token) => one.release(["none", token.session])],
      [
        "confirmed, of a session that is released",
        "free",
        async (token) => [await one.confirm([token]), await one.release([token.session])],
      ],
      ["of a session that another broker releases", "spent", (token) => other.release([token.session])],
      ["unconfirmed, when all such are freed", "free", () => one.releaseUnconfirmed([])],
      ["unconfirmed, but in flight", "spent", (token) => one.releaseUnconfirmed(["none", token.session])],
      [
        "confirmed, when all unconfirmed are freed",
        "spent",
        async (token) => [await one.confirm([token]), await one.releaseUnconfirmed([])],
      ],
      ["unconfirmed, when another broker frees its own", "spent", () => other.releaseUnconfirmed([])],
      [
        "confirmed by a broker that did not claim it, which then frees its own",
        "spent",
        async (token) => [
          await other.confirm([token]),
          await other.releaseUnconfirmed([]),
          await other.release([token.session]),
        ],
      ],
    ])("a token that was claimed and then %s is %s", async (_, end, story) => {
      const token = aToken();
      await one.claim(token);
      await story(token);
      expect(await isFree(token)).toBe(end === "free");
    });

    test("what is confirmed without a claim is claimed by it, and nobody else's claim is taken over", async () => {
      const [known, lost] = [aToken(), aToken()];
      await other.claim(known);
      await one.confirm([again(known), lost]);
      expect(await isFree(lost)).toBe(false);
      await one.releaseUnconfirmed([]);
      expect([await isFree(lost), await isFree(known, one)]).toEqual([false, false]);
      await other.withdraw(known);
      expect(await isFree(known, one)).toBe(true);
    });

    test("all may be said again, and of nothing at all", async () => {
      const token = aToken();
      await one.claim(token);
      await one.confirm([token]);
      await one.confirm([token]);
      await one.confirm([]);
      await one.release([]);
      expect(await isFree(token)).toBe(false);
      await one.release([token.session]);
      await one.release([token.session]);
      await one.withdraw(token);
      expect(await isFree(token)).toBe(true);
    });

    test("a token is forgotten once both clocks have called it over for a day, and not before", async () => {
      const day = 86_400_000;
      const [over, good] = [
        aToken({ forgetAfter: Date.now() - day - 60_000 }),
        aToken({ forgetAfter: Date.now() - day + 60_000 }),
      ];
      await one.confirm([over, good]);
      await one.forget(Date.now() - 120_000);
      expect([await isFree(over), await isFree(good)]).toEqual([false, false]);
      await other.forget(Date.now() + day);
      expect([await isFree(over), await isFree(good)]).toEqual([true, false]);
    });

    test("ten thousand tokens are confirmed in one go", async () => {
      const tokens = Array.from({ length: 10_000 }, () => aToken());
      await one.confirm(tokens);
      expect(await isFree(tokens[9_999] ?? aToken())).toBe(false);
      await one.release(tokens.map(({ session }) => session));
    });

    test("no token can be read back from it, only the digest of its key", async () => {
      const token = aToken({ key: "jti:https%3A//ci.test:a-very-telling-id" });
      await one.claim(token);
      const contents = await under.contents();
      expect(contents).toContain(createHash("sha256").update(token.key).digest("hex"));
      expect(contents).toContain(token.session);
      expect(contents).not.toContain("telling");
      expect(contents).not.toContain("ci.test:");
    });
  });
}
