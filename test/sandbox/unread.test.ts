import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { deferred } from "../../src/sandbox/deferred.ts";
import type { JobStreams, Sandbox } from "../../src/sandbox/sandbox.ts";
import { Secret } from "../../src/secret.ts";
import { openJob, startWorld, type Wanted, type World, whyNotHere } from "./fixture.ts";
import { insideOf, nodeOf, running as runningLike, until } from "./traces.ts";

async function* nothing(): AsyncGenerator<never> {}

function start(sandbox: Sandbox, output: JobStreams["output"], signal = new AbortController().signal) {
  return sandbox.run({ stdin: nothing(), signals: nothing(), signal, output });
}

/** A reader that takes nothing before it is told to. */
function stuckReader() {
  const [begun, go] = [deferred<void>(), deferred<void>()];
  let text = "";
  const output: JobStreams["output"] = async (_, chunk) => {
    begun.resolve();
    await go.promise;
    text += Buffer.from(chunk).toString("latin1");
  };
  return { output, begun: begun.promise, go: () => go.resolve(), text: () => text };
}

async function timed<T>(work: Promise<T>): Promise<{ readonly value: T; readonly took: number }> {
  const began = performance.now();
  const value = await work;
  return { value, took: performance.now() - began };
}

/** Bytes that the process holds. */
function memoryOf(pid: number): number {
  const [, kibibytes = "0"] = /^VmRSS:\s+([0-9]+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kibibytes) * 1024;
}

