import { spawn } from "node:child_process";
import { once } from "node:events";
import { lstat, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Broker } from "../../src/contract.ts";
import { BrokerError } from "../../src/errors.ts";
import { EchoBroker } from "../api/echo-broker.ts";
import { type OpenDoor, openDoor } from "../api/open-door.ts";
import { mayfly, type Surroundings } from "./shell.ts";

let open: OpenDoor;
let folder: string;
let token: string;

beforeAll(async () => {
  open = await openDoor();
  folder = await mkdtemp(join(tmpdir(), "mayfly-verbs-"));
  token = join(folder, "token");
  await writeFile(token, "t\n");
  const trace = [
    {
      template: "deploy",
      matched: false,
      lines: [{ line: "ref", held: false, expected: "refs/heads/main", found: "refs/heads/x" }],
    },
  ];
  await open.ledger.append([
    { kind: "started", version: "0.1.0", configuration: "x", host: "h" },
    {
      kind: "denied",
      denial: "den-7",
      code: "claim-mismatch",
      message: "ref of this job is refs/heads/x",
      peer: { uid: 1, pid: 7, cgroup: null },
      issuer: "github",
      subject: "repo:shop",
      workload: "github:1",
      job: "github:1:1",
      trust: "branch",
      claims: { ref: "refs/heads/x" },
      policy: "ab",
      trace,
      asked: "deploy",
      step: null,
      lastWord: null,
    },
  ]);
});

