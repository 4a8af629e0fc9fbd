import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Secret } from "../../src/secret.ts";
import { openJob, runIn, runner, sh, startWorld, whyNotHere, type World } from "./fixture.ts";

/** What a job may leave on the host, were something forgotten: everything that carries our name, and mounts. */
function traces(folder: string): readonly string[] {
  const groups = spawnSync("find", ["/sys/fs/cgroup", "-maxdepth", "2", "-name", "mayfly-*"], { encoding: "utf8" }).stdout;
  const ours = groups.split("\n").filter((line) => line !== "" && aliveOrOurs(line));
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n").filter((line) => line.includes(folder) || line.includes("mayfly-sandboxd"));
  return [...ours, ...mounts, ...processesWith(folder)];
}

/** Other tests run sandboxds of their own at the same time; this process's children are named after theirs. */
let instance = "none";
function aliveOrOurs(path: string): boolean {
  return path.includes(instance);
}

/** Not the dead ones, which the machine's own first process may be slow to bury. */
function processesWith(word: string): readonly string[] {
  return readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name)).flatMap((pid) => {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      return command.includes(word) && Number(pid) !== process.pid ? [`${pid} ${command.slice(0, 80)}`] : [];
    } catch {
      return [];
    }
  });
}

async function until(what: () => boolean, most = 3000): Promise<number> {
  const started = performance.now();
  while (!what() && performance.now() - started < most) await sleep(5);
  return performance.now() - started;
}

function countdown(): number {
  return spawnSync("pgrep", ["-f", "-c", "sleep 98765"], { encoding: "utf8" }).stdout.trim() === "0" ? 0 : 1;
}

