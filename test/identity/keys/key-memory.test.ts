import { beforeEach, describe, expect, it } from "vitest";
import { KeyMemory } from "../../../src/identity/keys/key-memory.ts";
import { keyName } from "../../../src/identity/keys/key-name.ts";
import { KeyRecord, type KeysChanged } from "../../../src/identity/keys/key-record.ts";
import type { KnownKey } from "../../../src/identity/keys/keyset.ts";
import { now } from "../issuer.ts";
import { ManualClock } from "../manual-clock.ts";
import { changesOf, historyOf, type KeyFact, minute, recalled } from "./key-rows/stage.ts";

const hour = 60 * minute;
const key = (kid: string, thumbprint = `print of ${kid}`): KnownKey => ({ kid, thumbprint });
const [a, b, c] = [key("a"), key("b"), key("c")];
const away = { kind: "unreachable", why: "no answer" } as const;
const odd = (why: string) => ({ kind: "refused", why }) as const;

let clock: ManualClock;
let records: KeysChanged[];

beforeEach(() => {
  clock = new ManualClock(now);
  records = [];
});

function memory(hold = 0, past: readonly KeyFact[] = [], issuer = "ci"): KeyMemory {
  return new KeyMemory({ issuer, hold, clock, history: historyOf(past, records) });
}

describe("a set that was read", () => {
  it.each<[string, readonly (readonly KnownKey[])[], string]>([
    ["is recorded the first time", [[a, b]], "first a b"],
    [
      "is not recorded again",
      [
        [a, b],
        [b, a],
        [a, b],
      ],
      "first a b",
    ],
    ["with one more", [[a], [a, b]], "first a, added b"],
    ["with one less", [[a, b], [a]], "first a b, withdrawn b"],
    [
      "that was rotated",
      [
        [a, b],
        [b, c],
      ],
      "first a b, added c, withdrawn a",
    ],
    [
      "with another key under the same kid",
      [
        [a, b],
        [key("a", "other"), b],
      ],
      "first a b, replaced a",
    ],
    ["that goes back and forth", [[a], [b], [a]], "first a, added b, withdrawn a, added a, withdrawn b"],
  ])("%s", (_, sets, recorded) => {
    const remembers = memory();
    for (const set of sets) remembers.learn(set);
    expect(changesOf(records)).toBe(recorded);
  });

  it("says each key with its thumbprint", () => {
    memory().learn([a]);
    expect(records).toEqual([{ issuer: "ci", change: "first", keys: [a], why: null }]);
  });

  it("is compared with what was recorded before a restart", () => {
    memory().learn([a, b]);
    const past = recalled(records.splice(0), now);
    memory(0, past).learn([a, b]);
    expect(changesOf(records)).toBe("");
    memory(0, past).learn([b, c]);
    expect(changesOf(records)).toBe("added c, withdrawn a");
  });

  it("is not compared with another issuer's", () => {
    memory(0, [], "other").learn([a]);
    memory(0, recalled(records.splice(0), now)).learn([a]);
    expect(changesOf(records)).toBe("first a");
  });
});

describe("trouble", () => {
  it.each<[string, readonly ("ok" | typeof away | ReturnType<typeof odd>)[], string]>([
    ["once is none", ["ok", away, "ok"], "first a"],
    ["twice in a row is told once", ["ok", away, away, away, away, "ok", "ok"], "first a, unreachable, reachable"],
    ["with a good answer in between is none", ["ok", away, "ok", away, "ok"], "first a"],
    ["with a refused set in between is not in a row", ["ok", away, odd("x"), away, "ok"], "first a, refused, reachable"],
    ["a refused set is told at once, and once", ["ok", odd("x"), odd("x"), odd("x")], "first a, refused"],
    ["and again for another reason", ["ok", odd("x"), odd("y")], "first a, refused, refused"],
    ["before the first set", [away, away, "ok"], "unreachable, reachable, first a"],
  ])("%s", (_, happened, recorded) => {
    const remembers = memory();
    for (const one of happened)
      if (one === "ok") remembers.learn([a]);
      else remembers.suffer(one);
    expect(changesOf(records)).toBe(recorded);
  });

  it("says why in our words", () => {
    memory().suffer(odd("two keys with the same kid"));
    expect(records).toEqual([{ issuer: "ci", change: "refused", keys: [], why: "two keys with the same kid" }]);
  });

  it("that goes on over a restart is not told again, and its end is", () => {
    const first = memory();
    for (let time = 0; time < 2; time += 1) first.suffer(away);
    const after = memory(0, recalled(records.splice(0), now));
    for (let time = 0; time < 5; time += 1) after.suffer(away);
    after.learn([a]);
    expect(changesOf(records)).toBe("reachable, first a");
  });
});

