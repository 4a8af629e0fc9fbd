import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { loadLedger } from "../../src/ledger/thread.ts";
import { pagesOf, verifyLog } from "../../src/ledger/verify.ts";
import { systemClock } from "../../src/time.ts";
import { aRun, aSession, issued, newFolder, newKey, opening, origin, read } from "./fixture.ts";

const key = newKey();
const until = Number.MAX_SAFE_INTEGER;

/** Runs a tool of the host; false when the host cannot. */
function can(command: string, ...args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

interface Disk extends AsyncDisposable {
  readonly path: string;
}

function mounted(folder: string): Disk {
  return {
    path: folder,
    [Symbol.asyncDispose]: async () => {
      execFileSync("umount", ["-l", folder]);
      await rmdir(folder);
    },
  };
}

function smallDisk(): Disk | undefined {
  const folder = mkdtempSync(join(tmpdir(), "mayfly-small-"));
  return can("mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", folder) ? mounted(folder) : undefined;
}

async function freezableDisk(): Promise<Disk | undefined> {
  const image = join(newFolder(), "disk.img");
  await writeFile(image, Buffer.alloc(16 * 2 ** 20));
  const folder = mkdtempSync(join(tmpdir(), "mayfly-frozen-"));
  return can("mkfs.ext4", "-q", image) && can("mount", "-o", "loop", image, folder) ? mounted(folder) : undefined;
}

const verified = async (ledger: Ledger) => {
  const { size, verifierKey } = await ledger.status();
  return verifyLog({
    leaves: pagesOf((from, count) => ledger.leaves(from, count), size),
    checkpoint: await ledger.checkpoint(),
    vkey: verifierKey,
  });
};

describe("a full disk", () => {
  test("refuses writes, answers reads, loses nothing, and recovers by itself", async ({ skip }) => {
    await using disk = smallDisk();
    if (disk === undefined) return skip("this host cannot run mount: root is needed for a disk that fills");
    const path = join(disk.path, "ledger.db");
    await using ledger = await (await loadLedger()).open({ path, key, origin, clock: systemClock });
    const big = read("x".repeat(20_000));
    let acknowledged = 0;
    let refusal: unknown;
    while (refusal === undefined) {
      await ledger.append([big]).then(
        () => (acknowledged += 1),
        (error: unknown) => (refusal = error),
      );
    }
    expect(refusal).toMatchObject({ code: "ledger-unavailable" });
    await expect(ledger.begin(aRun({ session: opening(aSession({ until, token: "t" })) }))).rejects.toMatchObject({
      code: "ledger-unavailable",
    });
    expect(await verified(ledger)).toMatchObject({ ok: true, size: acknowledged });

    execFileSync("mount", ["-o", "remount,size=8m", disk.path]);
    const begun = await ledger.begin(aRun({ session: opening(aSession({ until, token: "t" })) }));
    expect(begun.entries.map(({ index }) => index)).toEqual([acknowledged, acknowledged + 1, acknowledged + 2]);
    expect(await verified(ledger)).toMatchObject({ ok: true, size: acknowledged + 3 });
  });

  test("cannot be started on, and leaves nothing that a later start would trip over", async ({ skip }) => {
    await using disk = smallDisk();
    if (disk === undefined) return skip("this host cannot run mount: root is needed for a disk that fills");
    const filler = join(disk.path, "filler");
    await writeFile(filler, Buffer.alloc(2 ** 20)).catch(() => undefined);
    const path = join(disk.path, "ledger.db");
    const loaded = await loadLedger();
    await expect(loaded.open({ path, key, origin, clock: systemClock })).rejects.toMatchObject({ code: "ledger-unavailable" });
    await rm(filler);
    await using ledger = await loaded.open({ path, key, origin, clock: systemClock });
    expect((await ledger.status()).size).toBe(0);
  });
});

describe("a hung disk", () => {
  test("denies within the deadline, and what lands late is taken back on the record", async ({ skip }) => {
    await using disk = await freezableDisk();
    if (disk === undefined) return skip("this host cannot run mkfs.ext4 and loop mounts: root is needed for a disk that hangs");
    const loaded = await loadLedger();
    await using ledger = await loaded.open({
      path: join(disk.path, "ledger.db"),
      key,
      origin,
      clock: systemClock,
      deadline: 500,
    });
    await ledger.append([read("before")]);

    execFileSync("fsfreeze", ["-f", disk.path]);
    const started = performance.now();
    const late = aRun({ session: opening(aSession({ until, token: "late" })), leases: ["late-1", "late-2"] });
    const hung = ledger.begin(late);
    await Promise.race([hung.catch(() => undefined), systemClock.sleep(200)]);
    const never = aRun({ session: opening(aSession({ until, token: "never" })) });
    const outcomes = await Promise.allSettled([hung, ledger.begin(never), ledger.append([read("never")]), ledger.status()]);
    const waited = performance.now() - started;
    execFileSync("fsfreeze", ["-u", disk.path]);

    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ status: "rejected", reason: { code: "ledger-unavailable" } });
    expect(waited).toBeLessThan(2_000);

    const again = await ledger.begin(aRun({ session: opening(aSession({ until, token: "late" })), leases: ["again"] }));
    await ledger.append([issued("again")]);
    await ledger.begin(never);
    const kinds = (await ledger.entries({ limit: 20, about: late.run.session })).map(({ event }) => event.kind);
    expect(kinds).toEqual([
      "session-opened",
      "run-opened",
      "intent",
      "intent",
      "failed",
      "failed",
      "run-ended",
      "session-ended",
    ]);
    expect(await ledger.openRuns()).toEqual(
      [again.entries.find(({ event }) => event.kind === "run-opened")?.event, never.run].map((event) =>
        event?.kind === "run-opened" ? event.run : "",
      ),
    );
    expect((await verified(ledger)).findings).toEqual([]);
  });

  test("does not keep a broker from ending", async ({ skip }) => {
    await using disk = await freezableDisk();
    if (disk === undefined) return skip("this host cannot run mkfs.ext4 and loop mounts: root is needed for a disk that hangs");
    const loaded = await loadLedger();
    const ledger = await loaded.open({ path: join(disk.path, "ledger.db"), key, origin, clock: systemClock, deadline: 300 });
    execFileSync("fsfreeze", ["-f", disk.path]);
    const started = performance.now();
    const hung = ledger.append([read("a")]);
    const [outcome] = await Promise.allSettled([hung, ledger[Symbol.asyncDispose]()]);
    const waited = performance.now() - started;
    execFileSync("fsfreeze", ["-u", disk.path]);
    await loaded.ended;
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "ledger-unavailable" } });
    expect(waited).toBeLessThan(2_000);
  });
});
