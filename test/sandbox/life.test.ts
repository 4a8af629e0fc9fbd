import { statSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { deferred } from "../../src/sandbox/deferred.ts";
import { Secret } from "../../src/secret.ts";
import { openJob, planOf, runIn, sh, startWorld, type World, whyNotHere } from "./fixture.ts";
import { insideOf, running as runningLike, until } from "./traces.ts";

describe.each(["crun", "runc"])("the life of a job of %s", (runtime) => {
  const reason = whyNotHere(runtime);
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
  let world: World;
  beforeAll(async () => {
    if (reason === undefined) world = await startWorld({ runtime });
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  it.each([0, 1, 3, 42, 125, 126, 127, 255])("passes on exit code %i", async (code) => {
    expect((await sh(world, `exit ${code}`)).exit).toMatchObject({ kind: "exited", code });
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const)(
    "passes on %s to the command",
    async (name) => {
      const heard = deferred<void>();
      const signals = (async function* () {
        await heard.promise;
        yield name;
      })();
      let said = "";
      const output = async (_: string, chunk: Uint8Array) => {
        said += Buffer.from(chunk).toString();
        if (said.includes("ready")) heard.resolve();
      };
      const { exit } = await sh(
        world,
        `trap 'echo got; exit 9' ${name.slice(3)}; echo ready; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.3; done`,
        { signals, output },
      );
      expect([exit, said.includes("got\n")]).toMatchObject([{ kind: "exited", code: 9 }, true]);
    },
  );

  it("ends with its first process, whatever that left running", async () => {
    const { exit, stdout } = await sh(
      world,
      "(trap '' TERM HUP; setsid sleep 98761 >/dev/null 2>&1 &) ; nohup sleep 98761 & echo done",
    );
    expect([exit, stdout]).toMatchObject([{ kind: "exited", code: 0 }, "done\n"]);
    expect(runningLike("sleep 98761")).toEqual([]);
  });

  it("is ended when its client goes away", async () => {
    const gone = new AbortController();
    const output = async () => gone.abort();
    const { exit } = await sh(world, "echo on; sleep 98761", { signal: gone.signal, output });
    expect(exit.kind).toBe("cancelled");
  });

  it("ends at once when its client was gone before it started", async () => {
    const { exit } = await sh(world, "sleep 98761", { signal: AbortSignal.abort() });
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
    await expect(sandbox.deliver([{ credential: "db", name: "late", content: "x" }])).rejects.toMatchObject({
      code: "delivery-failed",
    });
    const removing = performance.now();
    await sandbox.remove();
    expect(performance.now() - removing).toBeLessThan(1000);
    await running;
    expect((await world.sandboxes.status()).running).toBe(0);
  });

  it("can be frozen while nobody reads its output", async () => {
    const sandbox = await openJob(world, { command: ["sh", "-c", "cat /dev/zero"] });
    const stuck = deferred<void>();
    const reading = deferred<void>();
    const running = runIn(sandbox, { output: () => (reading.resolve(), stuck.promise) }).catch(() => undefined);
    await reading.promise;
    await sandbox.freeze();
    await sandbox.remove();
    stuck.resolve();
    await running;
  });

  it("gets its credentials before and while it runs, each change at once", async () => {
    const sandbox = await openJob(world, {
      command: [
        "sh",
        "-c",
        "cat /run/mayfly/credentials/db/user; echo; read -r line; cat /run/mayfly/credentials/db/user /run/mayfly/credentials/aws/key",
      ],
    });
    await sandbox.deliver([{ credential: "db", name: "user", content: "first" }]);
    const go = deferred<void>();
    const stdin = (async function* () {
      await go.promise;
      yield Buffer.from("go\n");
    })();
    let said = "";
    const output = async (_: string, chunk: Uint8Array) => {
      said += Buffer.from(chunk).toString();
      if (said !== "first\n") return;
      await sandbox.deliver([
        { credential: "db", name: "user", content: "second" },
        { credential: "aws", name: "key", content: " third" },
      ]);
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
    await expect(sandbox.deliver([{ credential: "db", name, content: "x" }])).rejects.toMatchObject({
      code: "delivery-failed",
    });
    await expect(sandbox.deliver([{ credential: name, name: "x", content: "x" }])).rejects.toMatchObject({
      code: "delivery-failed",
    });
  });

  it("fails as ours, with the runtime's own words for the operator, where the runtime fails", async () => {
    const wrapper = `${world.folder}/runtime`;
    writeFileSync(
      wrapper,
      `#!/bin/sh\ncase "$*" in *job-*) echo '{"msg":"no more mounts","level":"error"}' >"$4"; exit 1;; esac\nexec ${runtime} "$@"\n`,
      { mode: 0o755 },
    );
    await using other = await startWorld({ runtime: wrapper });
    await expect(sh(other, "true")).rejects.toMatchObject({
      code: "sandbox-failed",
      detail: expect.stringContaining("no more mounts"),
    });
    expect((await other.sandboxes.status()).running).toBe(0);
  });

  it("is not started twice", async () => {
    await using sandbox = await openJob(world);
    await runIn(sandbox);
    await expect(runIn(sandbox)).rejects.toMatchObject({ code: "sandbox-failed" });
  });

  it("is refused where its id could be a path", async () => {
    const plan = { ...planOf(world), id: "../x" };
    await expect(world.sandboxes.open(plan, new AbortController().signal)).rejects.toMatchObject({ code: "usage" });
  });

  it("leaves nothing after fifty", async () => {
    const secrets = [Secret.of("a-secret-of-fifty-jobs")];
    const five = () =>
      Promise.all([0, 1, 2, 3, 4].map((index) => sh(world, `echo ${index} >>out; sleep 0.01; exit ${index}`, { secrets })));
    await five();
    const before = insideOf(world);
    for (let batch = 0; batch < 10; batch += 1) await five();
    await expect.poll(() => insideOf(world), { timeout: 10_000 }).toEqual(before);
    expect(statSync("/dev/null")).toMatchObject({ uid: 0, mode: 0o20666 });
  }, 60_000);
});