describe("a hold", () => {
  const heldAfter = (remembers: KeyMemory, keys: readonly KnownKey[]) =>
    keys.filter((one) => remembers.heldUntil(one) !== undefined).map(({ kid }) => kid);

  it("is not for the first set, and is for every key after it", () => {
    const remembers = memory(hour);
    remembers.learn([a]);
    remembers.learn([a, b]);
    expect(heldAfter(remembers, [a, b])).toEqual(["b"]);
    expect(remembers.heldUntil(b)).toBe(now + hour);
    clock.advance(hour);
    expect(heldAfter(remembers, [a, b])).toEqual([]);
  });

  it("is not for a key that was seen before, whether it was away for a moment or over a restart", () => {
    const remembers = memory(hour);
    for (const set of [[a, b], [b], [a, b]]) remembers.learn(set);
    expect(heldAfter(remembers, [a, b])).toEqual([]);
    const after = memory(hour, recalled(records, now));
    after.learn([a, b]);
    expect(heldAfter(after, [a, b])).toEqual([]);
  });

  it("begins when the key was first seen, not when the broker was restarted", () => {
    const remembers = memory(hour);
    remembers.learn([a]);
    remembers.learn([a, b]);
    clock.advance(hour / 2);
    const after = memory(hour, recalled(records, now));
    after.learn([a, b]);
    expect(after.heldUntil(b)).toBe(now + hour);
  });

  it("is for each key under one kid by itself", () => {
    const remembers = memory(hour);
    remembers.learn([a]);
    remembers.learn([key("a", "second")]);
    remembers.accept(keyName("ci", key("a", "second")));
    remembers.learn([key("a", "third")]);
    expect(remembers.heldUntil(key("a", "second"))).toBeUndefined();
    expect(remembers.heldUntil(key("a", "third"))).toBe(now + hour);
    expect(changesOf(records)).toBe("first a, replaced a, replaced a");
  });

  it("is over for a key that was accepted, even where the ledger never heard of the key itself", () => {
    const accepted: KeyFact = { kind: "accepted", key: keyName("ci", b) };
    const first: KeyFact = { kind: "changed", at: now, changed: { issuer: "ci", change: "first", keys: [a], why: null } };
    const remembers = memory(hour, [first, accepted]);
    remembers.learn([a, b]);
    expect(heldAfter(remembers, [a, b])).toEqual([]);
    const others = memory(hour, [{ ...first, changed: { ...first.changed, issuer: "ci2" } }, accepted], "ci2");
    others.learn([a, b]);
    expect(heldAfter(others, [a, b])).toEqual(["b"]);
  });
});

