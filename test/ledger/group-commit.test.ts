import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { Ask, Store } from "../../src/ledger/calls.ts";
import { Claim } from "../../src/ledger/claim.ts";
import { GroupCommit, type Outcome, type Request } from "../../src/ledger/group-commit.ts";
import { SqliteStore } from "../../src/ledger/sqlite.ts";
import { aRun, aSession, newFolder, newKey, noon, opening, origin, read, within } from "./fixture.ts";

/** The real store, counting its transactions, with a moment right after each commit. */
async function aStore() {
  const store = SqliteStore.open({
    path: join(newFolder(), "ledger.db"),
    key: newKey(),
    origin,
    denials: { most: 60, per: 60_000 },
  });
  const watched = { transactions: 0, afterCommit: (): void => undefined };
  const decorated: Store = {
    answers: store.answers,
    transaction: (work) => {
      watched.transactions += 1;
      const result = store.transaction(work);
      watched.afterCommit();
      return result;
    },
    atomically: (work) => store.atomically(work),
    reading: (work) => store.reading(work),
    takeBack: (ask) => store.takeBack(ask),
    close: (now) => store.close(now),
  };
  return { store, watched, commits: new GroupCommit(decorated) };
}

function request(ask: Ask, claim = new Claim()): Request & { readonly outcomes: Outcome[] } {
  const outcomes: Outcome[] = [];
  return { ask, claim, outcomes, settle: (outcome) => outcomes.push(outcome) };
}

const append = (what: string): Ask => ({ method: "append", args: [[read(what)]], now: noon });
const kinds = (store: SqliteStore) => store.answers.entries(noon, { limit: 50 }).map(({ event }) => event.kind);

describe("a group commit", () => {
  let parts: Awaited<ReturnType<typeof aStore>>;
  beforeEach(async () => {
    parts = await aStore();
  });

  test("writes all that queued up in one transaction", () => {
    const requests = Array.from({ length: 100 }, (_, n) => request(append(`${n}`)));
    parts.commits.run(requests);
    expect(parts.watched.transactions).toBe(1);
    expect(requests.every(({ outcomes }) => outcomes[0]?.ok)).toBe(true);
    expect(parts.store.answers.status(noon).size).toBe(100);
  });

  test("needs no transaction for reads", () => {
    parts.commits.run([request({ method: "status", args: [], now: noon })]);
    expect(parts.watched.transactions).toBe(0);
  });

  test("does nothing for an asker that had given up before", () => {
    const claim = new Claim();
    expect(claim.giveUp()).toBe("never-done");
    parts.commits.run([request(append("never"), claim), request(append("on"))]);
    expect(parts.store.answers.entries(noon, { limit: 9 }).map(({ event }) => event)).toEqual([read("on")]);
  });

  const session = aSession({ token: "t" });
  const again: Ask = { method: "openSession", args: [aSession({ token: "t" })], now: noon };
  test.each<[string, Ask, readonly string[]]>([
    [
      "a begin with its token",
      { method: "begin", args: [aRun({ session: opening(session) })], now: noon },
      ["session-opened", "run-opened", "intent", "failed", "run-ended", "session-ended"],
    ],
    [
      "a begin whose credentials are all optional",
      { method: "begin", args: [aRun({ session: opening(session), leases: ["a"], optional: ["a"] })], now: noon },
      ["session-opened", "run-opened", "intent", "failed", "run-ended", "session-ended"],
    ],
    [
      "a begin without credentials",
      { method: "begin", args: [aRun({ session: opening(session), leases: [] })], now: noon },
      ["session-opened", "run-opened", "run-ended", "session-ended"],
    ],
    ["a session", { method: "openSession", args: [session], now: noon }, ["session-opened", "session-ended"]],
  ])("takes back %s that landed for an asker that had given up meanwhile, and frees the token", (_, ask, expected) => {
    const claim = new Claim();
    parts.watched.afterCommit = () => claim.giveUp();
    parts.commits.run([request(ask, claim)]);
    expect(kinds(parts.store)).toEqual(expected);
    expect(parts.store.answers.openRuns(noon)).toEqual([]);
    const retry = request(again);
    parts.commits.run([retry]);
    expect(retry.outcomes[0]).toMatchObject({ ok: true });
  });

  test("takes back a run within a session, and leaves the session open", () => {
    parts.commits.run([request({ method: "openSession", args: [session], now: noon })]);
    const claim = new Claim();
    parts.watched.afterCommit = () => claim.giveUp();
    parts.commits.run([request({ method: "begin", args: [aRun({ session: within(session.id) })], now: noon }, claim)]);
    expect(kinds(parts.store)).toEqual(["session-opened", "run-opened", "intent", "failed", "run-ended"]);
    expect(parts.store.answers.findSession(noon, session.handleDigest)?.ended).toBe(false);
  });

  test("leaves in the log what was merely true", () => {
    const claim = new Claim();
    parts.watched.afterCommit = () => claim.giveUp();
    parts.commits.run([request(append("true"), claim)]);
    expect(kinds(parts.store)).toEqual(["audit-read"]);
  });

  test("takes back nothing for an asker that heard", () => {
    const claim = new Claim();
    parts.commits.run([request({ method: "begin", args: [aRun({ session: opening(session) })], now: noon }, claim)]);
    expect(claim.giveUp()).toBe("answer-is-coming");
    expect(kinds(parts.store)).toEqual(["session-opened", "run-opened", "intent"]);
  });

  test("owes what it could not take back, and pays with the next batch", () => {
    const claim = new Claim();
    parts.watched.afterCommit = () => {
      claim.giveUp();
      parts.watched.afterCommit = () => undefined;
    };
    const transaction = parts.store.transaction.bind(parts.store);
    parts.store.transaction = (work) => {
      if (parts.watched.transactions === 2) throw new Error("the disk is full");
      return transaction(work);
    };
    parts.commits.run([request({ method: "begin", args: [aRun({ session: opening(session) })], now: noon }, claim)]);
    expect(kinds(parts.store)).toEqual(["session-opened", "run-opened", "intent"]);
    parts.commits.run([request(append("next"))]);
    expect(kinds(parts.store).slice(3)).toEqual(["audit-read", "failed", "run-ended", "session-ended"]);
  });
});