afterAll(async () => {
  await open[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const path = process.env["PATH"] ?? "/bin";

async function here(args: readonly string[], around: Surroundings = {}) {
  return mayfly(args, {
    cwd: folder,
    ...around,
    env: { MAYFLY_RUN: join(open.folder, "run"), PATH: path, USER: "ann", ...around.env },
  });
}

describe("run", () => {
  test("is its child: stdin, stdout, stderr and exit code", async () => {
    const ran = await here(["run", "--token", token, "--", "sh", "-c", "cat; echo oops >&2; exit 7"], { stdin: "hello" });
    expect(ran).toEqual({ stdout: "hello", stderr: "oops\n", exit: 7 });
    expect(open.broker.asks.at(-1)).toMatchObject({
      workspace: folder,
      command: ["sh", "-c", "cat; echo oops >&2; exit 7"],
      environment: { PATH: path },
    });
  });

  test("reads the token from stdin, which the child then has not", async () => {
    expect(await here(["run", "--token", "-", "--", "cat"], { stdin: "from-stdin\n" })).toMatchObject({ stdout: "", exit: 0 });
    expect(open.broker.asks.at(-1)?.credentials).toMatchObject({ kind: "token" });
  });

  test("runs within a session whose handle is in a file, for a template and a step", async () => {
    await writeFile(join(folder, "handle"), "handle-1\n");
    await here(["run", "--session", "@handle", "--template", "deploy", "--step", "ship", "--workspace", "..", "--", "true"], {
      stdin: "",
    });
    const ask = open.broker.asks.at(-1);
    expect(ask).toMatchObject({ template: "deploy", step: "ship", workspace: tmpdir(), credentials: { kind: "session" } });
    expect(ask?.credentials.kind === "session" && ask.credentials.handle.use(String)).toBe("handle-1");
  });

  test("leaves the child's flags to the child, with and without a double dash", async () => {
    expect((await here(["run", "--token", token, "--", "echo", "--json", "--help"], { stdin: "" })).stdout).toBe(
      "--json --help\n",
    );
    expect((await here(["run", "--token", token, "echo", "--json"], { stdin: "" })).stdout).toBe("--json\n");
  });

  test("writes a result that says how the child ended, and leaves no part of it behind", async () => {
    await here(["run", "--token", token, "--result", "r.json", "--", "sh", "-c", "exit 126"], { stdin: "" });
    const result: unknown = JSON.parse(await readFile(join(folder, "r.json"), "utf8"));
    expect(result).toMatchObject({
      kind: "ended",
      outcome: "RUN_OUTCOME_EXITED",
      exitCode: 126,
      run: "run-1",
      receipt: expect.stringContaining("tlog-proof"),
      leases: [{ credential: "db", end: "LEASE_END_REVOKED" }],
    });
    expect((await readdir(folder)).filter((name) => name.includes("r.json"))).toEqual(["r.json"]);
  });

  test("writes a result that says why there was no child, in words and by code", async () => {
    const denied = join(folder, "denied");
    await writeFile(denied, "denied");
    const ran = await here(["run", "--token", denied, "--result", "r.json", "--", "true"], { stdin: "" });
    expect(ran).toEqual({
      stdout: "",
      stderr:
        "mayfly: the claim ref is refs/heads/x\nhint: ask the owner of the template\nid: denial-1, for `mayfly explain denial-1`\n",
      exit: 120,
    });
    expect(JSON.parse(await readFile(join(folder, "r.json"), "utf8"))).toEqual({
      kind: "failed",
      code: "claim-mismatch",
      message: "the claim ref is refs/heads/x",
      hint: "ask the owner of the template",
      id: "denial-1",
      exitCode: 120,
    });
  });

  test("never writes its result through a link that the job left in its way", async () => {
    const precious = join(folder, "precious");
    await writeFile(precious, "mine");
    const planted = join(folder, `.trapped.json.${process.pid}`);
    await symlink(precious, planted);
    await here(["run", "--token", token, "--result", "trapped.json", "--", "true"], { stdin: "" });
    expect(await readFile(precious, "utf8")).toBe("mine");
    expect((await lstat(join(folder, "trapped.json"))).isFile()).toBe(true);
    await Promise.all([planted, precious].map((path) => rm(path)));
  });

  test("says so where the command put a folder in its result's place, and leaves nothing of its own there", async () => {
    const ran = await here(["run", "--token", token, "--result", "d.json", "--", "sh", "-c", "rm d.json; mkdir d.json"], {
      stdin: "",
    });
    expect(ran.exit).toBe(124);
    expect(ran.stderr.match(/the result cannot be written to/g)).toHaveLength(1);
    expect((await readdir(folder)).filter((name) => name.startsWith(".") || name === "d.json")).toEqual(["d.json"]);
    await rm(join(folder, "d.json"), { recursive: true });
  });

  test("does not start where its result could not be written", async () => {
    const before = open.broker.asks.length;
    const ran = await here(["run", "--token", token, "--result", "no/such/folder/r.json", "--", "true"]);
    expect(ran).toMatchObject({
      stdout: "",
      exit: 124,
      stderr: expect.stringContaining("mayfly: the result cannot be written to"),
    });
    expect(open.broker.asks.length).toBe(before);
  });

  test("of a command that does not exist exits as a shell would", async () => {
    expect(await here(["run", "--token", token, "--", "no-such-command"], { stdin: "" })).toMatchObject({
      exit: 127,
      stderr: "mayfly: there is no no-such-command\n",
    });
  });

  test("says what to add where no CI system is recognised", async () => {
    const ran = await here(["run", "--", "true"]);
    expect(ran).toMatchObject({ exit: 120, stdout: "" });
    expect(ran.stderr).toMatch(/^mayfly: no CI system was recognised\nhint: /);
  });

  test("takes the token that GitLab puts into the environment, and renews a stale one", async () => {
    const ran = await here(["run", "--", "true"], { env: { GITLAB_CI: "true", MAYFLY_ID_TOKEN: "stale" }, stdin: "" });
    expect(ran).toEqual({ stdout: "", stderr: "fresh: stale\n", exit: 0 });
  });
});

describe("the command as a process", () => {
  const start = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    spawn(join(process.cwd(), "bin/mayfly"), args, { env: { PATH: path, MAYFLY_RUN: join(open.folder, "run"), ...env } });

  test("passes signals on, waits for the child, and takes its exit code", async () => {
    const child = start([
      "run",
      "--token",
      token,
      "--workspace",
      folder,
      "--",
      "sh",
      "-c",
      'trap "echo stopped; exit 9" TERM; echo up; while :; do sleep 0.05; done',
    ]);
    const heard = text(child.stdout);
    await once(child.stdout, "data");
    child.kill("SIGTERM");
    const [code] = await once(child, "exit");
    expect([code, await heard]).toEqual([9, expect.stringContaining("stopped")]);
  });

  test("ends by itself when the child has ended, although its own stdin stays open", async () => {
    const child = start(["run", "--token", token, "--workspace", folder, "--", "true"]);
    const [code] = await once(child, "exit");
    expect(code).toBe(0);
  });

  test("takes the job with it when it is killed", async () => {
    const before = open.broker.ended.length;
    const child = start(["run", "--token", token, "--workspace", folder, "--", "sh", "-c", "echo up; sleep 60"]);
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    for (let tries = 0; tries < 300 && open.broker.ended.length === before; tries += 1) await sleep(10);
    expect(open.broker.ended.at(-1)).toBe("cancelled");
  });

  test("ends at once when it is stopped before its job was accepted", async () => {
    const asked = new AbortController();
    const deciding: Broker["run"] = async (_, { signal }) => {
      asked.abort();
      await once(signal, "abort");
      throw new BrokerError("cancelled");
    };
    await using silent = await openDoor({ broker: Object.assign(new EchoBroker(), { run: deciding }) });
    const child = start(["run", "--token", token, "--workspace", folder, "--", "true"], {
      MAYFLY_RUN: join(silent.folder, "run"),
    });
    const errors = text(child.stderr);
    if (!asked.signal.aborted) await once(asked.signal, "abort");
    child.kill("SIGTERM");
    const [code] = await once(child, "exit");
    expect([code, await errors]).toEqual([123, "mayfly: SIGTERM came before the job was accepted, so it was not run\n"]);
  });

  test("takes the job with it when nobody reads its output any more", async () => {
    const before = open.broker.ended.length;
    const child = start(["run", "--token", token, "--workspace", folder, "--", "yes"]);
    await once(child.stdout, "data");
    const errors = text(child.stderr);
    child.stdout.destroy();
    const [code] = await once(child, "exit");
    expect([code, await errors]).toEqual([123, "mayfly: nobody reads the job's output any more, so it was ended\n"]);
    for (let tries = 0; tries < 300 && open.broker.ended.length === before; tries += 1) await sleep(10);
    expect(open.broker.ended.at(-1)).toBe("cancelled");
  });

  test("carries a megabyte each way unchanged", async () => {
    const child = start(["run", "--token", token, "--workspace", folder, "--", "sh", "-c", "cat; exit 3"]);
    const sent = Buffer.alloc(2 ** 20, "0123456789abcdef");
    child.stdin.end(sent);
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    const [code] = await once(child, "close");
    expect(code).toBe(3);
    expect(Buffer.concat(chunks).equals(sent)).toBe(true);
  });

  test("does not open an inspector when it is sent SIGUSR1", async () => {
    const child = start([
      "run",
      "--token",
      token,
      "--workspace",
      folder,
      "--",
      "sh",
      "-c",
      'trap "exit 5" USR1; echo up; while :; do sleep 0.05; done',
    ]);
    const errors = text(child.stderr);
    await once(child.stdout, "data");
    child.kill("SIGUSR1");
    const [code] = await once(child, "exit");
    expect([code, await errors]).toEqual([5, ""]);
  });
});

describe("session", () => {
  test("start prints the handle alone, and the rest to a person", async () => {
    expect(await here(["session", "start", "--token", token])).toEqual({
      stdout: "handle-1\n",
      stderr: "session session-1 of github:1 (branch), until 2027-01-15T08:00:00.000Z\n",
      exit: 0,
    });
  });

  test("start writes the handle where only its owner can read it, and never over a file that is there", async () => {
    const file = join(folder, "own-handle");
    const args = ["session", "start", "--token", token, "--handle-file", file];
    expect(await here(args)).toMatchObject({ stdout: "", exit: 0 });
    expect([await readFile(file, "utf8"), ((await stat(file)).mode & 0o777).toString(8)]).toEqual(["handle-1\n", "600"]);
    expect(await here(args)).toMatchObject({ exit: 124, stderr: expect.stringContaining(`mayfly: ${file} cannot be made`) });
    expect(await here(["session", "end", `@${file}`])).toEqual({ stdout: "", stderr: "", exit: 0 });
  });

  test("start that is refused leaves no file behind, so that it can be tried again", async () => {
    const file = join(folder, "no-handle");
    const missing = join(folder, "no-token");
    const args = (from: string) => ["session", "start", "--token", from, "--handle-file", file];
    expect(await here(args(missing))).toMatchObject({ exit: 120, stderr: expect.stringContaining("cannot be read") });
    const [start] = [open.broker.startSession];
    Object.assign(open.broker, { startSession: () => Promise.reject(new BrokerError("token-expired")) });
    expect(await here(args(token))).toMatchObject({ exit: 120, stderr: expect.stringContaining("has expired") });
    Object.assign(open.broker, { startSession: start });
    expect((await readdir(folder)).filter((name) => name === "no-handle")).toEqual([]);
    expect(await here(args(token))).toMatchObject({ exit: 0 });
  });

  test("end of an unknown handle says so", async () => {
    const { stderr, exit } = await here(["session", "end", "wrong"]);
    expect(exit).toBe(120);
    expect(stderr).toMatch(/^mayfly: no open session has this handle\nid: (den-\w+), for `mayfly explain \1`\n$/);
  });
});

describe("status, lease, contain, reload and drain", () => {
  const lines: readonly (readonly [readonly string[], RegExp])[] = [
    [["status"], /^mayfly 0\.1\.0: taking work, 0 of 4 jobs\n$/],
    [
      ["status", "--full"],
      /^broker {5}0\.1\.0 since 2023-.*\npolicy .*\nsandboxes .*\nledger .*12 entries.*\nleases .*\nissuers .*\nproviders {2}vault-main \(vault\)\ntrouble {4}none\nrotation {3}vault-main\/root: \d+d(\d+h)? old\n$/,
    ],
    [["lease", "list"], /^LEASE {2}STATE {2}CREDENTIAL {2}PROVIDER {2}PROOF {2}WORKLOAD {2}ENDS {2}LEFT\n$/],
    [["lease", "revoke", "lease-1", "--why", "x"], /^lease-1 revoked\n$/],
    [["rotate", "vault-main", "--why", "x"], /^rotation {3}vault-main\/root: \d+d(\d+h)? old, due now\n$/],
    [["keys", "rotate", "proofs", "--why", "x"], /^signs {6}k1\npublished {2}k1\npublished {2}k2\n$/],
    [["keys", "rotate", "proofs", "--sign", "--leaked", "--why", "x"], /^signs {6}k2\n/],
    [["contain", "all", "--why", "x"], /^all is closed: fence 7, 1 runs ended, 2 leases revoked\n$/],
    [["contain", "all", "--open", "--why", "x"], /^all is open: fence 7\n$/],
    [["reload", "--why", "x"], /^policy (cd){32}, templates echo\n$/],
    [["drain", "--why", "x"], /^$/],
  ];
  test.each(lines)("%j", async (args, expected) => {
    const { stdout, exit } = await here(args);
    expect(exit).toBe(0);
    expect(stdout).toMatch(expected);
  });

  test("a change is asked for by the user who typed it, unless they say otherwise", async () => {
    await here(["drain", "--why", "a"]);
    await here(["drain", "--why", "b"], { env: { SUDO_USER: "bob" } });
    await here(["drain", "--why", "c", "--who", "cleo"]);
    expect(open.asked.slice(-3).map(({ who }) => who)).toEqual(["ann", "bob", "cleo"]);
  });

  const json: readonly (readonly [readonly string[], object])[] = [
    [["status", "--json"], { version: "0.1.0", draining: false, running: 0, capacity: 4 }],
    [
      ["status", "--full", "--json"],
      { policy: { templates: ["echo"] }, ledger: { size: "12" }, leases: { live: 1, overdue: 0 }, trouble: [] },
    ],
    [["lease", "list", "--json"], { leases: [] }],
    [
      ["lease", "revoke", "lease-1", "--why", "x", "--json"],
      { lease: { state: "LEASE_STATE_REVOKED", ending: "ENDING_REVOKE" } },
    ],
    [["rotate", "vault-main", "root", "--why", "x", "--json"], { rotations: [{ provider: "vault-main", name: "root" }] }],
    [["keys", "rotate", "jobs", "--why", "x", "--json"], { signing: "k1", published: ["k1", "k2"] }],
    [["contain", "all", "--why", "x", "--json"], { fence: "7", runsEnded: 1 }],
    [["session", "start", "--json"], { handle: "handle-1", trust: "branch", until: "2027-01-15T08:00:00Z" }],
    [["audit", "list", "--kind", "started", "--json"], { entries: [{ index: "0", kind: "started", event: { host: "h" } }] }],
    [["audit", "show", "0"], { index: "0", kind: "started" }],
    [["explain", "den-7", "--json"], { templates: [{ template: "deploy", lines: [{ expected: "refs/heads/main" }] }] }],
    [["audit", "verify", "--json"], { ok: true, findings: [] }],
  ];
  test.each(json)("%j is JSON, and nothing but JSON", async (args, expected) => {
    const { stdout, exit } = await here([...args, ...(args[0] === "session" ? ["--token", token] : [])]);
    expect(exit).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject(expected);
  });
});

describe("audit and explain", () => {
  test("explain tells the line that did not hold and what it wants", async () => {
    const { stdout, exit } = await here(["explain", "den-7"]);
    expect(exit).toBe(0);
    expect(stdout).toContain("denied: ref of this job is refs/heads/x");
    expect(stdout).toMatch(/NO {3}ref {2}wants refs\/heads\/main {2}found refs\/heads\/x/);
  });

  test("list shows a table, newest first where asked", async () => {
    const { stdout } = await here(["audit", "list", "--kind", "started", "denied", "--newest"]);
    const [head, ...rows] = stdout.trimEnd().split("\n");
    const indexes = rows.map((row) => Number(row.split(/ +/)[0]));
    expect(head).toMatch(/^INDEX /);
    expect(indexes.slice(-2)).toEqual([1, 0]);
    expect(indexes).toEqual(indexes.toSorted((a, b) => b - a));
  });

  test("verify holds with the right key pinned, and says so where none was", async () => {
    const { verifierKey } = await open.ledger.status();
    expect(await here(["audit", "verify", "--key", verifierKey])).toMatchObject({
      exit: 0,
      stderr: "",
      stdout: expect.stringMatching(/^the ledger verifies: \d+ entries, root /),
    });
    expect(await here(["audit", "verify"])).toMatchObject({ exit: 0, stderr: expect.stringContaining("no key was pinned") });
  });

  test("verify fails with another key, and with an earlier checkpoint that is not of this ledger", async () => {
    await using other = await openDoor();
    await other.ledger.append([{ kind: "started", version: "x", configuration: "x", host: "other" }]);
    const { verifierKey } = await other.ledger.status();
    expect(await here(["audit", "verify", "--key", verifierKey])).toMatchObject({ exit: 126, stdout: "" });
    await writeFile(join(folder, "other.checkpoint"), await other.ledger.checkpoint());
    const own = (await open.ledger.status()).verifierKey;
    const report = await here(["audit", "verify", "--key", own, "--earlier", "other.checkpoint"]);
    expect(report).toMatchObject({
      exit: 126,
      stdout: expect.stringMatching(/^the ledger does NOT verify: 1 findings\n {2}earlier-invalid: /),
    });
  });

  test("a receipt is checked offline, and one changed byte is found", async () => {
    const { verifierKey } = await open.ledger.status();
    const { stdout } = await here(["audit", "receipt", "1"]);
    const file = join(folder, "one.tlog-proof");
    await writeFile(file, stdout);
    const offline = { env: { MAYFLY_RUN: "/nonexistent" } };
    expect(await here(["audit", "verify", file, "--key", verifierKey], offline)).toMatchObject({
      exit: 0,
      stdout: expect.stringMatching(/^entry 1 \(denied\) of .* is in mayfly\.test\/door, of \d+ entries then\n$/),
    });
    await writeFile(file, stdout.replace(/index 1/, "index 0"));
    expect(await here(["audit", "verify", file, "--key", verifierKey], offline)).toMatchObject({ exit: 126, stdout: "" });
  });
});
