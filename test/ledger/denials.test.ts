import { expect, test } from "vitest";
import { Denials } from "../../src/ledger/denials.ts";
import { noon } from "./fixture.ts";

const limit = { most: 3, per: 60_000 };
const times = (count: number, denials: Denials, peer: number, now = noon) =>
  Array.from({ length: count }, () => denials.admit(peer, now));

test("as many denials as the limit are recorded, the rest are not, and another peer is not touched by it", () => {
  const denials = new Denials(limit);
  expect(times(5, denials, 1)).toEqual([true, true, true, false, false]);
  expect(times(1, denials, 2)).toEqual([true]);
});

test("a flood is counted once its window has ended, and once only", () => {
  const denials = new Denials(limit);
  times(5, denials, 1);
  expect(denials.take(noon + 59_999)).toEqual([]);
  expect(denials.take(noon + 60_000)).toEqual([{ kind: "denials-counted", peer: 1, count: 2, from: noon, to: noon + 60_000 }]);
  expect(denials.take(noon + 60_000)).toEqual([]);
  expect(times(1, denials, 1, noon + 60_000)).toEqual([true]);
});

test("what was no flood is not counted", () => {
  const denials = new Denials(limit);
  times(3, denials, 1);
  expect(denials.take(noon + 60_000)).toEqual([]);
});

test("all are counted at the end, whatever the time", () => {
  const denials = new Denials(limit);
  times(4, denials, 1);
  expect(denials.take(noon, "all")).toMatchObject([{ count: 1 }]);
});

test("a clock that jumped back does not silence a peer for as long", () => {
  const denials = new Denials(limit);
  times(4, denials, 1);
  expect(denials.take(noon - 3_600_000)).toEqual([{ kind: "denials-counted", peer: 1, count: 1, from: noon, to: noon }]);
  expect(times(1, denials, 1, noon - 3_600_000)).toEqual([true]);
});

test("a write that was undone is counted again", () => {
  const denials = new Denials(limit);
  times(4, denials, 1);
  const mark = denials.mark();
  expect(denials.take(noon + 60_000)).toHaveLength(1);
  denials.returnTo(mark);
  expect(denials.take(noon + 60_000)).toHaveLength(1);
});

test("denials that were undone were never seen, whatever became of their windows meanwhile", () => {
  const denials = new Denials(limit);
  times(2, denials, 1);
  denials.keep();
  const mark = denials.mark();
  times(5, denials, 1);
  times(5, denials, 2);
  denials.take(noon, "all");
  times(1, denials, 1);
  denials.returnTo(mark);
  expect(denials.peers).toBe(1);
  expect(times(2, denials, 1)).toEqual([true, false]);
  expect(times(1, denials, 2)).toEqual([true]);
});

test("a hundred thousand denials in one transaction cost little, while a thousand peers are told apart", () => {
  const denials = new Denials(limit);
  for (let peer = 0; peer < 1_000; peer++) denials.admit(peer, noon);
  const before = performance.now();
  times(100_000, denials, 1);
  expect(performance.now() - before).toBeLessThan(1_000);
});

test("ten thousand peers do not need ten thousand windows: those beyond a thousand share one", () => {
  const denials = new Denials(limit);
  const admitted = Array.from({ length: 10_000 }, (_, peer) => denials.admit(peer, noon)).filter(Boolean);
  expect(admitted).toHaveLength(1_003);
  expect(denials.peers).toBe(1_001);
  expect(denials.take(noon + 60_000)).toEqual([
    { kind: "denials-counted", peer: -1, count: 8_997, from: noon, to: noon + 60_000 },
  ]);
});