describe("an issuer that changes its mind all day", () => {
  it("gets 20 entries at once beside its first and one more every ten minutes; then the difference since the last one is told", () => {
    const remembers = memory();
    for (let nth = 0; nth < 1_000; nth += 1) remembers.learn([key(`k${nth}`)]);
    const entries = records.filter(({ change }) => change !== "withdrawn").length;
    expect(entries).toBe(21);
    expect(records.length).toBeLessThanOrEqual(41);
    records.length = 0;
    clock.advance(10 * minute);
    for (let nth = 0; nth < 10; nth += 1) remembers.learn([key("last")]);
    expect(changesOf(records)).toBe("added last, withdrawn k20");
  });

  it("cannot use up what its keys may be told with by coming and going", () => {
    const remembers = memory();
    remembers.learn([a]);
    for (let nth = 0; nth < 1_000; nth += 1) {
      remembers.suffer(odd(`${nth}`));
      remembers.learn([a]);
    }
    expect(records.length).toBeLessThanOrEqual(22);
    records.length = 0;
    remembers.learn([a, b]);
    expect(changesOf(records)).toContain("added b");
  });

  it("is told in small pieces: the number of the others at once, and each of them in time", () => {
    const remembers = memory();
    const set = (from: number) => Array.from({ length: 100 }, (_, nth) => key(`k${from + nth}`));
    remembers.learn(set(0));
    expect(records).toMatchObject([{ change: "first", keys: { length: 100 }, why: null }]);
    records.length = 0;
    for (let times = 0; times < 12; times += 1) remembers.learn(set(100));
    expect(records.slice(0, 2)).toMatchObject([
      { change: "added", keys: set(100).slice(0, 8), why: "92 more are not recorded yet" },
      { change: "withdrawn", keys: set(0).slice(0, 8), why: "92 more are not recorded yet" },
    ]);
    expect(records.filter(({ change }) => change === "added").flatMap(({ keys }) => keys)).toEqual(set(100).slice(0, 96));
    remembers.learn(set(100));
    expect(records.at(-1)).toMatchObject({ change: "withdrawn", keys: { length: 4 }, why: null });
    records.length = 0;
    remembers.learn(set(100));
    expect(records).toEqual([]);
  });

  it("fills neither the ledger nor memory in a day, though all of its hundred keys are others each time", () => {
    const remembers = memory(hour);
    for (let nth = 0; nth < 360; nth += 1) {
      remembers.learn(Array.from({ length: 100 }, (_, one) => key(`${"k".repeat(40)}${nth}-${one}`, "t".repeat(43))));
      clock.advance(4 * minute);
    }
    const bytes = records.reduce((sum, changed) => sum + JSON.stringify(changed).length, 0);
    expect(bytes).toBeLessThan(1024 * 1024);
    expect(records.length).toBeLessThanOrEqual(1 + 3 * (20 + 144));
  });

  it("is not remembered without end, and what is forgotten counts as new", () => {
    const record = new KeyRecord();
    const change = (kind: "first" | "added" | "withdrawn", one: KnownKey, at: number) =>
      record.apply({ issuer: "ci", change: kind, keys: [one], why: null }, at);
    change("first", a, now);
    change("withdrawn", a, now);
    for (let nth = 0; nth < 1_100; nth += 1) {
      change("added", key(`k${nth}`), now + nth);
      change("withdrawn", key(`k${nth}`), now + nth + 2);
    }
    const later = now + 10_000;
    expect(record.endOfHold(keyName("ci", key("k1099")), 1, later)).toBeLessThan(later);
    expect(record.endOfHold(keyName("ci", a), 1, later)).toBe(later + 1);
  });
});

describe("a held key that is taken away", () => {
  /** So much of the allowance is used up that a change is not told by itself. */
  const busy = (remembers: KeyMemory, always: readonly KnownKey[]) => {
    for (let nth = 0; nth < 40; nth += 1) remembers.learn([...always, key(`noise${nth}`)]);
  };

  it.each<[string, readonly KnownKey[]]>([
    ["withdrawn", [a]],
    ["replaced by another of the same id", [a, key("b", "another")]],
  ])("and %s while its issuer may tell nothing more is on record as gone, and is held anew after a restart", (_, meanwhile) => {
    const first = memory(hour);
    first.learn([a]);
    first.learn([a, b]);
    busy(first, [a, b]);
    first.learn([...meanwhile, key("noise39")]);
    expect(records.filter(({ change, keys }) => change === "withdrawn" && keys.some(({ kid }) => kid === "b"))).toHaveLength(1);
    const past = recalled(records.splice(0), now);
    clock.advance(hour + 1);
    const after = memory(hour, past);
    after.learn([a, b]);
    expect(after.heldUntil(b)).toBe(now + 2 * hour + 1);
    expect(after.heldUntil(a)).toBeUndefined();
  });

  it("is on record as gone however many there are of them", () => {
    const remembers = memory(hour);
    const many = Array.from({ length: 60 }, (_, nth) => key(`held${nth}`));
    remembers.learn([a]);
    for (let times = 0; times < 10; times += 1) remembers.learn([a, ...many]);
    records.length = 0;
    remembers.learn([a]);
    expect(records).toMatchObject([{ change: "withdrawn", keys: { length: 60 }, why: null }]);
  });

  it("is held for as long as it is not on record at all", () => {
    const remembers = memory(hour);
    remembers.learn([a]);
    busy(remembers, [a]);
    remembers.learn([a, b]);
    expect(changesOf(records)).not.toContain("added b");
    clock.advance(9 * minute);
    expect(remembers.heldUntil(b)).toBe(clock.now() + hour);
    clock.advance(minute);
    remembers.learn([a, b]);
    expect(changesOf(records)).toContain("added b");
    expect(remembers.heldUntil(b)).toBe(clock.now() + hour);
  });
});
