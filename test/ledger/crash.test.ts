import { type KeyObject, randomInt } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { expect, test } from "vitest";
import type { Entry } from "../../src/ledger/entry.ts";
import { loadLedger } from "../../src/ledger/thread.ts";
import { pagesOf, verifyLog } from "../../src/ledger/verify.ts";
import { firstOutput, startAppender } from "./appender-process.ts";
import { newFolder, newKey, origin, SetClock } from "./fixture.ts";

const kills = 12;

test(`a ledger killed ${kills} times while it writes is gapless, lacks nothing it acknowledged, and only grew`, {
  timeout: 120_000,
}, async () => {
  const path = join(newFolder(), "ledger.db");
  const key = newKey();
  const acknowledged: Entry[] = [];
  const checkpoints: string[] = [];
  for (let round = 0; round < kills; round++) {
    const facts = await appendUntilKilled(path, key);
    expect(facts.length).toBeGreaterThan(0);
    acknowledged.push(...facts.flatMap(({ entries }) => entries));
    checkpoints.push(...facts.map(({ checkpoint }) => checkpoint));

    await using ledger = await (await loadLedger()).open({ path, key, origin, clock: new SetClock() });
    const { size, verifierKey } = await ledger.status();
    checkpoints.push(await ledger.checkpoint());
    const leaves = pagesOf((from, count) => ledger.leaves(from, count), size);
    const report = await verifyLog({
      leaves,
      checkpoint: await ledger.checkpoint(),
      vkey: verifierKey,
      earlier: [...new Set(checkpoints)],
    });
    expect(report.findings).toEqual([]);

    const stored = new Map<number, Entry>();
    for (let from = 0; from < size; from += 5_000) {
      for (const entry of await ledger.entries({ from, limit: 5_000 })) stored.set(entry.index, entry);
    }
    expect(acknowledged.filter((entry) => !isDeepStrictEqual(stored.get(entry.index), entry))).toEqual([]);
    const open = new Set((await ledger.openLeases()).map(({ lease }) => lease));
    const intended = [...stored.values()].flatMap(({ event }) => (event.kind === "intent" ? [event.lease] : []));
    expect(open).toEqual(new Set(intended));
  }
  expect(acknowledged.length).toBeGreaterThan(kills * 10);
});

interface Fact {
  readonly entries: readonly Entry[];
  readonly checkpoint: string;
}

/** What the child had acknowledged when it died; its last line may be cut, and then was never told. */
async function appendUntilKilled(path: string, key: KeyObject): Promise<readonly Fact[]> {
  const child = startAppender(path, key);
  let told = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    told += chunk.toString();
  });
  await firstOutput(child);
  await sleep(randomInt(20, 300));
  child.kill("SIGKILL");
  await once(child, "close");
  return told
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Fact);
}
