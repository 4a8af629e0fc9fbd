import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Isolation, Sandbox } from "../../src/sandbox/sandbox.ts";
import { openJob, runIn, sh, startWorld, type World, whyNotHere } from "./fixture.ts";

describe.each(["crun", "runc"])("the limits of a job of %s", (runtime) => {
  const reason = whyNotHere(runtime);
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
  let world: World;
  beforeAll(async () => {
    if (reason === undefined)
      world = await startWorld({ runtime, jobs: 2, memory: "1GiB", cpus: 4, pids: 200, timeout: "1m", scratch: "32MiB" });
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  const eat = (mebibytes: number) => `exec perl -e 'my $x = "x" x (${mebibytes} << 20); print length $x'`;

  it("ends a job that takes more memory than it may as out of memory", async () => {
    const { exit } = await sh(world, eat(200), { isolation: { memory: 2 ** 26 } });
    expect(exit).toMatchObject({ kind: "oom", code: 137 });
  });

  it("leaves a job alone that takes less", async () => {
    const { exit, stdout } = await sh(world, eat(50), { isolation: { memory: 2 ** 28 } });
    expect([exit, stdout]).toMatchObject([{ kind: "exited", code: 0 }, String(50 << 20)]);
  });

  it.each<[string, number, string]>([
    ["that ended well", 50, "exited"],
    ["that was out of memory", 400, "oom"],
  ])("says how much memory a job %s had at its most", async (_, mebibytes, kind) => {
    const { exit } = await sh(world, eat(mebibytes), { isolation: { memory: 2 ** 28 } });
    expect(exit.kind).toBe(kind);
    expect(exit.peakMemory).toBeGreaterThan(50 << 20);
    expect(exit.peakMemory).toBeLessThanOrEqual(2 ** 28);
  });

  it("does not call a job out of memory that killed itself, nor one that filled the page cache", async () => {
    const { exit } = await sh(world, "head -c 150000000 /dev/zero >cache; cat cache >/dev/null; rm cache; sh -c 'kill -9 $$'", {
      isolation: { memory: 2 ** 26 },
    });
    expect(exit).toMatchObject({ kind: "exited", code: 137 });
  });

  it("has a full /tmp before it is out of memory", async () => {
    const { exit, stderr } = await sh(world, "head -c 200000000 /dev/zero >/tmp/big", { isolation: { memory: 2 ** 27 } });
    expect(exit).toMatchObject({ kind: "exited", code: 1 });
    expect(stderr).toContain("No space left");
  });

  it("stops a fork bomb at its number of processes", async () => {
    const { stdout } = await sh(world, "i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done 2>/dev/null; echo all", {
      isolation: { pids: 20, timeout: 4000 },
    });
    expect(stdout).not.toContain("all");
  });

  it("gives half a processor's time where it may have half of one", async () => {
    const { stdout } = await sh(
      world,
      "timeout 1 sh -c 'while :; do :; done'; awk '/^usage_usec|^cpu /{print $2}' /dev/null; times | tail -1",
      { isolation: { cpus: 0.5 } },
    );
    const [, minutes = "9", seconds = "9"] = /^([0-9]+)m([0-9.]+)s/.exec(stdout) ?? [];
    expect(Number(minutes) * 60 + Number(seconds)).toBeLessThan(0.75);
  });

  it("ends a job that ignores TERM when its time is over", async () => {
    const started = performance.now();
    const { exit, stdout } = await sh(world, "trap 'echo asked' TERM; echo on; while :; do sleep 1; done", {
      isolation: { timeout: 400 },
    });
    expect(exit.kind).toBe("timeout");
    expect(stdout).toBe("on\nasked\n");
    expect(performance.now() - started).toBeLessThan(2500);
  });

  it("says busy to one job more than it may run, and takes the next once one has gone", async () => {
    const held: Sandbox[] = [await openJob(world), await openJob(world)];
    await expect(openJob(world)).rejects.toMatchObject({ code: "busy", hint: expect.stringContaining("2 jobs") });
    await held[0]?.remove();
    await using next = await openJob(world);
    expect((await runIn(next)).exit.code).toBe(0);
    await held[1]?.remove();
  });

  it("gives each job at a time a range of ids of its own", async () => {
    await using one = await openJob(world, { command: ["cat", "/proc/self/uid_map"] });
    await using other = await openJob(world, { command: ["cat", "/proc/self/uid_map"] });
    const [first, second] = [(await runIn(one)).stdout, (await runIn(other)).stdout].map((map) =>
      Number(map.trim().split(/\s+/)[1]),
    );
    expect(Math.abs((first ?? 0) - (second ?? 0))).toBe(65_536);
  });

  it.each<[string, Partial<Isolation>]>([
    ["memory", { memory: 2 ** 31 }],
    ["cpus", { cpus: 5 }],
    ["pids", { pids: 201 }],
    ["timeout", { timeout: 61_000 }],
  ])("refuses more %s than sandboxd's own configuration admits", async (name, isolation) => {
    await expect(openJob(world, { isolation })).rejects.toMatchObject({
      code: "sandbox-unmet",
      message: expect.stringContaining(`more ${name} than`),
    });
  });

  const [image, only] = [`registry.example.com/ci/node@sha256:${"0".repeat(64)}`, "only"] as const;
  const endpoints = [{ host: "db.example.com", port: 5432 }];
  it.each<[string, Parameters<typeof openJob>[1], string]>([
    ["an image", { isolation: { image } }, "no images yet"],
    ["a network", { network: { kind: only, endpoints } }, "no network for jobs yet"],
    ["a network that is only watched", { network: { kind: "observed", endpoints: [] } }, "no network for jobs yet"],
    ["another runtime", { isolation: { runtimes: ["runsc", "kata"] } }, `by ${runtime}, the template only by runsc, kata`],
  ])("refuses %s, and takes nothing", async (_, wanted, message) => {
    const held = [await openJob(world), await openJob(world)];
    // All places are taken: what is refused for its kind does not even ask for one.
    await expect(openJob(world, wanted)).rejects.toMatchObject({
      code: "sandbox-unmet",
      message: expect.stringContaining(message),
    });
    for (const job of held) await job.remove();
  });

  it("runs a job whose template names this runtime", async () => {
    const { exit } = await sh(world, "true", { isolation: { runtimes: ["runsc", runtime] } });
    expect(exit.code).toBe(0);
  });

  it.each([
    ["an unknown name", ["nonesuch"]],
    ["an unknown path", ["/usr/bin/nonesuch"]],
    ["a folder", ["/usr/bin"]],
    ["what is on the host only", ["/root/.bashrc"]],
    ["a file that is no program", ["/etc/hosts"]],
    ["a file that the workspace lacks", ["./run.sh"]],
    ["an empty name", [""]],
    ["a name longer than a file's", ["a".repeat(300)]],
    ["a path longer than the kernel's", [`/usr/${"a/".repeat(3_000)}a`]],
  ])("refuses %s as a command", async (_, command) => {
    await expect(openJob(world, { command })).rejects.toMatchObject({ code: "command-not-found" });
  });

  it("gives up on a command behind a maze of links, so that no other job waits for the search", async () => {
    const deep = Array.from({ length: 200 }, () => "a").join("/");
    mkdirSync(`${world.workspace}/${deep}`, { recursive: true });
    for (const link of [0, 1, 2, 3]) symlinkSync(`m${link + 1}`, `${world.workspace}/${deep}/m${link}`);
    writeFileSync(`${world.workspace}/${deep}/m4`, "#!/bin/sh\n", { mode: 0o755 });
    await expect(openJob(world, { command: [`./${deep}/m0`] })).rejects.toMatchObject({ code: "command-not-found" });
    await using job = await openJob(world, { command: [`./${deep}/m4`] });
    expect(job.tolerated).toBeDefined();
  });

  it.each([
    ["by name", ["true"]],
    ["by path", ["/bin/true"]],
    ["through links", ["awk", "BEGIN{}"]],
  ])("finds a command %s", async (_, command) => {
    await using job = await openJob(world, { command });
    expect((await runIn(job)).exit).toMatchObject({ kind: "exited", code: 0 });
  });
});
