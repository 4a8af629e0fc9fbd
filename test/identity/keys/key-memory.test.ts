import { beforeEach, describe, expect, it } from "vitest";
import { type KeyFact, type KeysChanged, keyName } from "../../../src/identity/keys/key-history.ts";
import { KeyMemory } from "../../../src/identity/keys/key-memory.ts";
import type { KnownKey } from "../../../src/identity/keys/keyset.ts";
import { now } from "../issuer.ts";
import { ManualClock } from "../manual-clock.ts";
import { changesOf, minute, recalled } from "./key-rows/stage.ts";

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
  return new KeyMemory({ issuer, hold, clock, history: { past, record: (changed) => void records.push(changed) } });
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
  it("gets 20 entries at once and one more every ten minutes; then the difference since the last one is told", () => {
    const remembers = memory();
    for (let nth = 0; nth < 1_000; nth += 1) remembers.learn([key(`k${nth}`)]);
    const entries = records.filter(({ change }) => change !== "withdrawn").length;
    expect(entries).toBe(20);
    expect(records.length).toBeLessThanOrEqual(40);
    records.length = 0;
    clock.advance(10 * minute);
    for (let nth = 0; nth < 10; nth += 1) remembers.learn([key("last")]);
    expect(changesOf(records)).toBe("added last, withdrawn k19");
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

  it("is not remembered without end, and what is forgotten counts as new", () => {
    const remembers = memory(1);
    remembers.learn([a]);
    for (let nth = 0; nth < 3_000; nth += 1) {
      remembers.learn([key(`k${nth}`)]);
      clock.advance(2);
    }
    remembers.learn([key("k2999"), a]);
    expect(remembers.heldUntil(key("k2999"))).toBeUndefined();
    expect(remembers.heldUntil(a)).toBeDefined();
  });
});
