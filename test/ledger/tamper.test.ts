import { randomInt } from "node:crypto";
import { cpSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { beforeAll, describe, expect, test } from "vitest";
import { loadLedger } from "../../src/ledger/thread.ts";
import { verifyLog } from "../../src/ledger/verify.ts";
import { newFolder, noon, origin, read, SetClock } from "./fixture.ts";
import { run, signed, signer, story, vkey } from "./signed-log.ts";

describe("the file of a real ledger", () => {
  let original: { readonly path: string; readonly kept: string };
  beforeAll(async () => {
    original = await write();
  });

  /** A copy for one test to spoil. */
  function written() {
    const folder = newFolder();
    cpSync(dirname(original.path), folder, { recursive: true });
    return { path: join(folder, "ledger.db"), kept: original.kept };
  }

  async function write() {
    const path = join(newFolder(), "ledger.db");
    const ledger = await (await loadLedger()).open({ path, key: signer.key, origin, clock: new SetClock() });
    await ledger.begin(run);
    await ledger.append(story.slice(4));
    for (let n = 0; n < 20; n++) await ledger.append([read(`${n}`)]);
    const kept = await ledger.checkpoint();
    await ledger[Symbol.asyncDispose]();
    return { path, kept };
  }

  /** What an auditor who has only the raw rows sees. */
  async function inspect(path: string, earlier: readonly string[] = []) {
    const database = new DatabaseSync(path, { readOnly: true });
    const leaves = database
      .prepare("SELECT leaf FROM entry ORDER BY idx")
      .all()
      .map(({ leaf }) => leaf as Uint8Array);
    const checkpoint = String(database.prepare("SELECT checkpoint FROM meta").get()?.["checkpoint"]);
    database.close();
    return verifyLog({ leaves, checkpoint, vkey, earlier });
  }

  function change(path: string, sql: string): void {
    const database = new DatabaseSync(path, { enableForeignKeyConstraints: false });
    database.exec(sql);
    database.close();
  }

  async function reopen(path: string): Promise<unknown> {
    const loaded = await loadLedger();
    try {
      return await loaded.open({ path, key: signer.key, origin, clock: new SetClock() });
    } finally {
      await loaded.stop();
    }
  }

  test("verifies when nobody touched it, and opens", async () => {
    const { path, kept } = written();
    expect((await inspect(path, [kept])).findings).toEqual([]);
    await expect(reopen(path)).resolves.toBeDefined();
  });

  const put = (index: number, from: string, to: string) =>
    `UPDATE entry SET leaf = CAST(replace(CAST(leaf AS TEXT), '${from}', '${to}') AS BLOB) WHERE idx = ${index}`;
  const shift = (from: number, by: number) =>
    `UPDATE entry SET idx = -idx WHERE idx >= ${from}; UPDATE entry SET idx = -idx + ${by} WHERE idx < 0`;
  const copy = "SELECT kind, leaf FROM entry WHERE idx = 12";
  test.each<[string, string, string, string]>([
    ["an edited entry", put(12, '"what":"2"', '"what":"3"'), "root-mismatch", "entry 12 was changed"],
    ["an edited entry, no longer canonical", put(12, '"what":"2"', '"what": "2"'), "leaf-malformed", "entry 12 was changed"],
    ["an entry moved in time", put(12, String(noon), String(noon - 1)), "time-backwards", "entry 12 was changed"],
    ["a lease said to be revoked by another", put(7, "job-end", "sweeper"), "root-mismatch", "entry 7 was changed"],
    ["a deleted entry", "DELETE FROM entry WHERE idx = 12", "index-gap", "entry 12 is missing"],
    [
      "a deleted entry, the rest moved up",
      `DELETE FROM entry WHERE idx = 12; ${shift(13, -1)}`,
      "index-gap",
      "the checkpoint is of 30 entries, the ledger has 29",
    ],
    ["a deleted first entry", "DELETE FROM entry WHERE idx = 0", "index-gap", "entry 0 is missing"],
    [
      "an entry added at the end",
      `INSERT INTO entry SELECT 30, kind, leaf FROM (${copy})`,
      "index-gap",
      "the checkpoint is of 30 entries, the ledger has 31",
    ],
    [
      "an entry added in between",
      `${shift(12, 1)}; INSERT INTO entry SELECT 12, kind, leaf FROM entry WHERE idx = 13`,
      "index-gap",
      "the checkpoint is of 30 entries, the ledger has 31",
    ],
    [
      "two entries swapped",
      "UPDATE entry SET idx = -1 WHERE idx = 12; UPDATE entry SET idx = 12 WHERE idx = 13; UPDATE entry SET idx = 13 WHERE idx = -1",
      "index-gap",
      "entry 12 was changed",
    ],
    [
      "an entry put over another",
      "UPDATE entry SET leaf = (SELECT leaf FROM entry WHERE idx = 11) WHERE idx = 12",
      "index-gap",
      "entry 12 was changed",
    ],
    [
      "its end cut off",
      "DELETE FROM entry WHERE idx >= 25",
      "size-mismatch",
      "the checkpoint is of 30 entries, the ledger has 25",
    ],
    [
      "its last entry cut off",
      "DELETE FROM entry WHERE idx = 29",
      "size-mismatch",
      "the checkpoint is of 30 entries, the ledger has 29",
    ],
    ["all entries deleted", "DELETE FROM entry", "size-mismatch", "the checkpoint is of 30 entries, the ledger has 0"],
    [
      "its checkpoint's size changed",
      "UPDATE meta SET checkpoint = replace(checkpoint, char(10) || '30' || char(10), char(10) || '29' || char(10))",
      "checkpoint-invalid",
      "signature does not verify",
    ],
    ["its checkpoint deleted", "UPDATE meta SET checkpoint = ''", "checkpoint-invalid", "malformed"],
  ])("with %s does not verify, and does not open", async (_, sql, name, why) => {
    const { path } = written();
    change(path, sql);
    expect((await inspect(path)).findings.map((finding) => finding.name)).toContain(name);
    await expect(reopen(path)).rejects.toMatchObject({
      code: "ledger-corrupt",
      message: expect.stringContaining(why) as string,
    });
  });

  test("put back to an older state is only told by a checkpoint that someone else kept", async () => {
    const { path, kept } = written();
    const older = signed((await rawLeaves(path)).slice(0, 20)).checkpoint;
    change(path, `DELETE FROM entry WHERE idx >= 20; UPDATE meta SET checkpoint = '${older}'`);
    expect((await inspect(path)).ok).toBe(true);
    expect((await inspect(path, [kept])).findings.map(({ name }) => name)).toEqual(["earlier-mismatch"]);
  });

  async function rawLeaves(path: string): Promise<readonly Uint8Array[]> {
    const database = new DatabaseSync(path, { readOnly: true });
    const rows = database.prepare("SELECT leaf FROM entry ORDER BY idx").all();
    database.close();
    return rows.map(({ leaf }) => leaf as Uint8Array);
  }

  test("with any one bit of any leaf flipped does not verify", async () => {
    const { path, kept } = original;
    const leaves = await rawLeaves(path);
    for (let tried = 0; tried < 1_000; tried++) {
      const at = randomInt(leaves.length);
      const leaf = Buffer.from(leaves[at] ?? Buffer.of());
      const byte = randomInt(leaf.length);
      leaf.writeUInt8(leaf.readUInt8(byte) ^ (1 << randomInt(8)), byte);
      expect((await verifyLog({ leaves: leaves.with(at, leaf), checkpoint: kept, vkey })).ok).toBe(false);
    }
  });

  test("with a changed tree node gives no receipt that would not verify", async () => {
    const { path } = written();
    change(path, "UPDATE node SET hash = zeroblob(32) WHERE level = 2 AND position = 0");
    await using ledger = await (await loadLedger()).open({ path, key: signer.key, origin, clock: new SetClock() });
    await expect(ledger.receipt(5)).rejects.toMatchObject({ code: "ledger-corrupt" });
    await expect(ledger.receipt(1)).resolves.toBeDefined();
  });

  test("with a changed policy text does not give it out", async () => {
    const { path } = written();
    change(path, "INSERT INTO policy VALUES ('00', 'who: everybody')");
    await using ledger = await (await loadLedger()).open({ path, key: signer.key, origin, clock: new SetClock() });
    await expect(ledger.policyText("00")).rejects.toMatchObject({ code: "ledger-corrupt" });
  });
});
