import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { tracesOf } from "../sandbox/traces.ts";
import { commandOf, processesOf } from "./process-tree.ts";
import { heard, type Spoken } from "./world.ts";

/* `mayfly demo` as a newcomer runs it, watched from outside: what it started is known by its processes, not by what it says. */

interface Watched extends Spoken {
  /** Where its broker's configuration lay. */
  readonly folder: string;
  /** The name of the sandboxd that it started, which is in the names of all its control groups, mounts and processes. */
  readonly instance: string;
  readonly seconds: number;
}

const isRoot = process.getuid?.() === 0;
let demo: Watched;

beforeAll(async () => {
  if (isRoot) demo = await watched();
}, 180_000);

beforeEach(({ skip }) => {
  if (!isRoot) skip("this host cannot run sandboxes: the tests need root");
});

async function watched(): Promise<Watched> {
  const began = performance.now();
  const child = spawn(process.execPath, [resolve("src/main.ts"), "demo"], {
    cwd: tmpdir(),
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const seen = { folder: "", instance: "" };
  const watch = setInterval(() => {
    const processes = processesOf(child.pid ?? 0);
    seen.folder = /--config (\S+)\/mayfly\.yaml/.exec(commandOf(processes.get("serve") ?? 0))?.[1] ?? seen.folder;
    seen.instance = /--nested (\S+)/.exec(commandOf(processes.get("sandboxd") ?? 0))?.[1] ?? seen.instance;
  }, 50);
  const spoken = await heard(child);
  clearInterval(watch);
  return { ...spoken, ...seen, seconds: (performance.now() - began) / 1000 };
}

/** What a newcomer must have seen, in this order: each line of the story, and what proves it. */
const story: readonly RegExp[] = [
  /^Mayfly: the life of a job's credentials/m,
  /^ 1 {2}A CI system signs an identity token/m,
  /│ repository_id: 519283746$/m,
  /^ 2 {2}The security team's template says/m,
  /│ template: deploy$/m,
  /^ 3 {2}The broker starts/m,
  /│ serve +uid 61301, capabilities 0000000000000000$/m,
  /│ sandboxd +uid 0, capabilities [0-9a-f]{16}$/m,
  /^ 4 {2}The runner runs the job/m,
  /│ the server let in URI:mayfly:\/\/workload\/demo-ci%3A519283746\/template\/deploy, until /m,
  /│ and now the job is careless:$/m,
  /│ \*\*\*$/m,
  /│ its token is \*\*\*$/m,
  /│ in base64 \*\*\*$/m,
  /^ 5 {2}Its receipt proves/m,
  /│ entry \d+ \(run-ended\) of /m,
  /^ 6 {2}The ledger has every step of it/m,
  /session-opened[^]*run-opened[^]*intent[^]*issued[^]*delivered[^]*run-ended/,
  /^ 7 {2}An auditor recomputes the whole ledger/m,
  /│ the ledger verifies: \d+ entries, root /m,
  /^ 8 {2}A pull request asks for the same/m,
  /│ mayfly: trust of this job is "pull_request", which template deploy does not accept$/m,
  /^ 9 {2}Whoever may read the ledger is told the rest/m,
  /│ decided again by the same policy:$/m,
  /│ +NO +trust +wants "protected" +found "pull_request"$/m,
  /^10 {2}All of it is gone/m,
  /^That took \d+\.\d s\./m,
];

describe("mayfly demo", () => {
  test("ends well, and says nothing to stderr", () => {
    expect(demo).toMatchObject({ code: 0, stderr: "" });
    console.log(`the demo took ${demo.seconds.toFixed(1)} s`);
  });

  test("tells each step, and what proves it, in their order", () => {
    let rest = demo.stdout;
    const missing = story.filter((line) => {
      const found = line.exec(rest);
      if (found !== null) rest = rest.slice(found.index + found[0].length);
      return found === null;
    });
    expect(missing).toEqual([]);
  });

  test("prints no key, no token, and no colour where nobody sees it", () => {
    expect(demo.stdout).not.toMatch(/PRIVATE KEY/);
    expect(demo.stdout).not.toMatch(/eyJ[A-Za-z0-9_-]{20}/);
    expect(demo.stdout).not.toContain("\u001B");
  });

  test("fits a terminal of 160 columns", () => {
    expect(demo.stdout.split("\n").filter((line) => line.length > 160)).toEqual([]);
  });

  test("leaves nothing on the host: no process, mount, control group or file", () => {
    expect(demo.folder).toMatch(/mayfly-demo-/);
    expect(demo.instance).toMatch(/^\d+-\d+-\d+$/);
    expect(existsSync(demo.folder)).toBe(false);
    expect(tracesOf(demo.instance, demo.folder)).toEqual([]);
  });
});
