import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OpenDoor, openDoor } from "../api/open-door.ts";
import { mayfly } from "./shell.ts";

let open: OpenDoor;
let folder: string;
beforeAll(async () => {
  [open, folder] = [await openDoor(), await mkdtemp(join(tmpdir(), "mayfly-observe-"))];
  for (const token of ["fresh", "spent", "missing"]) await writeFile(join(folder, token), token);
});
afterAll(async () => {
  await open[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const here = (...args: readonly string[]) =>
  mayfly(["run", ...args], { cwd: folder, env: { MAYFLY_RUN: join(open.folder, "run"), PATH: "/usr/bin:/bin" }, stdin: "" });

describe("run --observe", () => {
  test("prints what the run would be granted, and runs nothing", async () => {
    const { stdout, stderr, exit } = await here("--observe", "--token", "fresh", "--step", "ship", "--", "touch", "made");
    expect([stderr, exit]).toEqual(["", 0]);
    expect(stdout).toBe(`would be granted: echo, step ship
because everybody may
but its run is refused with sandbox-unmet: this broker has no network for jobs yet

CREDENTIAL  PROVIDER    TTL
db          vault-main  90s

NETWORK
*.mirror.example.com:443
[2001:db8::1]:5432

observed as obs-1; nothing was minted, and nothing ran
`);
    expect(open.broker.asks).toEqual([]);
    expect(open.broker.changes.at(-1)).toMatchObject({ step: "ship", command: ["touch", "made"] });
  });

  test("prints the API's own shape", async () => {
    const { stdout } = await here("--observe", "--json", "--token", "fresh", "--", "true");
    expect(JSON.parse(stdout)).toMatchObject({ observation: "obs-1", credentials: [{ name: "db", ttl: "90s" }] });
  });

  test("exits as the run would where it is denied", async () => {
    const { stdout, stderr, exit } = await here("--observe", "--token", "spent", "--", "true");
    expect([stdout, exit]).toEqual(["", 120]);
    expect(stderr).toContain("id: den-1, for `mayfly explain den-1`");
  });

  test.each<[string, readonly string[], string]>([
    ["has no result", ["--observe", "--result", "r.json"], "--observe runs nothing, so there is no --result"],
    ["alone prints JSON", ["--json"], "--json is for --observe; --result writes how a run ended"],
  ])("%s", async (_, flags, says) => {
    const { stderr, exit } = await here(...flags, "--token", "fresh", "--", "true");
    expect([stderr.split("\n")[0], exit]).toEqual([`mayfly: ${says}`, 124]);
    expect(open.broker.asks).toEqual([]);
  });
});

describe("run", () => {
  test("says on stderr what it goes on without", async () => {
    expect(await here("--token", "missing", "--", "echo", "on")).toEqual({
      stdout: "on\n",
      stderr: "mayfly: this run goes on without cache, db: what would give them is down\n",
      exit: 0,
    });
  });

  test("says so in its result too, and of a run that has all that there is none", async () => {
    for (const [token, missing] of [
      ["missing", ["cache", "db"]],
      ["fresh", []],
    ] as const) {
      await here("--token", token, "--result", "r.json", "--", "true");
      expect(JSON.parse(await readFile(join(folder, "r.json"), "utf8"))).toMatchObject({ kind: "ended", missing });
    }
  });
});
