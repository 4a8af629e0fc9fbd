import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Code } from "../../../src/errors.ts";
import type { Event } from "../../../src/ledger/entry.ts";
import { aRenewal, aSession, denied, failed, issued, noon, opening, runEnded, within } from "../../ledger/fixture.ts";
import { begin, type LedgerUnderTest } from "./under-test.ts";

/** What goes on while a run lasts: fresh tokens, and deliveries that a fence can still stop. */
export function renewalsPromises(under: () => LedgerUnderTest): void {
  const ledger = () => under().ledger;
  const kindsAbout = async (about: string) =>
    (await ledger().entries({ limit: 9, about, kinds: ["identity-renewed"] })).map(({ event }) => event);

  describe("a renewal", () => {
    test("spends its token under the session, and is found by session, run and workload", async () => {
      const { session, run } = await begin(ledger());
      const renewal = aRenewal(session, run, "fresh");
      await ledger().renew(renewal);
      for (const about of [session, run, "shop/web"]) expect(await kindsAbout(about)).toEqual([renewal.event]);
      await under().restart();
      await expect(ledger().openSession(aSession({ token: "fresh" }))).rejects.toMatchObject({ code: "token-spent" });
    });

    test("takes a token once, of fifty that race with it", async () => {
      const { session, run } = await begin(ledger());
      const race = await Promise.allSettled(Array.from({ length: 50 }, () => ledger().renew(aRenewal(session, run, "fresh"))));
      expect(race.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    });

    type Story = (at: { readonly session: string; readonly run: string }) => unknown;
    test.each<[string, Code, Story]>([
      ["with a token that opened another session", "token-spent", () => ledger().openSession(aSession({ token: "fresh" }))],
      [
        "with a token that renewed before",
        "token-spent",
        ({ session, run }) => ledger().renew(aRenewal(session, run, "fresh")),
      ],
      ["of a session that has ended", "session-ended", ({ session }) => ledger().append([ended(session)])],
      ["of a session past its time", "session-ended", () => under().clock.advance(3_600_000)],
      ["of a run that has ended", "session-ended", ({ run }) => ledger().append([runEnded(run)])],
    ])("%s is refused, and nothing is written", async (_, code, story) => {
      const { session, run } = await begin(ledger());
      await story({ session, run });
      const { size } = await ledger().status();
      await expect(ledger().renew(aRenewal(session, run, "fresh"))).rejects.toMatchObject({ code });
      expect((await ledger().status()).size).toBe(size);
    });

    test("with the token that opened the session is refused", async () => {
      const opened = aSession();
      const { session, run } = await begin(ledger(), { session: opening(opened) });
      await expect(ledger().renew(aRenewal(session, run, opened.token.key))).rejects.toMatchObject({ code: "token-spent" });
    });

    test("of another session's run, or of one that nobody knows, is refused", async () => {
      const [one, other] = [await begin(ledger()), await begin(ledger())];
      await expect(ledger().renew(aRenewal(one.session, other.run))).rejects.toMatchObject({ code: "session-ended" });
      await expect(ledger().renew(aRenewal(one.session, "none"))).rejects.toMatchObject({ code: "session-ended" });
      await expect(ledger().renew(aRenewal("none", one.run))).rejects.toMatchObject({ code: "session-unknown" });
    });

    test("of a session that came to nothing is free again with it", async () => {
      const { session, run, leases } = await begin(ledger());
      await ledger().renew(aRenewal(session, run, "fresh"));
      await ledger().append(leases.map(failed));
      await ledger().openSession(aSession({ token: "fresh" }));
    });
  });

  describe("spent tokens", () => {
    test("are told page by page, those that renewed with those that opened, until they are freed or would be forgotten", async () => {
      const { session, run } = await begin(ledger(), { session: opening(aSession({ token: "b" })) });
      await ledger().renew(aRenewal(session, run, "c"));
      const freed = await begin(ledger(), { session: opening(aSession({ token: "a" })) });
      const forgetAfter = noon + 3_600_000;
      expect(await ledger().spentTokens({ after: "", limit: 2 })).toEqual([
        { key: "a", session: freed.session, forgetAfter },
        { key: "b", session, forgetAfter },
      ]);
      expect(await ledger().spentTokens({ after: "b", limit: 2 })).toEqual([{ key: "c", session, forgetAfter }]);
      await ledger().append(freed.leases.map(failed));
      const keys = async () => (await ledger().spentTokens({ after: "", limit: 9 })).map(({ key }) => key);
      expect(await keys()).toEqual(["b", "c"]);
      under().clock.advance(3_600_000);
      expect(await keys()).toEqual([]);
      under().clock.advance(-3_600_000);
    });
  });

  describe("a delivery", () => {
    const raise = (closed: boolean) => ledger().raiseFence({ scope: "shop/web", closed, who: "ada", why: "drill" });
    const scopes = ["everything", "shop/web"];

    test("is recorded for every lease at once, when no fence was raised", async () => {
      const leases = [randomUUID(), randomUUID()];
      await begin(ledger(), { leases });
      await ledger().append(leases.map(issued));
      const entries = await ledger().deliver({ leases, scopes, fence: 0 });
      expect(entries.map(({ event }) => event)).toEqual(leases.map((lease) => ({ kind: "delivered", lease })));
      expect((await ledger().openLeases()).map(({ state }) => state)).toEqual(["delivered", "delivered"]);
    });

    test.each<[string, () => Promise<unknown>]>([
      ["a fence that is closed", () => raise(true)],
      ["a fence that was raised and opened again", async () => [await raise(true), await raise(false)]],
    ])("does not pass %s", async (_, contain) => {
      const { leases, session } = await begin(ledger(), { scopes });
      await ledger().append(leases.map(issued));
      await contain();
      await expect(ledger().deliver({ leases, scopes, fence: 0 })).rejects.toMatchObject({ code: "fenced" });
      expect((await ledger().openLeases()).map(({ state }) => state)).toEqual(["issued"]);
      await ledger().append([ended(session)]);
    });

    test("passes a fence that was raised before its run began", async () => {
      await raise(false);
      const { leases } = await begin(ledger(), { scopes });
      await ledger().append(leases.map(issued));
      expect(await ledger().deliver({ leases, scopes, fence: 1 })).toHaveLength(1);
    });

    test("of one lease that was never issued delivers none", async () => {
      const leases = [randomUUID(), randomUUID()];
      await begin(ledger(), { leases });
      await ledger().append(leases.slice(0, 1).map(issued));
      await expect(ledger().deliver({ leases, scopes, fence: 0 })).rejects.toMatchObject({ code: "lease-state" });
      expect((await ledger().openLeases()).map(({ state }) => state)).toEqual(["issued", "intent"]);
    });
  });

  describe("what an entry is about", () => {
    const keys: Event = { kind: "issuer-keys", issuer: "github", change: "first", keys: [], why: null };
    const operated: Event = { kind: "operated", verb: "revoke-lease", about: "lease-1", who: "ada", why: "leak" };
    const denial = denied(1, "denial-1");
    test.each([
      ["an issuer", "issuer:github", keys],
      ["what an operator touched", "lease-1", operated],
      ["a denial", "denial-1", denial],
    ])("%s is found by its name", async (_, about, event) => {
      await begin(ledger(), { session: opening(aSession({ workload: "other" })) });
      await ledger().append([event]);
      expect((await ledger().entries({ limit: 9, about })).map((entry) => entry.event)).toEqual([event]);
    });

    test("a run within a session is found by the session", async () => {
      const { session } = await begin(ledger());
      const { run } = await begin(ledger(), { session: within(session) });
      const about = await ledger().entries({ limit: 9, about: session, kinds: ["run-opened"] });
      expect(about.at(-1)?.event).toMatchObject({ run });
    });
  });
}

const ended = (session: string): Event => ({ kind: "session-ended", session, why: "asked" });
