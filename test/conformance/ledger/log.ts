import { describe, expect, test } from "vitest";
import type { Event } from "../../../src/ledger/entry.ts";
import type { Ledger } from "../../../src/ledger/ledger.ts";
import { verifyReceipt } from "../../../src/ledger/receipt.ts";
import { verifyLog } from "../../../src/ledger/verify.ts";
import {
  anIntent,
  aRenewal,
  aRun,
  aSession,
  denied,
  egress,
  failed,
  issued,
  noon,
  observed,
  opening,
  read,
  runEnded,
  sha256,
  within,
} from "../../ledger/fixture.ts";
import { begin, type LedgerUnderTest } from "./under-test.ts";

/** The log itself, what is looked up in it, and what is kept out of it. */
export function logPromises(under: () => LedgerUnderTest): void {
  const ledger = () => under().ledger;

  describe("the log", () => {
    test("gives entries gapless indexes and keeps them over a restart", async () => {
      const first = await ledger().append([read("a"), read("b")]);
      await under().restart();
      const second = await ledger().append([read("c")]);
      expect([...first, ...second].map(({ index }) => index)).toEqual([0, 1, 2]);
      expect(await ledger().entries({ limit: 10 })).toEqual([...first, ...second]);
    });

    test("is of no entries at first, and still has a checkpoint that verifies", async () => {
      const { size, verifierKey } = await ledger().status();
      const leaves = await ledger().leaves(0, 10);
      expect(await verifyLog({ leaves, checkpoint: await ledger().checkpoint(), vkey: verifierKey })).toMatchObject({
        ok: true,
        size,
      });
      expect([size, leaves]).toEqual([0, []]);
    });

    test("never goes back in time, whatever the clock does", async () => {
      under().clock.advance(-3_600_000);
      const [early] = await ledger().append([read("early")]);
      under().clock.advance(7_200_000);
      const [late] = await ledger().append([read("late")]);
      under().clock.advance(-7_200_000);
      const [after] = await ledger().append([read("after")]);
      expect([early?.time, late?.time, after?.time]).toEqual([noon - 3_600_000, noon + 3_600_000, noon + 3_600_000]);
    });

    test("writes all of an append or nothing", async () => {
      const { leases } = await begin(ledger());
      const lease = String(leases[0]);
      const before = await ledger().status();
      await expect(ledger().append([issued(lease), read("x"), failed(lease)])).rejects.toMatchObject({ code: "lease-state" });
      expect((await ledger().status()).size).toBe(before.size);
      expect((await ledger().openLeases())[0]?.state).toBe("intent");
    });

    test("keeps one hostile text in one entry, byte for byte", async () => {
      const what = 'line\nline\r\u001b[2J{"v":1}\u2028\u0000\ud800 \u{1f4a9} __proto__';
      await ledger().append([read(what)]);
      const [entry] = await ledger().entries({ limit: 1 });
      expect(entry?.event).toEqual(read(what));
    });

    test.each<[string, Event]>([
      ["a session", aSession().event],
      ["a run", aRun({ session: within("s") }).run],
      ["a renewal", aRenewal("s", "r").event],
      ["an intent", anIntent("l", "r")],
      ["a fence", { kind: "fence-raised", scope: "x", fence: 9, closed: true, who: "me", why: "so" }],
      [
        "a fraction, which no reader would take",
        { kind: "run-ended", run: "r", outcome: "exited", exitCode: 0.5, code: null, peakMemory: null },
      ],
      ["an empty id, which no reader would take", { ...denied(1), denial: "" }],
    ])("refuses to append %s", async (_, event) => {
      await expect(ledger().append([event])).rejects.toMatchObject({ code: "internal" });
      expect((await ledger().status()).size).toBe(0);
    });

    test("takes many appends at once, each with its own place", async () => {
      const appended = await Promise.all(Array.from({ length: 200 }, (_, n) => ledger().append([read(`${n}`), read(`${n}+`)])));
      const places = appended.flat().map(({ index }) => index);
      expect(new Set(places)).toEqual(new Set(Array.from({ length: 400 }, (_, n) => n)));
      expect(appended.every(([one, two]) => Number(one?.index) + 1 === two?.index)).toBe(true);
    });

    test("lets one bad request of many fail alone", async () => {
      const outcomes = await Promise.allSettled([
        ledger().append([read("a")]),
        ledger().append([failed("no such lease")]),
        ledger().append([read("b")]),
      ]);
      expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
      expect((await ledger().status()).size).toBe(2);
    });
  });
  describe("a flood of denials", () => {
    test("is recorded in full up to the limit, then counted, for each peer by itself", async () => {
      for (let n = 0; n < 100; n++) await ledger().append([denied(1)]);
      await ledger().append([denied(2)]);
      under().clock.advance(60_000);
      await ledger().append([read("later")]);
      await ledger().append([denied(1)]);
      const peers = (await ledger().entries({ limit: 500, kinds: ["denied"] })).map(
        ({ event }) => event.kind === "denied" && event.peer.uid,
      );
      expect(peers.filter((peer) => peer === 1)).toHaveLength(61);
      expect(peers.filter((peer) => peer === 2)).toHaveLength(1);
      const counted = await ledger().entries({ limit: 9, kinds: ["denials-counted"] });
      expect(counted.map(({ event }) => event)).toEqual([
        { kind: "denials-counted", peer: 1, count: 40, from: noon, to: noon + 60_000 },
      ]);
    });

    test("is counted when the ledger closes, too", async () => {
      await ledger().append(Array.from({ length: 63 }, () => denied(1)));
      await under().restart();
      expect((await ledger().entries({ limit: 9, kinds: ["denials-counted"] }))[0]?.event).toMatchObject({ count: 3 });
    });

    test("cannot fill the disk with one long denial either", async () => {
      await ledger().append([{ ...denied(1), message: "x".repeat(100_000), trace: ["y".repeat(1_000_000)] }]);
      const [leaf] = await ledger().leaves(0, 1);
      expect(leaf?.length).toBeLessThan(2_500);
    });

    test("nor with one whose claims, ids and names are all as long as can be", async () => {
      const long = "\u{1f4a9}".repeat(20_000);
      const ids = { subject: long, workload: long, job: long, asked: long, step: long };
      await ledger().append([{ ...denied(1), ...ids, message: "\0".repeat(20_000), claims: { sub: "x".repeat(16_000) } }]);
      await ledger().append([{ ...denied(1), ...ids, claims: { sub: long }, trace: [long] }]);
      const [kept, cut] = await ledger().leaves(0, 2);
      expect(kept?.length).toBeLessThan(50_000);
      expect(cut?.length).toBeLessThan(25_000);
    });
  });
  describe("policy texts", () => {
    test("are kept by their own digest only", async () => {
      const text = "version: 1\n";
      await ledger().storePolicy({ digest: sha256(text), text });
      await ledger().storePolicy({ digest: sha256(text), text });
      await under().restart();
      expect(await ledger().policyText(sha256(text))).toBe(text);
      expect(await ledger().policyText(sha256("other"))).toBeUndefined();
      await expect(ledger().storePolicy({ digest: sha256("other"), text })).rejects.toMatchObject({ code: "policy-invalid" });
    });
  });
  describe("looking things up", () => {
    test("entries are found by what they are about, by kind, and from either end", async () => {
      const one = await begin(ledger(), { leases: ["a"], session: opening(aSession({ workload: "w1" })) });
      await begin(ledger(), { leases: ["b"], session: opening(aSession({ workload: "w2" })) });
      const observation = { ...observed("o1"), workload: "w1" };
      const denial = { ...denied(7, "d1"), workload: "w1" };
      await ledger().append([issued("a"), issued("b"), denial, observation, runEnded(one.run), egress(one.run)]);
      await ledger().raiseFence({ scope: "w1", closed: true, who: "ada", why: "drill" });
      const kinds = async (query: Parameters<Ledger["entries"]>[0]) =>
        (await ledger().entries(query)).map(({ event }) => event.kind);
      const whole = ["session-opened", "run-opened", "intent", "issued", "run-ended", "egress"];
      expect(await kinds({ limit: 20, about: one.session })).toEqual(whole);
      expect(await kinds({ limit: 20, about: one.run })).toEqual(whole.slice(1));
      expect(await kinds({ limit: 20, about: "a" })).toEqual(["intent", "issued"]);
      expect(await kinds({ limit: 20, about: "d1" })).toEqual(["denied"]);
      expect(await kinds({ limit: 20, about: "o1" })).toEqual(["observed"]);
      expect(await kinds({ limit: 20, about: "w1" })).toEqual([
        "session-opened",
        "run-opened",
        "intent",
        "issued",
        "denied",
        "observed",
        "run-ended",
        "egress",
        "fence-raised",
      ]);
      expect(await kinds({ limit: 20, about: "w1", kinds: ["denied", "issued"], newestFirst: true })).toEqual([
        "denied",
        "issued",
      ]);
      expect(await kinds({ limit: 20, kinds: ["intent"] })).toEqual(["intent", "intent"]);
      expect(await kinds({ limit: 20, about: "nobody" })).toEqual([]);
      expect((await ledger().entries({ limit: 2, from: 3 })).map(({ index }) => index)).toEqual([3, 4]);
      expect((await ledger().entries({ limit: 2, from: 3, newestFirst: true })).map(({ index }) => index)).toEqual([3, 2]);
    });

    test("each entry has a receipt that verifies offline, and one beyond the end has none", async () => {
      const { verifierKey, origin } = await ledger().status();
      for (let n = 0; n < 20; n++) {
        const [entry] = await ledger().append([read(`${n}`)]);
        for (let index = 0; index <= n; index++) {
          const verified = verifyReceipt(await ledger().receipt(index), verifierKey);
          expect(verified).toMatchObject({ origin, size: n + 1, entry: { index } });
        }
        expect(verifyReceipt(await ledger().receipt(n), verifierKey).entry).toEqual(entry);
      }
      for (const index of [20, -1, 0.5]) await expect(ledger().receipt(index)).rejects.toMatchObject({ code: "entry-unknown" });
    });
  });
}
