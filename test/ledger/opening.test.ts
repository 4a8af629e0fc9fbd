import { once } from "node:events";
import { appendFile, chmod, copyFile, open, readdir, rename, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { noteSigner } from "../../src/ledger/note.ts";
import { openDatabase, refuseOldSqlite } from "../../src/ledger/sqlite/database.ts";
import { Log } from "../../src/ledger/sqlite/log.ts";
import { loadLedger } from "../../src/ledger/thread.ts";
import { firstOutput, startAppender } from "./appender-process.ts";
import { newFolder, newKey, noon, origin, read, SetClock } from "./fixture.ts";

const key = newKey();
const openAt = async (path: string, change: { readonly origin?: string; readonly key?: typeof key } = {}): Promise<Ledger> => {
  const loaded = await loadLedger();
  try {
    return await loaded.open({ path, key, origin, clock: new SetClock(), ...change });
  } catch (error) {
    await loaded.stop();
    throw error;
  }
};

async function aLedgerFile(): Promise<string> {
  const path = join(newFolder(), "ledger.db");
  await using ledger = await openAt(path);
  await ledger.append(Array.from({ length: 50 }, (_, n) => read(`${n}`)));
  return path;
}

const sql = (path: string, text: string) => {
  const database = new DatabaseSync(path);
  database.exec(text);
  database.close();
};

async function damageIndex(path: string): Promise<void> {
  const database = new DatabaseSync(path, { readOnly: true });
  const page = Number(database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'about'").get()?.["rootpage"]);
  database.close();
  const file = await open(path, "r+");
  await file.write(Buffer.alloc(4_096, 7), 0, 4_096, (page - 1) * 4_096);
  await file.close();
}

describe("a ledger's file", () => {
  test("is for its owner alone, and so is what SQLite puts beside it", async () => {
    const folder = newFolder();
    await using ledger = await openAt(join(folder, "ledger.db"));
    await ledger.append([read("a")]);
    const names = await readdir(folder);
    expect(names).toContain("ledger.db-wal");
    for (const name of names) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
  });

  test("is opened again after a clean end and after a crash while it was first made", async () => {
    const path = await aLedgerFile();
    await writeFile(`${path}.new`, "half a ledger");
    await using again = await openAt(path);
    expect((await again.status()).size).toBe(50);
    const folder = newFolder();
    await writeFile(join(folder, "ledger.db.new"), "half a ledger");
    await writeFile(join(folder, "ledger.db.new-journal"), "half a journal");
    await using fresh = await openAt(join(folder, "ledger.db"));
    expect((await fresh.status()).size).toBe(0);
    expect((await readdir(folder)).filter((name) => name.includes(".new"))).toEqual([]);
  });

  test.each<[string, string, string, (path: string) => unknown]>([
    ["that is empty", "ledger-corrupt", "lacks a ledger's tables", (path) => truncate(path, 0)],
    [
      "that is no database",
      "ledger-corrupt",
      "damaged",
      (path) => writeFile(path, "hello, this is not a database at all".repeat(100)),
    ],
    ["that was cut", "ledger-corrupt", "", (path) => truncate(path, 8_192)],
    ["with a damaged index, which no other check reads", "ledger-corrupt", "damaged", damageIndex],
    [
      "with a damaged page",
      "ledger-corrupt",
      "",
      async (path) => {
        const size = (await stat(path)).size;
        await truncate(path, size - 4_096);
        await appendFile(path, Buffer.alloc(4_096, 7));
      },
    ],
    ["of a later version", "ledger-corrupt", "version", (path) => sql(path, "UPDATE meta SET version = version + 1")],
    ["that others can read", "config-invalid", "mode 0600", (path) => chmod(path, 0o640)],
    [
      "that is a link",
      "config-invalid",
      "regular file",
      async (path) => {
        await rename(path, `${path}.real`);
        await symlink(`${path}.real`, path);
      },
    ],
    [
      "that is gone while its write-ahead log is there",
      "ledger-corrupt",
      "is gone",
      async (path) => {
        await copyFile(path, `${path}-wal`);
        await rm(path);
      },
    ],
  ])("%s is refused, never rebuilt", async (_, code, why, spoil) => {
    const path = await aLedgerFile();
    await spoil(path);
    await expect(openAt(path)).rejects.toMatchObject({ code, message: expect.stringContaining(why) as string });
  });

  test("of another origin or key is refused", async () => {
    const path = await aLedgerFile();
    await expect(openAt(path, { origin: "ledger.test/other" })).rejects.toMatchObject({
      code: "ledger-corrupt",
      message: expect.stringContaining("another origin") as string,
    });
    await expect(openAt(path, { key: newKey() })).rejects.toMatchObject({
      code: "ledger-corrupt",
      message: expect.stringContaining("expected key") as string,
    });
    await expect(openAt(path, { origin: "a b" })).rejects.toMatchObject({ code: "usage" });
  });

  test("in a folder that is not there is refused", async () => {
    await expect(openAt(join(newFolder(), "none", "ledger.db"))).rejects.toMatchObject({ code: "ledger-unavailable" });
  });
});

describe("an open database", () => {
  test.each([
    ["journal_mode", "wal"],
    ["synchronous", 2],
    ["locking_mode", "exclusive"],
    ["foreign_keys", 1],
    ["trusted_schema", 0],
    ["cell_size_check", 1],
  ])("has %s = %s", async (pragma, value) => {
    const database = openDatabase(await aLedgerFile(), () => undefined);
    const setting = database.prepare(`PRAGMA ${pragma}`).get();
    database.close();
    expect(setting).toEqual({ [pragma]: value });
  });

  test("whose commit was said to fail, and did not, is read again", async () => {
    const database = openDatabase(await aLedgerFile(), () => undefined);
    const log = new Log(database, noteSigner(origin, key));
    log.load();
    const before = log.mark();
    log.write(noon, read("persisted"), []);
    log.seal(before);
    expect(log.isCurrent()).toBe(true);
    log.returnTo(before);
    expect([log.isCurrent(), log.size]).toEqual([false, 50]);
    log.load();
    expect([log.isCurrent(), log.size]).toEqual([true, 51]);
    database.close();
  });
});

describe("a second opener", () => {
  test("in the same process is refused, and the first one goes on", async () => {
    const path = await aLedgerFile();
    await using first = await openAt(path);
    await expect(openAt(path)).rejects.toMatchObject({
      code: "ledger-unavailable",
      message: "another broker has the ledger open",
    });
    expect(await first.append([read("on")])).toHaveLength(1);
  });

  test("in another process is refused, until the first one is gone, killed or not", async () => {
    const path = await aLedgerFile();
    const holder = startAppender(path, key);
    await firstOutput(holder);
    await expect(openAt(path)).rejects.toMatchObject({
      code: "ledger-unavailable",
      message: "another broker has the ledger open",
    });
    holder.kill("SIGKILL");
    await once(holder, "exit");
    await using next = await openAt(path);
    expect((await next.status()).size).toBeGreaterThan(50);
  });
});

describe("SQLite", () => {
  test.each(["3.51.3", "3.51.10", "3.52.0", "4.0.0", process.versions["sqlite"] ?? ""])("%s is taken", (version) => {
    expect(() => refuseOldSqlite(version)).not.toThrow();
  });
  test.each(["3.51.2", "3.50.99", "3.7.0", "2.99.99", "0", ""])("%s is refused, since it can lose commits", (version) => {
    expect(() => refuseOldSqlite(version)).toThrow(expect.objectContaining({ code: "environment-unfit" }));
  });
});

describe("a busy ledger", () => {
  test("lets no more than ten thousand calls wait, and takes more once they are answered", { timeout: 60_000 }, async () => {
    const loaded = await loadLedger();
    const path = join(newFolder(), "ledger.db");
    await using ledger = await loaded.open({ path, key, origin, clock: new SetClock(), deadline: 50_000 });
    const outcomes = await Promise.allSettled(Array.from({ length: 10_100 }, () => ledger.status()));
    expect(outcomes.slice(10_000).every(({ status }) => status === "rejected")).toBe(true);
    expect(outcomes.at(-1)).toMatchObject({
      reason: { code: "ledger-unavailable", detail: "too many calls wait for the ledger" },
    });
    expect(outcomes.slice(0, 10_000).every(({ status }) => status === "fulfilled")).toBe(true);
    expect(await ledger.append([read("on")])).toHaveLength(1);
  });
});

describe("a closed ledger", () => {
  test("refuses calls, and its thread ends", async () => {
    const loaded = await loadLedger();
    const ledger = await loaded.open({ path: join(newFolder(), "ledger.db"), key, origin, clock: new SetClock() });
    await ledger[Symbol.asyncDispose]();
    await expect(ledger.status()).rejects.toMatchObject({ code: "ledger-unavailable" });
    await expect(loaded.ended).resolves.toEqual(expect.any(String));
  });

  test("whose thread was ended rejects what waits, instead of hanging", async () => {
    const loaded = await loadLedger();
    const ledger = await loaded.open({ path: join(newFolder(), "ledger.db"), key, origin, clock: new SetClock() });
    const waiting = ledger.append([read("a")]);
    const [outcome] = await Promise.allSettled([waiting, loaded.stop()]);
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "ledger-unavailable" } });
  });
});