describe.each(["crun", "runc"])("the output that nobody takes of a job of %s", (runtime) => {
  const reason = whyNotHere(runtime);
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
  let world: World;
  beforeAll(async () => {
    if (reason === undefined) world = await startWorld({ runtime, jobs: 2 });
  });
  afterAll(() => world?.[Symbol.asyncDispose]());
  const script = (text: string, wanted: Wanted = {}) => openJob(world, { ...wanted, command: ["sh", "-c", text] });

  it("keeps neither its exit from being known, nor its sandbox from being removed, nor its place from the next", async () => {
    const sandbox = await script("(while :; do echo to you; done) & sleep 1; exit 7");
    await sandbox.deliver([{ credential: "db", name: "user", content: "x" }]);
    const before = insideOf(world).jobs.length;
    const reader = stuckReader();
    const { value: exit, took } = await timed(start(sandbox, reader.output));
    expect(exit).toMatchObject({ kind: "exited", code: 7 });
    expect(took).toBeLessThan(2_000);
    expect((await timed(sandbox.remove())).took).toBeLessThan(2_000);
    expect(insideOf(world).jobs.length).toBe(before - 1);
    expect((await world.sandboxes.status()).running).toBe(0);
    reader.go();
    await sandbox.drained();
  });

  it("keeps no job alive past its time", async () => {
    const sandbox = await script("yes", { isolation: { timeout: 500 } });
    const reader = stuckReader();
    const { value: exit, took } = await timed(start(sandbox, reader.output));
    expect(exit.kind).toBe("timeout");
    expect(took).toBeLessThan(500 + 300 + 1_000);
    expect((await timed(sandbox.remove())).took).toBeLessThan(2_000);
    reader.go();
    await sandbox.drained();
    expect(reader.text()).toMatch(/^(y\n)+y?$/);
  });

  it("keeps no job alive that is cancelled, and is given up soon after", async () => {
    const gone = new AbortController();
    const sandbox = await script("trap '' TERM; while :; do echo on; done");
    const reader = stuckReader();
    const running = start(sandbox, reader.output, gone.signal);
    await reader.begun;
    gone.abort();
    const { value: exit, took } = await timed(running);
    expect(exit.kind).toBe("cancelled");
    expect(took).toBeLessThan(1_500);
    await sandbox.remove();
    expect((await timed(sandbox.drained())).took).toBeLessThan(1_000);
  });

  it("comes whole to a reader who begins once the sandbox is gone, its secrets hidden up to the last byte", async () => {
    const secret = "Xk29-secret-at-the-very-end";
    const sandbox = await script(
      `i=0; while [ $i -lt 700 ]; do printf '%s-${secret}\\n' $i; i=$((i+1)); done; printf 'END ${secret}'`,
    );
    await sandbox.arm([Secret.of(secret)]);
    const reader = stuckReader();
    expect(await start(sandbox, reader.output)).toMatchObject({ kind: "exited", code: 0 });
    await sandbox.remove();
    reader.go();
    await sandbox.drained();
    const lines = Array.from({ length: 700 }, (_, index) => `${index}-***\n`).join("");
    expect(reader.text()).toBe(`${lines}END ***`);
  });

  it("comes whole, many times what is held of it, to a reader who is slow, on both streams", async () => {
    const sandbox = await script("seq 400000 & seq 400000 >&2 & wait; sleep 0.1; printf END; printf END >&2");
    const whole = `${Array.from({ length: 400_000 }, (_, index) => `${index + 1}\n`).join("")}END`;
    const seen = { stdout: "", stderr: "" };
    const output: JobStreams["output"] = async (stream, chunk) => {
      await sleep(5);
      seen[stream] += Buffer.from(chunk).toString("latin1");
    };
    expect(await start(sandbox, output)).toMatchObject({ kind: "exited", code: 0 });
    await sandbox.remove();
    await sandbox.drained();
    expect([seen.stdout === whole, seen.stderr === whole]).toEqual([true, true]);
  });

  it("is few bytes, in sandboxd and here, and none of the job's own making", async () => {
    const sandbox = await script("touch unread-started; head -c 300000000 /dev/zero; echo wrote >unread-wrote");
    const [before, here] = [memoryOf(nodeOf(world)), process.memoryUsage().rss];
    const reader = stuckReader();
    const running = start(sandbox, reader.output);
    await reader.begun;
    await sleep(1_000);
    expect(readdirSync(world.workspace)).not.toContain("unread-wrote");
    expect(memoryOf(nodeOf(world)) - before).toBeLessThan(32 * 2 ** 20);
    expect(process.memoryUsage().rss - here).toBeLessThan(32 * 2 ** 20);
    await sandbox.freeze();
    await sandbox.remove();
    await running;
    reader.go();
    await sandbox.drained();
    expect(reader.text().length).toBeLessThan(2 ** 20);
  });

  it("does not keep a sandbox whose pipe a process outside holds open", async () => {
    const sandbox = await script("echo on; exec sleep 98762");
    let said = "";
    const gone = new AbortController();
    const running = start(sandbox, async (_, chunk) => void (said += Buffer.from(chunk).toString()), gone.signal);
    await until(() => said === "on\n");
    const [pid = "0"] = runningLike("sleep 98762")
      .map((line) => line.split(" ")[0])
      .toReversed();
    const held = openSync(`/proc/${pid}/fd/1`, "w");
    try {
      gone.abort();
      expect((await running).kind).toBe("cancelled");
      expect((await timed(sandbox.remove())).took).toBeLessThan(2_000);
      await sandbox.drained();
      expect((await world.sandboxes.status()).running).toBe(0);
    } finally {
      closeSync(held);
    }
  });

  it("holds up new jobs, not memory, where it is of more jobs than four for each place", async () => {
    const readers = Array.from({ length: 8 }, stuckReader);
    const left: Sandbox[] = [];
    for (const reader of readers) {
      const sandbox = await script("echo unread");
      await start(sandbox, reader.output);
      await sandbox.remove();
      left.push(sandbox);
    }
    await expect(script("true")).rejects.toMatchObject({ code: "busy", hint: expect.stringContaining("do not read") });
    for (const reader of readers) reader.go();
    await Promise.all(left.map((sandbox) => sandbox.drained()));
    await sleep(200);
    await using next = await script("true");
    expect((await start(next, async () => undefined)).code).toBe(0);
  });
});
