import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { deferred } from "../../src/sandbox/deferred.ts";
import { Secret } from "../../src/secret.ts";
import { openJob, run, runIn, sh, startWorld, type World, whyNotHere } from "./fixture.ts";

async function* chunks(count: number, size: number): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < count; index += 1) yield Buffer.alloc(size, index);
}

describe.each(["crun", "runc"])("the streams of a job of %s", (runtime) => {
  const reason = whyNotHere(runtime);
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
  let world: World;
  beforeAll(async () => {
    if (reason === undefined) world = await startWorld({ runtime });
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  it("bring stdin byte by byte to its end, and stdout back", async () => {
    const sum = createHash("sha256");
    for await (const chunk of chunks(40, 100_003)) sum.update(chunk);
    const { stdout } = await run(world, ["sha256sum"], { stdin: chunks(40, 100_003) });
    expect(stdout).toBe(`${sum.digest("hex")}  -\n`);
  });

  it("end stdin at once where there is none", async () => {
    expect((await run(world, ["wc", "-c"])).stdout).toBe("0\n");
  });

  it("do not wait for a client that never ends its stdin", async () => {
    const never = (async function* () {
      await new Promise(() => undefined);
      yield Buffer.alloc(0);
    })();
    expect((await sh(world, "echo done", { stdin: never })).stdout).toBe("done\n");
  });

  it("let a job end that does not read what it is given", async () => {
    expect((await sh(world, "exec <&-; echo closed", { stdin: chunks(100, 65_536) })).stdout).toBe("closed\n");
  });

  it("are complete: the last byte before the exit is there", async () => {
    for (let round = 0; round < 10; round += 1) {
      const { stdout } = await sh(world, "head -c 300000 /dev/zero | tr '\\0' x; printf END");
      expect([stdout.length, stdout.slice(-3)]).toEqual([300_003, "END"]);
    }
  });

  it("slow a job down to its reader, and buffer little", async () => {
    await using sandbox = await openJob(world, { command: ["sh", "-c", "head -c 50000000 /dev/zero; echo wrote >wrote"] });
    const slow = deferred<void>();
    let read = 0;
    const running = runIn(sandbox, { output: (_, chunk) => ((read += chunk.length), slow.promise) });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(read).toBeLessThanOrEqual(65_536);
    const { existsSync } = await import("node:fs");
    expect(existsSync(`${world.workspace}/wrote`)).toBe(false);
    slow.resolve();
    expect((await running).exit.code).toBe(0);
    expect(read).toBe(50_000_000);
  });

  it("of one job with a stuck reader do not hold up another's", async () => {
    await using stuck = await openJob(world, { command: ["cat", "/dev/zero"] });
    const blocked = deferred<void>();
    const running = runIn(stuck, { output: () => blocked.promise }).catch(() => undefined);
    const { stdout } = await sh(world, "head -c 5000000 /dev/zero | wc -c; head -c 5000000 /dev/zero");
    expect(stdout.length).toBe(5_000_008);
    await stuck.remove();
    blocked.resolve();
    await running;
  });

  it("hide secrets that are split between writes, on either stream", async () => {
    const secret = Secret.of("Xk29-split-secret-value");
    const { stdout, stderr } = await sh(
      world,
      "printf 'a Xk29-spl'; sleep 0.1; printf 'it-secret-value z'; printf 'Xk29-split-secret-value' >&2",
      { secrets: [secret] },
    );
    expect([stdout, stderr]).toEqual(["a *** z", "***"]);
  });

  it("refuse to arm a value too short to be hidden", async () => {
    await using sandbox = await openJob(world);
    await expect(sandbox.arm([Secret.of("abc")])).rejects.toMatchObject({ code: "delivery-failed" });
  });
});
