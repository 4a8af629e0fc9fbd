import { describe, expect, test } from "vitest";
import type { Event } from "../../src/ledger/entry.ts";
import { noteSigner, verifierKey } from "../../src/ledger/note.ts";
import { pagesOf, verifyLog } from "../../src/ledger/verify.ts";
import {
  aRenewal,
  aRun,
  aSession,
  delivered,
  egress,
  failed,
  issued,
  newKey,
  noon,
  origin,
  read,
  revoked,
  runEnded,
  unknown,
  within,
} from "./fixture.ts";
import { begun, leavesOf, run, session, signed, story } from "./signed-log.ts";

const ended = (id: string, why: "asked" | "unspent"): Event => ({ kind: "session-ended", session: id, why });
const fence = (number: number): Event => ({
  kind: "fence-raised",
  scope: "x",
  fence: number,
  closed: true,
  who: "ada",
  why: "drill",
});

describe("a verifier that is given nothing but leaves, checkpoint and key", () => {
  test("finds a true log true, and says what it saw", async () => {
    const report = await verifyLog({ ...signed(leavesOf(story)), now: noon });
    expect(report).toMatchObject({ ok: true, found: 0, findings: [], size: 10, leases: { revoked: 2 } });
  });

  test("finds a token that was freed and spent again true", async () => {
    const again = aSession({ id: "s2", token: "t1" });
    const report = await verifyLog(
      signed(leavesOf([...begun, failed("l1"), failed("l2"), ended("s1", "unspent"), again.event])),
    );
    expect(report.findings).toEqual([]);
  });

  const renewed = (token: string, at = run.run): Event => aRenewal(at.session, at.run, token).event;
  const renewedBefore = (token: string): Event => aRenewal("s1", null, token).event;

  test("finds an identity true that was renewed before a run began", async () => {
    const report = await verifyLog(signed(leavesOf([...begun, runEnded("r1"), renewedBefore("fresh"), runIn("s1", "r2")])));
    expect(report.findings).toEqual([]);
  });

  test("finds a renewed identity true, and its token free again with its session", async () => {
    const again = aSession({ id: "s2", token: "fresh" });
    const report = await verifyLog(
      signed(leavesOf([...begun, renewed("fresh"), failed("l1"), failed("l2"), ended("s1", "unspent"), again.event])),
    );
    expect(report.findings).toEqual([]);
  });

  const other = aSession({ id: "s2", token: "t1" });
  const respent = (token: string): Event => aSession({ id: "s2", token }).event;
  const runIn = (id: string, name: string) => aRun({ run: name, session: within(id), leases: [] }).run;
  test.each<[string, string, number, readonly Event[]]>([
    ["a lease that moves as it cannot", "lease-state", 4, [...begun, delivered("l1")]],
    ["a lease that was never intended", "lease-state", 4, [...begun, issued("l9")]],
    ["a lease that is intended twice", "lease-repeated", 4, [...begun, ...run.intents.slice(0, 1)]],
    ["an intent of no run", "run-unknown", 1, [session.event, ...run.intents.slice(0, 1)]],
    ["a renewal with the session's own token", "token-respent", 4, [...begun, renewed("t1")]],
    ["a renewal with a token that renewed before", "token-respent", 5, [...begun, renewed("t9"), renewed("t9")]],
    ["a session opened with a token that renewed another", "token-respent", 5, [...begun, renewed("t1x"), respent("t1x")]],
    ["a renewal of no run", "run-unknown", 4, [...begun, aRenewal("s1", "r9", "t9").event]],
    ["a renewal of no session", "session-unknown", 4, [...begun, aRenewal("s9", "r1", "t9").event]],
    ["a renewal of a run that is over", "run-over", 5, [...begun, runEnded("r1"), renewed("t9")]],
    ["a renewal before a run with a token that renewed", "token-respent", 5, [...begun, renewed("t9"), renewedBefore("t9")]],
    [
      "a renewal before a run, of a session that is over",
      "session-over",
      5,
      [...begun, ended("s1", "asked"), renewedBefore("t9")],
    ],
    ["a renewal of a session that is over", "session-over", 5, [...begun, ended("s1", "asked"), renewed("t9")]],
    ["a token that opened two sessions", "token-respent", 4, [...begun, other.event]],
    [
      "a token that opened another session after the first had ended",
      "token-respent",
      5,
      [...begun, ended("s1", "asked"), other.event],
    ],
    [
      "a token called unspent though a lease was issued",
      "unspent-unfounded",
      7,
      [...begun, issued("l1"), revoked("l1"), failed("l2"), ended("s1", "unspent")],
    ],
    [
      "a token called unspent though a lease was unknown",
      "unspent-unfounded",
      7,
      [...begun, unknown("l1"), failed("l1"), failed("l2"), ended("s1", "unspent")],
    ],
    [
      "a token called unspent though an intent is open",
      "unspent-unfounded",
      5,
      [...begun, failed("l1"), ended("s1", "unspent")],
    ],
    [
      "a token called unspent though there were two runs",
      "unspent-unfounded",
      7,
      [...begun, failed("l1"), failed("l2"), runIn("s1", "r2"), ended("s1", "unspent")],
    ],
    ["a session opened twice", "session-repeated", 4, [...begun, { ...session.event, token: "t2" }]],
    ["a session ended twice", "session-over", 5, [...begun, ended("s1", "asked"), ended("s1", "asked")]],
    ["an end of no session", "session-unknown", 4, [...begun, ended("s9", "asked")]],
    ["a run in a session that was over", "session-over", 5, [...begun, ended("s1", "asked"), runIn("s1", "r2")]],
    ["a run in no session", "session-unknown", 4, [...begun, runIn("s9", "r2")]],
    ["a run opened twice", "run-repeated", 4, [...begun, runIn("s1", "r1")]],
    ["a run ended twice", "run-ended-twice", 5, [...begun, runEnded("r1"), runEnded("r1")]],
    ["an end of no run", "run-unknown", 4, [...begun, runEnded("r9")]],
    ["connections of no run", "run-unknown", 5, [...begun, egress("r1"), egress("r9")]],
    ["a fence that did not rise", "fence-order", 2, [fence(1), fence(3), fence(3)]],
  ])("finds %s, though the key's holder signed it", async (_, name, index, events) => {
    const { findings } = await verifyLog(signed(leavesOf(events)));
    expect(findings.map((finding) => [finding.name, finding.index])).toEqual([[name, index]]);
  });

  test("finds times that go back or lie ahead", async () => {
    const log = signed(leavesOf([read("a"), read("b"), read("c")], [noon, noon - 1, noon + 300_001]));
    const { findings } = await verifyLog({ ...log, now: noon });
    expect(findings.map(({ name, index }) => [name, index])).toEqual([
      ["time-backwards", 1],
      ["time-ahead", 2],
    ]);
  });

  test("finds entries that say they stand elsewhere, and leaves that are no entries", async () => {
    const [a, b, c] = leavesOf([read("a"), read("b"), read("c")]);
    const { findings } = await verifyLog(signed([a, c, b, Buffer.from("{}")].map((leaf) => leaf ?? Buffer.of())));
    expect(findings.map(({ name, index }) => [name, index])).toEqual([
      ["index-gap", 1],
      ["index-gap", 2],
      ["leaf-malformed", 3],
    ]);
  });

  const shorter = signed(leavesOf(story).slice(0, 4)).checkpoint;
  const longer = signed(leavesOf([...story, read("later")])).checkpoint;
  const rewritten = signed(leavesOf([...story.slice(0, 3), read("x")])).checkpoint;
  const good = signed(leavesOf(story));
  const foreign = verifierKey(noteSigner(origin, newKey()));
  test.each<[string, readonly string[], Partial<Parameters<typeof verifyLog>[0]>]>([
    ["an earlier checkpoint that fits", [], { earlier: [shorter, signed([]).checkpoint, good.checkpoint] }],
    ["an earlier checkpoint of a longer log", ["earlier-mismatch"], { earlier: [longer] }],
    ["an earlier checkpoint of other entries", ["earlier-mismatch"], { earlier: [rewritten] }],
    ["an earlier checkpoint that nobody signed", ["earlier-invalid"], { earlier: [shorter.replace("\n4\n", "\n5\n")] }],
    ["a checkpoint of fewer entries", ["size-mismatch"], { checkpoint: shorter }],
    ["a checkpoint with a changed size", ["checkpoint-invalid"], { checkpoint: good.checkpoint.replace("\n10\n", "\n11\n") }],
    ["no checkpoint", ["checkpoint-invalid"], { checkpoint: "" }],
    ["another log's key", ["checkpoint-invalid"], { vkey: foreign }],
    ["no key", ["checkpoint-invalid"], { vkey: "" }],
    ["a leaf too few", ["size-mismatch"], { leaves: good.leaves.slice(0, -1) }],
    ["a leaf too many", ["size-mismatch"], { leaves: leavesOf([...story, read("x")]) }],
    ["no leaves", ["size-mismatch"], { leaves: [] }],
  ])("given %s finds %j", async (_, names, change) => {
    const report = await verifyLog({ ...good, ...change });
    expect(report.findings.map(({ name }) => name)).toEqual(names);
    expect(report.ok).toBe(names.length === 0);
  });

  test("keeps no more than a hundred findings, and counts all", async () => {
    const report = await verifyLog(signed(Array.from({ length: 150 }, () => Buffer.from("?"))));
    expect([report.findings.length, report.found]).toEqual([100, 150]);
  });

  test("reads a log in pages, and notices when the pages end early", async () => {
    const page = (from: number, count: number) => Promise.resolve(good.leaves.slice(from, from + count));
    expect((await verifyLog({ ...good, leaves: pagesOf(page, 10, 3) })).ok).toBe(true);
    const short = (from: number, count: number) => page(from, Math.min(count, 8 - from));
    expect((await verifyLog({ ...good, leaves: pagesOf(short, 10, 3) })).findings[0]?.name).toBe("size-mismatch");
  });
});
