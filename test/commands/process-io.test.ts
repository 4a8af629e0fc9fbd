import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-pipe-"));
});

afterAll(() => rm(folder, { recursive: true }));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** In a real shell, with a real pipe; its exit code is that of `mayfly`, and stderr is kept apart from the pipe. */
function piped(command: string): Promise<Ended> {
  const script = `set -o pipefail; mayfly() { "$NODE" "$MAIN" "$@"; }; ${command}`;
  const env = {
    PATH: "/usr/bin:/bin",
    NODE: process.execPath,
    MAIN: resolve("src/main.ts"),
    MAYFLY_CONFIG: resolve("deploy/mayfly.yaml"),
  };
  return new Promise((ended) => {
    execFile("bash", ["--norc", "-c", script], { cwd: folder, env }, (error, stdout, stderr) =>
      ended({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

describe("output that nobody reads to its end", () => {
  test.each([
    ["mayfly schema | true"],
    [`mayfly check ${resolve("deploy/templates")} --sarif | true`],
    ["mayfly check --help | true"],
    ["mayfly check --list-rules | true"],
  ])("%s ends as what SIGPIPE ends, and says nothing", async (command) => {
    expect(await piped(command)).toEqual({ code: 141, stdout: "", stderr: "" });
  });

  test("gives its reader what that wanted", async () => {
    const { stdout, stderr } = await piped("mayfly schema | head -n 2");
    expect([stdout, stderr]).toEqual([expect.stringMatching(/^\{\n {2}"\$schema": /), ""]);
  });

  test("is read to its end by others: the exit code is the verb's own", async () => {
    expect(await piped("mayfly schema | cat > whole.json")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(await piped("mayfly schema nonsense 2>/dev/null | cat")).toMatchObject({ code: 124 });
  });

  test("an error that nobody reads ends it just so", async () => {
    expect(await piped("mayfly schema nonsense 2>&1 | true")).toEqual({ code: 141, stdout: "", stderr: "" });
  });
});
