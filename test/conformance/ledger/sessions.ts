import { describe, expect, test } from "vitest";
import type { Code } from "../../../src/errors.ts";
import type { Event } from "../../../src/ledger/entry.ts";
import {
  aRun,
  aSession,
  failed,
  issued,
  noon,
  opening,
  type RunParts,
  revoked,
  sha256,
  unknown,
  within,
} from "../../ledger/fixture.ts";
import { begin, type LedgerUnderTest } from "./under-test.ts";

/** Who may begin: sessions, their tokens, and fences. */
export function sessionsPromises(under: () => LedgerUnderTest): void {
  const ledger = () => under().ledger;

  describe("sessions", () => {
    test("open once for a token, are found by their handle's digest, and survive a restart", async () => {
      const session = aSession();
      const record = {
        id: session.id,
        peer: 1000,
        cgroup: "/system.slice/runner-1.service",
        until: session.until,
        provedAt: noon,
        ended: false,
        identity: session.identity,
      };
      expect(await ledger().openSession(session)).toEqual(record);
      await under().restart();
      expect(await ledger().findSession(session.handleDigest)).toEqual(record);
      expect(await ledger().findSession(sha256("another"))).toBeUndefined();
    });

    test("do not open with a token that is spent, not even after a restart or once the session has ended", async () => {
      const spent = aSession({ token: "t" });
      await ledger().openSession(spent);
      await ledger().append([{ kind: "session-ended", session: spent.id, why: "asked" }]);
      await under().restart();
      await expect(ledger().openSession(aSession({ token: "t" }))).rejects.toMatchObject({ code: "token-spent" });
      await expect(begin(ledger(), { session: opening(aSession({ token: "t" })) })).rejects.toMatchObject({
        code: "token-spent",
      });
    });

    test("open for exactly one of many that race with one token", async () => {
      const race = await Promise.allSettled(
        Array.from({ length: 50 }, () => begin(ledger(), { session: opening(aSession({ token: "t" })) })),
      );
      expect(race.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      const codes = race
        .filter((outcome) => outcome.status === "rejected")
        .map(({ reason }) => (reason as { code: Code }).code);
      expect(new Set(codes)).toEqual(new Set(["token-spent"]));
    });

    test("keep a token spent until no clock would accept it, and a clock that ran a little ahead does not free it", async () => {
      await ledger().openSession(aSession({ token: "t" }));
      under().clock.advance(4_000_000);
      await expect(ledger().openSession(aSession({ token: "t" }))).rejects.toMatchObject({ code: "token-spent" });
    });

    test("end once", async () => {
      const session = aSession();
      await ledger().openSession(session);
      const end: Event = { kind: "session-ended", session: session.id, why: "asked" };
      await ledger().append([end]);
      expect((await ledger().findSession(session.handleDigest))?.ended).toBe(true);
      await expect(ledger().append([end])).rejects.toMatchObject({ code: "session-ended" });
      await expect(ledger().append([{ ...end, session: "none" }])).rejects.toMatchObject({ code: "session-unknown" });
    });
  });
  describe("begin", () => {
    test("opens the session, the run and its intents in one go", async () => {
      const run = aRun({ session: opening(aSession()), leases: ["l1", "l2"] });
      const { entries, session, fence } = await ledger().begin(run);
      expect(entries.map(({ event }) => event.kind)).toEqual(["session-opened", "run-opened", "intent", "intent"]);
      expect({ id: session.id, fence }).toEqual({ id: run.run.session, fence: 0 });
      expect(await ledger().openRuns()).toEqual([run.run.run]);
    });

    test("runs again within the session, and not in one that is unknown, over or past its time", async () => {
      const { session } = await begin(ledger());
      await begin(ledger(), { session: within(session) });
      await expect(begin(ledger(), { session: within("none") })).rejects.toMatchObject({ code: "session-unknown" });
      under().clock.advance(3_600_000);
      await expect(begin(ledger(), { session: within(session) })).rejects.toMatchObject({ code: "session-ended" });
      under().clock.advance(-3_600_000);
      await ledger().append([{ kind: "session-ended", session, why: "stale" }]);
      await expect(begin(ledger(), { session: within(session) })).rejects.toMatchObject({ code: "session-ended" });
    });

    test("is refused behind a closed fence, with nothing written and the token not spent", async () => {
      await ledger().raiseFence({ scope: "shop/web", closed: true, who: "ada", why: "leak" });
      const run = aRun({ session: opening(aSession()), scopes: ["everything", "shop/web"] });
      await expect(ledger().begin(run)).rejects.toMatchObject({ code: "fenced" });
      expect((await ledger().status()).size).toBe(1);
      await ledger().raiseFence({ scope: "shop/web", closed: false, who: "ada", why: "fixed" });
      expect((await ledger().begin(run)).fence).toBe(2);
    });

    test("does not take an id twice", async () => {
      const { run, leases, session } = await begin(ledger());
      await expect(begin(ledger(), { run, session: within(session) })).rejects.toMatchObject({ code: "internal" });
      await expect(begin(ledger(), { leases, session: within(session) })).rejects.toMatchObject({ code: "internal" });
    });
  });
  describe("a session that containment reaches", () => {
    const raise = (scope: string, closed: boolean) => ledger().raiseFence({ scope, closed, who: "ada", why: "drill" });
    const scopes = ["all", "workload:shop/web", "job:7", "session:s"];
    const ended = async () => (await ledger().entries({ limit: 9, kinds: ["session-ended"] })).map(({ event }) => event);

    test.each(scopes)("by %s does not open, and its token is not spent", async (scope) => {
      await raise(scope, true);
      const { size } = await ledger().status();
      await expect(ledger().openSession(aSession({ token: "t", scopes }))).rejects.toMatchObject({ code: "fenced" });
      expect([(await ledger().status()).size, await ledger().isSpent("t")]).toEqual([size, false]);
      await raise(scope, false);
      await ledger().openSession(aSession({ token: "t", scopes }));
    });

    test.each(scopes)("by %s is ended with it, so that its handle opens nothing once that is opened again", async (scope) => {
      const session = aSession({ scopes });
      const other = aSession({ scopes: ["workload:shop/api"] });
      for (const each of [session, other]) await ledger().openSession(each);
      await raise(scope, true);
      expect(await ended()).toEqual([{ kind: "session-ended", session: session.id, why: "contained" }]);
      await raise(scope, true);
      await raise(scope, false);
      await under().restart();
      expect((await ledger().findSession(session.handleDigest))?.ended).toBe(true);
      expect((await ledger().findSession(other.handleDigest))?.ended).toBe(false);
      await expect(begin(ledger(), { session: within(session.id) })).rejects.toMatchObject({ code: "session-ended" });
      await begin(ledger(), { session: within(other.id) });
      expect(await ended()).toHaveLength(1);
    });

    test("is not ended when a scope is opened, nor when its own time is over", async () => {
      await ledger().openSession(aSession({ scopes }));
      await raise("all", false);
      under().clock.advance(3_600_000);
      await raise("all", true);
      under().clock.advance(-3_600_000);
      expect(await ended()).toEqual([]);
    });
  });
  describe("fences", () => {
    test("rise together, so that the highest over some scopes tells whether any of them was raised since", async () => {
      const raise = (scope: string, closed: boolean) => ledger().raiseFence({ scope, closed, who: "ada", why: "drill" });
      expect([await raise("a", true), await raise("b", false), await raise("a", false)]).toEqual([1, 2, 3]);
      await under().restart();
      expect(await ledger().fence(["a", "b", "c"])).toEqual({ fence: 3, closed: false });
      expect(await ledger().fence(["b"])).toEqual({ fence: 2, closed: false });
      expect(await ledger().fence(["c"])).toEqual({ fence: 0, closed: false });
      expect(await ledger().fence([])).toEqual({ fence: 0, closed: false });
      await raise("c", true);
      expect(await ledger().fence(["b", "c"])).toEqual({ fence: 4, closed: true });
    });
  });
  describe("a token is free again", () => {
    type Story = (session: ReturnType<typeof aSession>) => Promise<unknown>;
    const run = (leases: readonly string[], session: RunParts["session"], optional: readonly string[] = []) =>
      ledger().begin(aRun({ leases, session, optional }));
    const stories: readonly (readonly [string, "freed" | "spent", Story])[] = [
      [
        "once all intents of its only run have failed",
        "freed",
        async (s) => {
          await run(["a", "b"], opening(s));
          await ledger().append([failed("a")]);
          await ledger().append([failed("b")]);
        },
      ],
      [
        "once all intents have failed in one append",
        "freed",
        async (s) => {
          await run(["a", "b"], opening(s));
          await ledger().append([failed("a"), failed("b")]);
        },
      ],
      [
        "once what is optional has failed with the rest of its set",
        "freed",
        async (s) => {
          await run(["a", "b"], opening(s), ["b"]);
          await ledger().append([failed("a")]);
          await ledger().append([failed("b")]);
        },
      ],
      [
        "not when all that failed was optional: its run goes on",
        "spent",
        async (s) => {
          await run(["a", "b"], opening(s), ["a", "b"]);
          await ledger().append([failed("a"), failed("b")]);
        },
      ],
      [
        "not while one intent is open",
        "spent",
        async (s) => {
          await run(["a", "b"], opening(s));
          await ledger().append([failed("a")]);
        },
      ],
      [
        "not when one intent is unknown",
        "spent",
        async (s) => {
          await run(["a", "b"], opening(s));
          await ledger().append([failed("a"), unknown("b")]);
        },
      ],
      [
        "not when an unknown one turns out to have failed",
        "spent",
        async (s) => {
          await run(["a"], opening(s));
          await ledger().append([unknown("a")]);
          await ledger().append([failed("a")]);
        },
      ],
      [
        "not when one was issued",
        "spent",
        async (s) => {
          await run(["a", "b"], opening(s));
          await ledger().append([issued("a"), revoked("a"), failed("b")]);
        },
      ],
      [
        "not when the session had a second run",
        "spent",
        async (s) => {
          await run(["a"], opening(s));
          await run([], within(s.id));
          await ledger().append([failed("a")]);
        },
      ],
      [
        "not by a run in a session that was opened by itself",
        "spent",
        async (s) => {
          await ledger().openSession(s);
          await run(["a"], within(s.id));
          await ledger().append([failed("a")]);
        },
      ],
      [
        "not when the session ended before",
        "spent",
        async (s) => {
          await run(["a"], opening(s));
          await ledger().append([{ kind: "session-ended", session: s.id, why: "contained" }]);
          await ledger().append([failed("a")]);
        },
      ],
    ];
    test.each(stories)("%s", async (_, end, story) => {
      const session = aSession();
      await story(session);
      const ends = (await ledger().entries({ limit: 9, kinds: ["session-ended"] })).map(({ event }) => event);
      const unspent = { kind: "session-ended", session: session.id, why: "unspent" };
      expect(ends.filter((event) => event.kind === "session-ended" && event.why === "unspent")).toEqual(
        end === "freed" ? [unspent] : [],
      );
      const again = aSession({ token: session.token.key });
      const outcome = await ledger()
        .openSession(again)
        .then(
          () => "freed",
          (error: { readonly code: Code }) => error.code,
        );
      expect(outcome).toBe(end === "freed" ? "freed" : "token-spent");
    });
  });
}
