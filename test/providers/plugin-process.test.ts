import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import { systemClock } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";
import { lodge, type TestLodging } from "./lodging.ts";
import { given, isAlive, type Json, pull, started, until } from "./puppet.ts";

/** How a plug-in lives and dies: its start, its deaths in each bad moment, its end with the broker's. */
let home: TestLodging;
beforeEach(() => {
  home = lodge("puppet");
});
afterEach(() => home[Symbol.asyncDispose]());

const caught = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );
const isLost = (error: unknown): boolean => error instanceof Error && !(error instanceof BrokerError);
const pidOf = (start: Json | undefined): number => Number(start?.["pid"]);

const linksOf = (pid: number): readonly string[] =>
  readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));

describe("a plug-in's start", () => {
  it("waits for the first call, and finds an empty folder of its own, an empty environment, and what it was to be told", async () => {
    const puppet = pull(home);
    await systemClock.sleep(100);
    expect(puppet.wrote("starts")).toEqual([]);
    await puppet.mint();
    const [start] = puppet.wrote("starts");
    expect(start).toEqual({
      start: { protocol: 1, provider: "puppet", as: "host", config: {}, socket: join(home.lodging.folder, "socket") },
      environ: expect.objectContaining({ PATH: "/usr/local/bin:/usr/bin:/bin", LANG: "C.UTF-8" }),
      cwd: "/",
      fds: expect.anything(),
      pid: expect.any(Number),
      home: { mode: 0o700, uid: process.geteuid?.(), holds: [] },
      nnp: true,
    });
    // What whoever started these tests had open and handed down to us is none of ours.
    const handedDown = new Set(linksOf(process.ppid));
    const open = Object.entries(start?.["fds"] as Record<string, string>).filter(([, link]) => !handedDown.has(link));
    expect(open.map(([fd]) => fd).toSorted()).toEqual(["0", "1", "2"]);
    // Python sets this one for itself.
    expect(Object.keys(start?.["environ"] as Json).filter((name) => name !== "LC_CTYPE")).toEqual(["PATH", "LANG"]);
    expect(statSync(home.lodging.folder).mode & 0o777).toBe(0o700);
  });

  it("is one for many calls", async () => {
    const puppet = pull(home);
    await Promise.all(Array.from({ length: 50 }, () => puppet.mint()));
    expect(puppet.wrote("starts")).toHaveLength(1);
    expect(puppet.wrote("calls")).toHaveLength(50);
  });

  it("clears away what a killed broker left in its folder", async () => {
    mkdirSync(home.lodging.folder, { recursive: true, mode: 0o777 });
    writeFileSync(join(home.lodging.folder, "socket"), "stale");
    symlinkSync("/etc", join(home.lodging.folder, "link"));
    const puppet = pull(home);
    expect(existsSync(home.lodging.folder)).toBe(false);
    mkdirSync(home.lodging.folder, { recursive: true, mode: 0o777 });
    symlinkSync("/etc", join(home.lodging.folder, "link"));
    await puppet.mint();
    expect(readdirSync(home.lodging.folder)).toEqual(["socket"]);
    expect(existsSync("/etc/passwd")).toBe(true);
  });

  it("does not happen once others could write the binary", async () => {
    const puppet = pull(home);
    const binary = join(home.folder, "lib", "mayfly-provider-puppet");
    chmodSync(binary, 0o777);
    expect(await caught(puppet.mint())).toMatchObject({
      code: "provider-unavailable",
      detail: expect.stringContaining("can be written by others"),
    });
    expect(puppet.wrote("starts")).toEqual([]);
    chmodSync(binary, 0o755);
    await puppet.mint();
  });

  it("is not for a broker whose folder is too deep for a socket", () => {
    const deep = { ...home, lodging: { ...home.lodging, folder: join(home.folder, "x".repeat(100)) } };
    expect(() => pull(deep)).toThrow(expect.objectContaining({ code: "config-invalid" }));
  });

  it("that never comes to listening is nobody's loss, and is called unavailable in time", async () => {
    const puppet = pull(home, { script: { serve: { deaf: true } }, timeout: "500ms" });
    const before = performance.now();
    expect(await caught(puppet.mint())).toMatchObject({
      code: "provider-unavailable",
      detail: expect.stringContaining("it does not listen"),
    });
    expect(performance.now() - before).toBeLessThan(1_500);
  });

  it("that is slow is waited for", async () => {
    const puppet = pull(home, { script: { serve: { acts: [{ do: "sleep", seconds: 0.5 }] } } });
    await puppet.mint();
  });
});

