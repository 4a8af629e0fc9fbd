import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createBroker } from "../src/service.ts";
import { type OpenDoor, openDoor } from "./api/open-door.ts";
import { mayfly, type Ran, type Surroundings } from "./commands/shell.ts";
import { sandboxThat } from "./job-stage.ts";
import { openRenewalStage, type RenewalStage, tokenText } from "./renewal-stage.ts";

/* `mayfly run` at a real door, with the real flow behind it; the job of the sandbox says a word now and then, and goes on. */

const fresh = 1_200;
const grace = fresh / 2;
const lasts = fresh * 2.6;

let stage: RenewalStage;
let open: OpenDoor;
let tokenFile: string;

beforeAll(async () => {
  stage = await openRenewalStage(fresh);
  const sandbox = sandboxThat({
    run: async ({ signal, output }) => {
      for (const end = performance.now() + lasts; performance.now() < end && !signal.aborted; ) {
        await output("stdout", Buffer.from("."));
        await sleep(20);
      }
      return { kind: signal.aborted ? "cancelled" : "exited", code: 0, peakMemory: undefined };
    },
  });
  const house = { ...stage.house, sandboxes: { ...stage.house.sandboxes, open: async () => sandbox } };
  const about = {
    version: "0.1.0",
    startedAt: 0,
    issuers: ["ci"],
    providers: [],
    draining: () => false,
    trouble: () => [],
  };
  open = await openDoor({ broker: createBroker(house, about) });
  tokenFile = join(stage.folder, "token");
});

afterAll(async () => {
  await open?.[Symbol.asyncDispose]();
  await stage?.[Symbol.asyncDispose]();
});

const here = (args: readonly string[], around: Surroundings = {}): Promise<Ran> =>
  mayfly(args, { cwd: stage.folder, ...around, env: { MAYFLY_RUN: join(open.folder, "run"), ...around.env } });

const run = (args: readonly string[], around?: Surroundings): Promise<Ran> =>
  here(["run", "--template", "long", "--workspace", stage.folder, ...args, "--", "true"], around);

/** As a CI system keeps a token's file up to date: by another one in its place. */
function write(text: string): void {
  writeFileSync(`${tokenFile}.new`, text);
  renameSync(`${tokenFile}.new`, tokenFile);
}

/** Keeps the file up to date until the returned object is disposed. */
function rotating(): Disposable {
  write(tokenText());
  const timer = setInterval(() => write(tokenText()), fresh / 8);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

const renewals = async (): Promise<number> => (await stage.ledger.entries({ limit: 500, kinds: ["identity-renewed"] })).length;

describe("`mayfly run`, asked for a fresh token", () => {
  test("reads its file again, while the job's output goes on", async () => {
    using _file = rotating();
    const before = await renewals();
    expect(await run(["--token", tokenFile])).toMatchObject({
      exit: 0,
      stderr: "",
      stdout: expect.stringMatching(/^\.{20,}$/),
    });
    expect((await renewals()) - before).toBe(2);
  });

  test("does so within a session too", async () => {
    using _file = rotating();
    const before = await renewals();
    const handle = (await here(["session", "start", "--token", tokenFile])).stdout.trim();
    expect(await run(["--session", handle, "--token", tokenFile])).toMatchObject({ exit: 0, stderr: "" });
    expect((await renewals()) - before).toBe(2);
  });

  test("asks its CI system again where nothing else is said", async () => {
    const variable = { GITLAB_CI: "true", MAYFLY_ID_TOKEN: tokenText() };
    const before = await renewals();
    const ran = await run([], { env: variable });
    expect(ran.exit).toBe(123);
    expect(ran.stderr).toContain(
      "the job did not prove itself afresh in time: the identity token has already opened a session",
    );
    expect(ran.stderr).toContain("leave it out where the CI system gives only one");
    expect(await renewals()).toBe(before);
  });

  test("says that stdin can give only one, and the job goes on until its deadline", async () => {
    const began = performance.now();
    const ran = await run(["--token", "-"], { stdin: tokenText() });
    expect(ran.exit).toBe(123);
    expect(ran.stderr).toContain("mayfly: a fresh identity token is needed, and stdin gave its only one\n");
    expect(ran.stderr).toContain("use --token auto, or a file that the CI system keeps up to date");
    expect(ran.stderr).toContain("the job did not prove itself afresh in time: the runner gave no fresh token");
    expect(performance.now() - began).toBeGreaterThanOrEqual(fresh + grace);
  });

  test("says why it finds none", async () => {
    write(tokenText());
    const running = run(["--token", tokenFile]);
    await sleep(fresh / 2);
    rmSync(tokenFile);
    const ran = await running;
    expect(ran.exit).toBe(123);
    expect(ran.stderr).toContain(`mayfly: ${tokenFile} cannot be read\n`);
  });
});
