import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Code } from "../../../src/errors.ts";
import type { Event } from "../../../src/ledger/entry.ts";
import { aRenewal, aRun, aSession, denied, failed, issued, noon, opening, runEnded, within } from "../../ledger/fixture.ts";
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

    test("proves its session from then on, for a run that goes on and for one that is about to begin", async () => {
      const opened = aSession();
      const { session, run } = await begin(ledger(), { session: opening(opened) });
      const provedAt = async () => (await ledger().findSession(opened.handleDigest))?.provedAt;
      expect(await provedAt()).toBe(noon);
      for (const [about, span] of [
        [run, 1_000],
        [null, 2_000],
      ] as const) {
        under().clock.advance(1_000);
        expect(await ledger().renew(aRenewal(session, about))).toMatchObject({ id: session, provedAt: noon + span });
        expect(await provedAt()).toBe(noon + span);
      }
      under().clock.advance(-2_000);
      expect((await ledger().begin(aRun({ session: within(session) }))).session.provedAt).toBe(noon + 2_000);
    });

    test("with a token that renewed this session before is the same proof again: no entry, and none newer", async () => {
      const { session, run } = await begin(ledger());
      const other = await begin(ledger(), { session: within(session) });
      await ledger().renew(aRenewal(session, run, "fresh"));
      const { size } = await ledger().status();
      under().clock.advance(1_000);
      for (const about of [run, other.run, null])
        expect(await ledger().renew(aRenewal(session, about, "fresh"))).toMatchObject({ id: session, provedAt: noon });
      under().clock.advance(-1_000);
      expect((await ledger().status()).size).toBe(size);
    });

    test("of fifty with one token, by two runs of a session, is one entry, and every one is told so", async () => {
      const { session, run } = await begin(ledger());
      const other = await begin(ledger(), { session: within(session) });
      const runs = Array.from({ length: 50 }, (_, n) => (n % 2 === 0 ? run : other.run));
      await Promise.all(runs.map((about) => ledger().renew(aRenewal(session, about, "fresh"))));
      expect(await kindsAbout(session)).toHaveLength(1);
    });

    test("with one token is good for one of fifty sessions that race with it", async () => {
      const begun = await Promise.all(Array.from({ length: 50 }, () => begin(ledger())));
      const race = await Promise.allSettled(begun.map(({ session, run }) => ledger().renew(aRenewal(session, run, "fresh"))));
      expect(race.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    });

    test("of a run that goes on is good past its session's time, and one for a new run is not", async () => {
      const { session, run } = await begin(ledger());
      under().clock.advance(3_600_000);
      await ledger().renew(aRenewal(session, run));
      await expect(ledger().renew(aRenewal(session, null))).rejects.toMatchObject({ code: "session-ended" });
      under().clock.advance(-3_600_000);
    });

    const scopes = ["everything", "shop/web"];
    const raised = (closed: boolean) => ledger().raiseFence({ scope: "shop/web", closed, who: "ada", why: "drill" });
    test.each<[string, () => Promise<unknown>]>([
      ["a fence that is closed", () => raised(true)],
      ["a fence that was raised and opened again", async () => [await raised(true), await raised(false)]],
    ])("does not pass %s, not even with a token that renewed before", async (_, contain) => {
      const { session, run } = await begin(ledger(), { scopes });
      await ledger().renew({ ...aRenewal(session, run, "fresh"), scopes });
      await contain();
      for (const token of ["fresh", "fresher"])
        for (const about of [run, null]) {
          const renewal = { ...aRenewal(session, about, token), scopes, fence: 0 };
          await expect(ledger().renew(renewal)).rejects.toMatchObject({ code: "fenced" });
        }
      expect(await ledger().isSpent("fresher")).toBe(false);
    });

    type Story = (at: { readonly session: string; readonly run: string }) => unknown;
    test.each<[string, Code, Story]>([
      ["with a token that opened another session", "token-spent", () => ledger().openSession(aSession({ token: "fresh" }))],
      [
        "with a token that renewed another session",
        "token-spent",
        async () => {
          const { session, run } = await begin(ledger());
          await ledger().renew(aRenewal(session, run, "fresh"));
        },
      ],
      ["of a session that has ended", "session-ended", ({ session }) => ledger().append([ended(session)])],
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
    test("are known as such one by one, whatever they were spent for", async () => {
      const spent = async () => Promise.all(["a", "b", "c"].map((key) => ledger().isSpent(key)));
      expect(await spent()).toEqual([false, false, false]);
      const { session, run, leases } = await begin(ledger(), { session: opening(aSession({ token: "a" })) });
      await ledger().renew(aRenewal(session, run, "b"));
      await under().restart();
      expect(await spent()).toEqual([true, true, false]);
      await ledger().append(leases.map(failed));
      expect(await spent()).toEqual([false, false, false]);
    });

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
