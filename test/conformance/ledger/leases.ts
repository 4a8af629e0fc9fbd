import { describe, expect, test } from "vitest";
import type { Ledger } from "../../../src/ledger/ledger.ts";
import {
  aSession,
  delivered,
  exposed,
  issued,
  noon,
  opening,
  revocationFailed,
  revoked,
  runEnded,
  unknown,
} from "../../ledger/fixture.ts";
import { begin, type LedgerUnderTest } from "./under-test.ts";

/** What is alive, and what a restarted broker must end. */
export function leasesPromises(under: () => LedgerUnderTest): void {
  const ledger = () => under().ledger;

  describe("leases", () => {
    test("are open from intent to end, oldest first, with all that a restarted broker needs", async () => {
      const { run, session } = await begin(ledger(), { leases: ["a", "b", "c", "d", "e"] });
      await ledger().append([issued("b"), issued("c"), delivered("c"), unknown("d"), issued("e"), revoked("e")]);
      await under().restart();
      const open = await ledger().openLeases();
      expect(open.map(({ lease, state }) => [lease, state])).toEqual([
        ["a", "intent"],
        ["b", "issued"],
        ["c", "delivered"],
        ["d", "unknown"],
      ]);
      expect(open[1]).toEqual({
        lease: "b",
        as: "broker",
        run,
        session,
        template: "deploy/staging",
        workload: "shop/web",
        credential: "db",
        provider: "vault-main",
        options: { path: "database/creds/shop" },
        state: "issued",
        ending: "revoke",
        handle: { lease_id: "l/1" },
        openedAt: noon,
        unknownAt: null,
        expiresAt: noon + 600_000,
        latestExpiry: noon + 600_000,
        attempts: 0,
        nextAttempt: noon,
      });
    });

    test("keep when they became unknown, however long after their intent", async () => {
      await begin(ledger(), { leases: ["a", "b"] });
      under().clock.advance(30_000);
      await ledger().append([unknown("a")]);
      under().clock.advance(30_000);
      await ledger().append([revocationFailed("a")]);
      await under().restart();
      const open = await ledger().openLeases();
      expect(open.map(({ lease, openedAt, unknownAt }) => [lease, openedAt, unknownAt])).toEqual([
        ["a", noon, noon + 30_000],
        ["b", noon, null],
      ]);
    });

    test("keep how often ending them was tried, and when to try again", async () => {
      await begin(ledger(), { leases: ["a"] });
      await ledger().append([issued("a"), revocationFailed("a", 1)]);
      await ledger().append([revocationFailed("a", 2)]);
      await ledger().postpone("a", noon + 5_000);
      await under().restart();
      expect(await ledger().dueLeases({ by: noon + 4_999, longestPause: 60_000 })).toEqual([]);
      expect(await ledger().dueLeases({ by: noon + 5_000, longestPause: 60_000 })).toHaveLength(1);
      // Set by a clock that has gone back since: an hour, or to before the lease was opened.
      expect(await ledger().dueLeases({ by: noon - 3_600_000, longestPause: 60_000 })).toHaveLength(1);
      expect((await ledger().openLeases())[0]).toMatchObject({ attempts: 2, nextAttempt: noon + 5_000, state: "issued" });
      await expect(ledger().postpone("none", noon)).rejects.toMatchObject({ code: "lease-unknown" });
    });

    test("are listed newest first, by state and by workload", async () => {
      await begin(ledger(), { leases: ["a", "b"], session: opening(aSession({ workload: "w1" })) });
      await begin(ledger(), { leases: ["c", "d"], session: opening(aSession({ workload: "w2" })) });
      await ledger().append([issued("a"), issued("b"), exposed("b"), issued("d")]);
      const ids = async (query: Parameters<Ledger["leases"]>[0]) => (await ledger().leases(query)).map(({ lease }) => lease);
      expect(await ids({ limit: 9 })).toEqual(["d", "c", "b", "a"]);
      expect(await ids({ limit: 2 })).toEqual(["d", "c"]);
      expect(await ids({ limit: 9, state: "issued" })).toEqual(["d", "a"]);
      expect(await ids({ limit: 9, state: "live" })).toEqual(["d", "c", "a"]);
      expect(await ids({ limit: 9, state: "live", workload: "w1" })).toEqual(["a"]);
      expect(await ids({ limit: 0 })).toEqual([]);
    });

    test("move only as they may", async () => {
      await begin(ledger(), { leases: ["a"] });
      await expect(ledger().append([delivered("a")])).rejects.toMatchObject({
        code: "lease-state",
        message: "lease a is intent, so it cannot become delivered",
      });
      await expect(ledger().append([delivered("none")])).rejects.toMatchObject({ code: "lease-unknown" });
    });
  });
  describe("runs", () => {
    test("are open until they end, once", async () => {
      const { run } = await begin(ledger());
      const other = await begin(ledger());
      expect(await ledger().openRuns()).toEqual([run, other.run]);
      await ledger().append([runEnded(run)]);
      await under().restart();
      expect(await ledger().openRuns()).toEqual([other.run]);
      await expect(ledger().append([runEnded(run)])).rejects.toMatchObject({ code: "internal" });
      await expect(ledger().append([runEnded("none")])).rejects.toMatchObject({ code: "internal" });
    });
  });
}