describe("a plug-in that dies", () => {
  it("at its start is started again with a growing pause, and not in vain", async () => {
    const puppet = pull(home, { script: { serve: { acts: [{ do: "exit", code: 7 }] } }, timeout: "300ms" });
    while ((home.deaths().at(-1)?.pause ?? 0) < 1_600) {
      expect(await caught(puppet.mint())).toMatchObject({ code: "provider-unavailable" });
    }
    expect(home.deaths()).toEqual(home.deaths().map((_, index) => ({ how: "exit code 7", pause: 100 * 2 ** index })));
    expect(puppet.wrote("starts")).toHaveLength(home.deaths().length);
    // The pause is longer now than a call waits: it is told at once.
    expect(await caught(puppet.mint())).toMatchObject({
      code: "provider-unavailable",
      detail: expect.stringMatching(/died 5 times in a row, last with exit code 7, and is started again in \d s/),
    });
    puppet.play({ serve: {} });
    await systemClock.sleep(1_600);
    while ((await caught(puppet.mint())) !== undefined) expect(home.deaths()).toHaveLength(5);
  });

  const deaths: readonly (readonly [string, Json, readonly string[]])[] = [
    ["before it did anything", { acts: [{ do: "kill" }] }, []],
    ["after it was done, before its answer", { acts: [{ do: "record", text: "LEASE" }, { do: "kill" }] }, ["made"]],
    [
      "within its answer",
      {
        acts: [
          { do: "record", text: "LEASE" },
          { do: "raw", text: 'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"mint' },
          { do: "kill" },
        ],
      },
      ["made"],
    ],
  ];
  it.each(deaths)("during a call leaves a lost answer behind, and is there for the next: %s", async (_, script, made) => {
    const puppet = pull(home);
    puppet.play({ Mint: script });
    expect(isLost(await caught(puppet.mint({ kind: "bearer" }, { lease: "lse-lost" })))).toBe(true);
    // Until we have heard of its death, a call may still be let in by a socket that is about to close.
    await until(() => home.deaths().length === 1);
    expect(puppet.wrote("made")).toEqual(made.map(() => ({ line: "lse-lost" })));
    puppet.play({
      Recover: { body: { found: { revoke: { handle: { id: "LEASE" }, expiresAt: "2099-01-01T00:00:00Z" } } } },
      Revoke: { body: {} },
    });
    const intent = intentOf({ ttl: 1_000 }, { lease: "lse-lost" });
    const found = await puppet.revocation().recover(intent, { kind: "bearer" }, puppet.ending);
    expect(found).toMatchObject({ kind: "found", ending: { handle: { id: "lse-lost" } } });
    await puppet.mint();
    expect(puppet.wrote("starts")).toHaveLength(2);
    expect(home.deaths()).toEqual([{ how: "SIGKILL", pause: 100 }]);
  });

  it("while fifty calls are under way loses those fifty, and no later one", async () => {
    const puppet = pull(home);
    await puppet.mint();
    puppet.play({ Mint: { acts: [{ do: "sleep", seconds: 30 }] } });
    const calls = Array.from({ length: 50 }, () => caught(puppet.mint()));
    await until(() => puppet.wrote("calls").length === 51);
    puppet.play({});
    process.kill(pidOf(puppet.wrote("starts")[0]), "SIGKILL");
    expect((await Promise.all(calls)).filter(isLost)).toHaveLength(50);
    await until(() => home.deaths().length === 1);
    await puppet.mint();
  });

  it("between two calls costs the next one a start", async () => {
    const puppet = pull(home);
    await puppet.mint();
    process.kill(pidOf(puppet.wrote("starts")[0]), "SIGKILL");
    await until(() => home.deaths().length === 1);
    expect(existsSync(home.lodging.folder)).toBe(false);
    await puppet.mint();
    expect(puppet.wrote("starts")).toHaveLength(2);
  });

  it("takes its children with it", async () => {
    const puppet = pull(home, { script: { serve: { acts: [{ do: "child" }] } } });
    await puppet.mint();
    const child = Number(readFileSync(join(puppet.folder, "child"), "utf8"));
    expect(isAlive(child)).toBe(true);
    process.kill(pidOf(puppet.wrote("starts")[0]), "SIGKILL");
    await until(() => !isAlive(child));
  });

  it("by its own socket, which it took away, is nobody's loss; asked again it is told so in time", async () => {
    const puppet = pull(home, { timeout: "500ms" });
    await started(puppet);
    puppet.play({ Mint: { acts: [{ do: "unlink" }], body: given() } });
    await puppet.mint();
    expect(await caught(puppet.mint())).toMatchObject({ code: "provider-unavailable" });
  });

  it("cannot be replaced by a stranger's socket beside it: nobody else may enter the folder", async () => {
    const puppet = pull(home);
    await puppet.mint();
    expect(statSync(home.lodging.folder)).toMatchObject({ uid: process.geteuid?.(), mode: 0o40700 });
    rmSync(home.lodging.folder, { recursive: true });
    const stranger = createServer((socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"));
    mkdirSync(home.lodging.folder, { mode: 0o700 });
    await new Promise<void>((listening) => stranger.listen(join(home.lodging.folder, "socket"), listening));
    expect(isLost(await caught(puppet.mint()))).toBe(true);
    stranger.close();
  });
});

describe("a full queue", () => {
  it("is waited out, since whoever is not let in was not heard", async () => {
    const puppet = pull(home, { timeout: "3s" });
    puppet.play({ serve: { backlog: 1, acts: [] }, Mint: { acts: [{ do: "sleep", seconds: 0.02 }], body: given() } });
    const minted = await Promise.all(Array.from({ length: 40 }, () => puppet.mint()));
    expect(minted).toHaveLength(40);
  });
});

describe("the broker's end", () => {
  it("is told by the end of the standard input, and leaves nothing", async () => {
    const puppet = pull(home);
    await puppet.mint();
    const pid = pidOf(puppet.wrote("starts")[0]);
    const before = performance.now();
    home.end();
    await until(() => !isAlive(pid) && !existsSync(home.lodging.folder));
    expect(performance.now() - before).toBeLessThan(1_500);
    expect(home.deaths()).toEqual([]);
    expect(await caught(puppet.mint())).toMatchObject({
      code: "provider-unavailable",
      detail: expect.stringContaining("the broker ends"),
    });
    expect(puppet.wrote("starts")).toHaveLength(1);
  });

  it("is enforced two seconds later, children included", async () => {
    const puppet = pull(home, { script: { serve: { stubborn: true, acts: [{ do: "child" }] } } });
    await puppet.mint();
    const pids = [pidOf(puppet.wrote("starts")[0]), Number(readFileSync(join(puppet.folder, "child"), "utf8"))];
    const before = performance.now();
    home.end();
    await systemClock.sleep(1_000);
    expect(pids.every(isAlive)).toBe(true);
    await until(() => !pids.some(isAlive) && !existsSync(home.lodging.folder));
    expect(performance.now() - before).toBeLessThan(4_000);
  });

  it("by kill -9 ends even a plug-in that does not care about its input", async () => {
    const broker = spawn(process.execPath, [fileURLToPath(new URL("./plugin-broker.ts", import.meta.url))], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const line = await new Promise<string>((told) => createInterface({ input: broker.stdout }).once("line", told));
    const { pid, folder } = JSON.parse(line) as { pid: number; folder: string };
    try {
      expect(isAlive(pid)).toBe(true);
      broker.kill("SIGKILL");
      await until(() => !isAlive(pid), 2_000);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("where templates are only read", () => {
  it("nothing is started, and nothing can be asked", async () => {
    const { lodging: _, ...rest } = home;
    const puppet = pull({ ...rest, lodging: undefined as never });
    expect(await caught(puppet.mint())).toMatchObject({ code: "internal" });
    expect(puppet.wrote("starts")).toEqual([]);
  });
});
