import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, it } from "vitest";
import { deferred } from "../../src/sandbox/deferred.ts";
import { openJob, runIn, sh, startIn, startWorld, type World, whyNotHere } from "./fixture.ts";
import { initOf, instanceOf, nodeOf, running, tracesOf, until } from "./traces.ts";

describe("the death of sandboxd", () => {
  const reason = whyNotHere("crun");
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));

  const victims: readonly [string, (world: World) => number][] = [
    ["the process that serve knows", ({ child }) => child.pid],
    ["the init of its namespace", initOf],
    ["sandboxd itself", nodeOf],
  ];

  it.each(victims.flatMap(([who, pid]) => [false, true].map((frozen) => ({ who, pid, frozen }))))(
    "by kill -9 of $who, with a frozen job: $frozen, leaves nothing",
    async ({ pid, frozen }) => {
      await using world = await startWorld();
      const instance = instanceOf(world);
      const sandbox = await openJob(world, { command: ["sh", "-c", "echo on; sleep 98762 & sleep 98762"] });
      await sandbox.deliver([{ credential: "db", name: "password", content: "x".repeat(40) }]);
      const on = deferred<void>();
      const ending = runIn(sandbox, { output: async () => on.resolve() }).catch((error: unknown) => error);
      await on.promise;
      expect(tracesOf(instance, world.folder).length).toBeGreaterThan(3);
      if (frozen) await sandbox.freeze();
      process.kill(pid(world), "SIGKILL");
      const gone = await until(() => tracesOf(instance, world.folder).length === 0 && running("sleep 98762").length === 0);
      expect(tracesOf(instance, world.folder)).toEqual([]);
      expect(gone).toBeLessThan(1500);
      expect(await ending).toMatchObject({ code: "sandbox-failed" });
      await sandbox.remove();
    },
  );

  it("by the end of its lifeline is orderly, and says 0", async () => {
    await using world = await startWorld();
    const instance = instanceOf(world);
    const sandbox = await openJob(world, { command: ["sleep", "98762"] });
    const ending = runIn(sandbox).catch((error: unknown) => error);
    await sleep(100);
    await world.child.stop();
    expect(await world.child.ended).toBe(0);
    expect(await ending).toMatchObject({ code: "sandbox-failed" });
    await until(() => tracesOf(instance, world.folder).length === 0);
    expect(tracesOf(instance, world.folder)).toEqual([]);
  });

  it("is followed by a start that clears away what a dead one without a janitor left", async () => {
    const dead = `${readlinkSync("/proc/self/ns/pid").replaceAll(/[^0-9]/g, "")}-999999-1`;
    mkdirSync(`/sys/fs/cgroup/memory/mayfly-${dead}/job/c`, { recursive: true });
    mkdirSync(`/run/mayfly-sandboxd.${dead}`);
    const foreign = `/sys/fs/cgroup/memory/mayfly-1-999999-1`;
    mkdirSync(foreign, { recursive: true });
    await using world = await startWorld();
    expect(readdirSync("/sys/fs/cgroup/memory").filter((name) => name.includes("-999999-1"))).toEqual(["mayfly-1-999999-1"]);
    expect(readdirSync("/run").filter((name) => name.includes(dead))).toEqual([]);
    spawnSync("rmdir", [foreign]);
    expect(world.child.pid).toBeGreaterThan(1);
  });

  it.each(["x", "../../etc", "INSTANCE"])(
    "is not risked by one that claims to be inside (%s): it touches nothing of the host",
    (claim) => {
      const own = `${readlinkSync("/proc/self/ns/pid").replaceAll(/[^0-9]/g, "")}-1-1`;
      const folder = mkdtempSync(join(tmpdir(), "mayfly-claim-"));
      writeFileSync(`${folder}/mayfly.yaml`, "{}");
      const before = readFileSync("/proc/self/mountinfo", "utf8");
      const entry = fileURLToPath(new URL("./sandboxd-entry.ts", import.meta.url));
      const flags = [
        "--config",
        `${folder}/mayfly.yaml`,
        "--socket",
        "/none/such.sock",
        "--serve-uid",
        "0",
        "--nested",
        claim.replace("INSTANCE", own),
      ];
      const { status, stdout } = spawnSync(process.execPath, [entry, "sandboxd", ...flags], { encoding: "utf8" });
      rmSync(folder, { recursive: true });
      expect([status, stdout]).toEqual([1, expect.stringContaining('"code":"usage"')]);
      expect(readFileSync("/proc/self/mountinfo", "utf8")).toBe(before);
    },
  );

  it("is not brought about by another that wants the same socket", async () => {
    await using world = await startWorld();
    await expect(startIn(world.folder)).rejects.toMatchObject({ code: "socket-in-use" });
    expect((await sh(world, "echo alive")).stdout).toBe("alive\n");
  });
});