describe.each(["crun", "runc"])("the life of a job of %s", (runtime) => {
  const reason = whyNotHere(runtime);
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
  let world: World;
  beforeAll(async () => {
    if (reason === undefined) world = await startWorld({ runtime });
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  it.each([0, 1, 3, 42, 125, 126, 127, 255])("passes on exit code %i", async (code) => {
    expect((await sh(world, `exit ${code}`)).exit).toEqual({ kind: "exited", code });
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const)("passes on %s to the command", async (name) => {
    const heard = Promise.withResolvers<void>();
    const signals = (async function* () {
      await heard.promise;
      yield name;
    })();
    let said = "";
    const output = async (_: string, chunk: Uint8Array) => {
      said += Buffer.from(chunk).toString();
      if (said.includes("ready")) heard.resolve();
    };
    const { exit } = await sh(world, `trap 'echo got; exit 9' ${name.slice(3)}; echo ready; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.3; done`, { signals, output });
    expect([exit, said]).toEqual([{ kind: "exited", code: 9 }, "ready\ngot\n"]);
  });

  it("ends with its first process, whatever that left running", async () => {
    const { exit, stdout } = await sh(world, "(trap '' TERM HUP; setsid sleep 98765 >/dev/null 2>&1 &) ; nohup sleep 98765 & echo done");
    expect([exit, stdout]).toEqual([{ kind: "exited", code: 0 }, "done\n"]);
    expect(countdown()).toBe(0);
  });

  it("is ended when its client goes away", async () => {
    const gone = new AbortController();
    const output = async () => gone.abort();
    const { exit } = await sh(world, "echo on; sleep 98765", { signal: gone.signal, output });
    expect(exit.kind).toBe("cancelled");
  });

  it("ends at once when its client was gone before it started", async () => {
    const { exit } = await sh(world, "sleep 98765", { signal: AbortSignal.abort() });
    expect(exit.kind).toBe("cancelled");
  });

  it("stands still once frozen, and is then removed in less than a second", async () => {
    const sandbox = await openJob(world, { command: ["sh", "-c", "while :; do echo tick; sleep 0.01; done"] });
    let ticks = 0;
    const running = runIn(sandbox, { output: async () => void (ticks += 1) }).catch(() => undefined);
    await until(() => ticks > 3);
    const froze = performance.now();
    await sandbox.freeze();
    expect(performance.now() - froze).toBeLessThan(300);
    const seen = ticks;
    await sleep(100);
    expect(ticks).toBe(seen);
    await expect(sandbox.deliver([{ credential: "db", name: "late", content: "x" }])).rejects.toMatchObject({ code: "delivery-failed" });
    const removing = performance.now();
    await sandbox.remove();
    expect(performance.now() - removing).toBeLessThan(1000);
    await running;
    expect((await world.sandboxes.status()).running).toBe(0);
  });

  it("can be frozen while nobody reads its output", async () => {
    const sandbox = await openJob(world, { command: ["sh", "-c", "cat /dev/zero"] });
    const stuck = Promise.withResolvers<void>();
    const reading = Promise.withResolvers<void>();
    const running = runIn(sandbox, { output: () => (reading.resolve(), stuck.promise) }).catch(() => undefined);
    await reading.promise;
    await sandbox.freeze();
    await sandbox.remove();
    stuck.resolve();
    await running;
  });

  it("gets its credentials before and while it runs, each change at once", async () => {
    const sandbox = await openJob(world, { command: ["sh", "-c", "cat /run/mayfly/credentials/db/user; echo; read -r line; cat /run/mayfly/credentials/db/user /run/mayfly/credentials/aws/key"] });
    await sandbox.deliver([{ credential: "db", name: "user", content: "first" }]);
    const go = Promise.withResolvers<void>();
    const stdin = (async function* () {
      await go.promise;
      yield Buffer.from("go\n");
    })();
    let said = "";
    const output = async (_: string, chunk: Uint8Array) => {
      said += Buffer.from(chunk).toString();
      if (said !== "first\n") return;
      await sandbox.deliver([{ credential: "db", name: "user", content: "second" }, { credential: "aws", name: "key", content: " third" }]);
      go.resolve();
    };
    // Delivered from within the output's own turn, a deadlock would show here.
    const running = runIn(sandbox, { stdin, output: async (stream, chunk) => void output(stream, chunk) });
    expect((await running).exit.code).toBe(0);
    expect(said).toBe("first\nsecond third");
    await sandbox.remove();
  });

  it.each(["..", "../x", "a/b", ".hidden", "", "-x", "x".repeat(65)])("refuses a file named %j", async (name) => {
    await using sandbox = await openJob(world);
    await expect(sandbox.deliver([{ credential: "db", name, content: "x" }])).rejects.toMatchObject({ code: "delivery-failed" });
    await expect(sandbox.deliver([{ credential: name, name: "x", content: "x" }])).rejects.toMatchObject({ code: "delivery-failed" });
  });

  it("is not started twice", async () => {
    await using sandbox = await openJob(world);
    await runIn(sandbox);
    await expect(runIn(sandbox)).rejects.toMatchObject({ code: "sandbox-failed" });
  });

  it("is refused where its id could be a path", async () => {
    const { planOf } = await import("./fixture.ts");
    const plan = { ...planOf(world), id: "../x" };
    await expect(world.sandboxes.open(plan, new AbortController().signal)).rejects.toMatchObject({ code: "usage" });
  });

  it("leaves nothing after fifty", async () => {
    await sh(world, "true");
    instance = instanceOf(world);
    const before = stateOf(world);
    for (let batch = 0; batch < 10; batch += 1) {
      await Promise.all(Array.from({ length: 5 }, (_, index) => sh(world, `echo ${index} >>out; sleep 0.01; exit ${index}`, { secrets: [Secret.of("a-secret-of-fifty-jobs")] })));
    }
    expect(stateOf(world)).toEqual(before);
    expect(statSync("/dev/null")).toMatchObject({ uid: 0, mode: 0o20666 });
  }, 60_000);
});

function instanceOf({ child }: World): string {
  const stat = readFileSync(`/proc/${child.pid}/stat`, "latin1");
  return `${child.pid}-${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`;
}

/** The inside of the nest, where a forgotten mount or folder would be. */
function stateOf({ child }: World) {
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim();
  const [init = ""] = children.split(" ");
  const mounts = readFileSync(`/proc/${init}/mountinfo`, "utf8").split("\n").map((line) => line.split(" ")[4]);
  const node = readFileSync(`/proc/${init}/task/${init}/children`, "utf8").trim().split(" ")[0] ?? "";
  const home = mounts.find((path) => path?.startsWith("/run/mayfly-sandboxd.")) ?? "";
  const inside = `/proc/${init}/root${home}`;
  const groups = spawnSync("find", ["/sys/fs/cgroup", "-mindepth", "3", "-path", `*mayfly-*${instanceOf({ child } as World)}/*`], { encoding: "utf8" }).stdout;
  return {
    mounts: mounts.toSorted(),
    jobs: readdirSync(`${inside}/jobs`),
    work: readdirSync(`${inside}/work`).filter((name) => name !== "trial-workspace"),
    groups,
    processes: readFileSync(`/proc/${node}/task/${node}/children`, "utf8").trim(),
    descriptors: readdirSync(`/proc/${node}/fd`).length,
  };
}

describe("the death of sandboxd", () => {
  const reason = whyNotHere("crun");
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));

  const victims: readonly [string, (world: World) => number][] = [
    ["the process that serve knows", ({ child }) => child.pid],
    ["the init of its namespace", ({ child }) => childOf(child.pid)],
    ["sandboxd itself", ({ child }) => childOf(childOf(child.pid))],
  ];

  it.each(victims.flatMap(([who, pid]) => [false, true].map((frozen) => ({ who, pid, frozen }))))("by kill -9 of $who, with a frozen job: $frozen, leaves nothing", async ({ pid, frozen }) => {
    await using world = await startWorld();
    instance = instanceOf(world);
    const sandbox = await openJob(world, { command: ["sh", "-c", "echo on; sleep 98765 & sleep 98765"] });
    await sandbox.deliver([{ credential: "db", name: "password", content: "x".repeat(40) }]);
    const on = Promise.withResolvers<void>();
    const running = runIn(sandbox, { output: async () => on.resolve() }).catch((error: unknown) => error);
    await on.promise;
    expect(traces(world.folder).length).toBeGreaterThan(3);
    if (frozen) await sandbox.freeze();
    process.kill(pid(world), "SIGKILL");
    const gone = await until(() => traces(world.folder).length === 0 && countdown() === 0);
    expect(traces(world.folder)).toEqual([]);
    expect(gone).toBeLessThan(1500);
    expect(readdirSync("/run").filter((name) => name.includes(instance))).toEqual([]);
    expect(await running).toMatchObject({ code: "sandbox-failed" });
    await sandbox.remove();
  });

  it("by the end of its lifeline is orderly, and says 0", async () => {
    await using world = await startWorld();
    instance = instanceOf(world);
    const sandbox = await openJob(world, { command: ["sleep", "98765"] });
    const running = runIn(sandbox).catch((error: unknown) => error);
    await sleep(100);
    await world.child.stop();
    expect(await world.child.ended).toBe(0);
    expect(await running).toMatchObject({ code: "sandbox-failed" });
    await until(() => traces(world.folder).length === 0);
    expect(traces(world.folder)).toEqual([]);
  });

  it("is followed by a start that clears away what a dead one without a janitor left", async () => {
    const { mkdirSync } = await import("node:fs");
    const dead = `${readdirSync("/proc/self/ns").length > 0 ? pidNamespace() : ""}-999999-1`;
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

  it("is not brought about by another that wants the same socket", async () => {
    await using world = await startWorld();
    const { startSandboxd } = await import("../../src/sandbox/child.ts");
    const { systemClock } = await import("../../src/time.ts");
    const { fileURLToPath } = await import("node:url");
    const program = [process.execPath, fileURLToPath(new URL("./sandboxd-entry.ts", import.meta.url))];
    const second = startSandboxd({ program, config: `${world.folder}/mayfly.yaml`, socket: `${world.folder}/sandboxd.sock`, serveUid: 0, clock: systemClock });
    await expect(second).rejects.toMatchObject({ code: "socket-in-use" });
    expect((await sh(world, "echo alive")).stdout).toBe("alive\n");
  });
});

function pidNamespace(): string {
  return String(statSync("/proc/self/ns/pid").ino);
}

function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
}

describe("sandboxd's own walls", () => {
  const reason = whyNotHere("crun");
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));

  it("are closed to every other user: its socket, its memory, its descriptors, its mounts", async () => {
    await using world = await startWorld();
    const node = childOf(childOf(world.child.pid));
    const asRunner = (command: string) => spawnSync("setpriv", ["--reuid", String(runner.uid), "--regid", String(runner.gid), "--clear-groups", "sh", "-c", command], { encoding: "utf8" });
    for (const path of ["mem", "environ", "root/run", "fd", "maps"]) {
      expect(asRunner(`ls /proc/${node}/${path}/ 2>&1; head -c 1 /proc/${node}/${path}`).status, path).not.toBe(0);
    }
    const connect = `perl -MIO::Socket::UNIX -e 'exit(IO::Socket::UNIX->new(Peer => "${world.folder}/sandboxd.sock") ? 0 : 1)'`;
    expect(asRunner(connect).status).toBe(1);
    expect(spawnSync("sh", ["-c", connect]).status).toBe(0);
    spawnSync("chmod", ["666", `${world.folder}/sandboxd.sock`]);
    const talk = `perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => "${world.folder}/sandboxd.sock") or exit 1; syswrite $s, "PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\0\\0\\0\\4\\0\\0\\0\\0\\0"; exit(sysread($s, $b, 9) ? 0 : 1)'`;
    expect(asRunner(talk).status).toBe(1);
    expect(spawnSync("sh", ["-c", talk]).status).toBe(0);
  });

  it("keep its memory mount out of the host's sight", async () => {
    await using world = await startWorld();
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(`mayfly-sandboxd.${instanceOf(world)}`);
    const status = readFileSync(`/proc/${childOf(childOf(world.child.pid))}/limits`, "utf8");
    expect(status).toMatch(/Max core file size +1 +1 /);
  });
});
