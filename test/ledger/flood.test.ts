import { stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadLedger } from "../../src/ledger/thread.ts";
import { denied, newFolder, newKey, origin, read, SetClock } from "./fixture.ts";

test("a hundred thousand refusals within a minute leave sixty entries and one count, and hold nobody up", {
  timeout: 60_000,
}, async () => {
  const path = join(newFolder(), "ledger.db");
  const clock = new SetClock();
  const loaded = await loadLedger();
  await using ledger = await loaded.open({ path, key: newKey(), origin, clock });
  const slowest: number[] = [];
  const before = process.cpuUsage();
  for (let batch = 0; batch < 100; batch++) {
    const flood = Promise.all(Array.from({ length: 1_000 }, () => ledger.append([denied(1)])));
    const asked = performance.now();
    await ledger.append([read("a good caller")]);
    slowest.push(performance.now() - asked);
    await flood;
    clock.advance(500);
  }
  const { user, system } = process.cpuUsage(before);
  clock.advance(60_000);
  await ledger.append([read("later")]);
  const kinds = (await ledger.entries({ limit: 5_000 })).map(({ event }) => event.kind);
  expect(kinds.filter((kind) => kind === "denied")).toHaveLength(60);
  const counted = await ledger.entries({ limit: 9, kinds: ["denials-counted"] });
  expect(counted.map(({ event }) => event)).toMatchObject([{ peer: 1, count: 99_940 }]);
  expect((await stat(path)).size).toBeLessThan(1_000_000);
  expect(Math.max(...slowest)).toBeLessThan(2_000);
  expect((user + system) / 100_000).toBeLessThan(500);
});
