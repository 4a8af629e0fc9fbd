import { spawn } from "node:child_process";
import { chownSync, existsSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { traces } from "./host-traces.ts";
import { templates } from "./templates.ts";
import { Host, type Spoken, startUpstreams, type Upstreams, until, users } from "./world.ts";

let upstreams: Upstreams;
let host: Host;

beforeAll(async () => {
  upstreams = await startUpstreams();
  host = await Host.create(upstreams, templates);
}, 120_000);

afterEach(() => upstreams.proxy.heal());

afterAll(async () => {
  await host?.[Symbol.asyncDispose]();
  await upstreams?.[Symbol.asyncDispose]();
});

interface Entry {
  readonly index: string;
  readonly kind: string;
  readonly event: Readonly<Record<string, unknown>>;
}

/** What the ledger has of a run or a denial. */
async function entriesAbout(id: string): Promise<readonly Entry[]> {
  return (await host.audit<{ readonly entries: readonly Entry[] }>(["audit", "list", "--about", id])).entries;
}

async function newest(): Promise<Entry> {
  const { entries } = await host.audit<{ readonly entries: readonly Entry[] }>([
    "audit",
    "list",
    "--kind",
    "run-ended",
    "--newest",
    "--limit",
    "1",
  ]);
  return entries[0] ?? { index: "", kind: "", event: {} };
}

const show = "cat /run/mayfly/credentials/*/username 2>/dev/null; ls /run/mayfly/credentials";
const psql = 'PGPASSWORD=$(cat /run/mayfly/credentials/db/password) echo "$(cat /run/mayfly/credentials/db/username)"';

describe("a job with a credential", () => {
  test("gets a login that works while it runs, is revoked when it ends, and is told so", async () => {
    const run = await host.runJob(["--template", "migrate", "--result", "result.json", "--", "sh", "-c", psql]);
    expect(run).toMatchObject({ code: 0, stderr: "" });
    const user = run.stdout.trim();
    expect(user).toMatch(/^v-/);
    expect((await upstreams.postgres.sql(`select count(*) from pg_roles where rolname = '${user}'`)).stdout.trim()).toBe("0");
    const result = JSON.parse(readFileSync(join(run.workspace, "result.json"), "utf8")) as {
      readonly leases: readonly { readonly end: string }[];
    };
    expect(result.leases).toMatchObject([{ credential: "db", provider: "bao" }]);
    expect(result.leases[0]?.end).toMatch(/REVOKED/);
    expect(await upstreams.bao.leases("database/creds/shop-migrate")).toEqual([]);
    for (const a of await upstreams.bao.tokens())
      console.log(JSON.stringify(await upstreams.bao.call("POST", "auth/token/lookup-accessor", { accessor: a })));
  }, 60_000);

  test("is recorded in the order in which it happened, and its receipt verifies", async () => {
    const run = await host.runJob(["--template", "migrate", "--result", "result.json", "--", "true"]);
    const result = JSON.parse(readFileSync(join(run.workspace, "result.json"), "utf8")) as {
      readonly run: string;
      readonly receipt: string;
    };
    const kinds = (await entriesAbout(result.run)).map(({ kind }) => kind);
    expect(kinds).toEqual(["run-opened", "intent", "issued", "delivered", "revoked", "run-ended"]);
    const key = (await host.asRoot(["keys", "show", "ledger", "--config", host.config])).stdout.trim();
    expect((await host.asRoot(["audit", "verify", host.give(result.receipt, 0), "--key", key])).stdout).toContain(
      "(run-ended)",
    );
    expect(await host.asRoot(["audit", "verify", "--key", key])).toMatchObject({ code: 0 });
  }, 60_000);

  test("a stored secret is masked, and its lease is called exposed: it outlives the job", async () => {
    const script = "cat /run/mayfly/credentials/ci/token; ls /run/mayfly/credentials/ci";
    const run = await host.runJob(["--template", "stored", "--result", "result.json", "--", "sh", "-c", script]);
    expect(run).toMatchObject({ code: 0, stdout: "***token\n" });
    const result = JSON.parse(readFileSync(join(run.workspace, "result.json"), "utf8")) as {
      readonly leases: readonly { readonly end: string }[];
    };
    expect(result.leases[0]?.end).toMatch(/EXPOSED/);
  }, 60_000);

  test("gives its exit code, its streams and its signals through", async () => {
    const run = await host.runJob(["--template", "local", "--", "sh", "-c", "echo out; echo err >&2; exit 42"]);
    expect(run).toMatchObject({ code: 42, stdout: "out\n", stderr: "err\n" });
  }, 60_000);

  test("leaves what it wrote to the runner, who can read and delete it", async () => {
    const run = await host.runJob([
      "--template",
      "local",
      "--",
      "sh",
      "-c",
      "mkdir -p a/b && echo made > a/b/c && chmod 600 a/b/c",
    ]);
    expect(run.code).toBe(0);
    expect(statSync(join(run.workspace, "a/b/c"))).toMatchObject({ uid: users.runner, gid: users.runner });
    const asRunner = await host.shell(`cat ${run.workspace}/a/b/c && rm -r ${run.workspace}/a`);
    expect(asRunner).toMatchObject({ code: 0, stdout: "made\n" });
    expect(readdirSync(run.workspace)).toEqual([]);
  }, 60_000);
});

describe("two steps of one CI job", () => {
  test("run on one token, in two sandboxes, each with its own credentials only", async () => {
    const workspace = host.workspace();
    const handle = join(workspace, "handle");
    const start = await host.asRunner(["session", "start", "--token", host.give(await host.token()), "--handle-file", handle], {
      cwd: workspace,
    });
    expect(start).toMatchObject({ code: 0 });
    const step = (name: string, script: string): Promise<Spoken> =>
      host.asRunner(["run", "--session", `@${handle}`, "--template", "steps", "--step", name, "--", "sh", "-c", script], {
        cwd: workspace,
      });
    const build = await step("build", "ls /run/mayfly/credentials; echo built > built; touch /tmp/mark");
    expect(build).toMatchObject({ code: 0, stdout: "api\n" });
    const migrate = await step(
      "migrate",
      "ls /run/mayfly/credentials; cat built; ls /tmp; touch new 2>/dev/null || echo refused",
    );
    expect(migrate).toMatchObject({ code: 0, stdout: "db\nbuilt\nrefused\n" });
    expect((await host.asRunner(["session", "end", `@${handle}`], { cwd: workspace })).code).toBe(0);
    const late = await step("build", "true");
    expect(late.code).toBe(120);
    expect(late.stderr).toContain("the session has ended");
  }, 60_000);

  test("the handle ends no session for another user of the host, and who tried is recorded", async () => {
    const workspace = host.workspace();
    const handle = join(workspace, "handle");
    await host.asRunner(["session", "start", "--token", host.give(await host.token()), "--handle-file", handle], {
      cwd: workspace,
    });
    const stolen = host.give(readFileSync(handle, "utf8"), users.stranger);
    const ended = await host.asRunner(["session", "end", `@${stolen}`], { uid: users.stranger });
    expect(ended.code).toBe(120);
    const [, id = ""] = /(den-[0-9a-f]+)/.exec(ended.stderr) ?? [];
    expect(await entriesAbout(id)).toMatchObject([
      { kind: "denied", event: { code: "session-peer", peer: { uid: users.stranger } } },
    ]);
  }, 60_000);

  test("a pinned step runs its own command and no other", async () => {
    const pinned = await host.runJob(["--template", "steps", "--step", "pinned"]);
    expect(pinned).toMatchObject({ code: 0, stdout: "as pinned\n" });
    const other = await host.runJob(["--template", "steps", "--step", "pinned", "--", "cat", "/etc/passwd"]);
    expect(other.code).toBe(120);
    expect(other.stderr).toContain("step");
  }, 60_000);
});

interface Refusal {
  readonly code: string;
  readonly exit: number;
  readonly says: RegExp;
  readonly args?: readonly string[];
  readonly token?: () => Promise<string>;
  readonly cwd?: () => string;
  /** Refused after its run was opened, so that it is in the run's own entries. */
  readonly opened?: boolean;
}

const refusals: Readonly<Record<string, Refusal>> = {
  "a wrong audience": {
    code: "token-audience",
    exit: 120,
    says: /not made for this broker/,
    token: () => host.token({}, { audience: "https://elsewhere.test" }),
  },
  "an expired token": {
    code: "token-expired",
    exit: 120,
    says: /has expired/,
    token: () => host.token({}, { ttl: 60, age: 120 }),
  },
  "a token with a broken signature": {
    code: "token-signature",
    exit: 120,
    says: /signature does not verify/,
    token: async () => broken(await host.token()),
  },
  "a token that was spent in another session": {
    code: "token-spent",
    exit: 120,
    says: /already opened a session/,
    token: spentToken,
  },
  "an unknown template": { code: "template-unknown", exit: 120, says: /template/, args: ["--template", "no-such"] },
  "two templates that match": { code: "ambiguous", exit: 120, says: /local, migrate, steps, stored/, args: [] },
  "a claim that does not match": {
    code: "claim-mismatch",
    exit: 120,
    says: /repository_id of this job is "999"/,
    token: () => host.token({ repository_id: "999" }),
  },
  "a pull request where only a protected ref may": {
    code: "claim-mismatch",
    exit: 120,
    says: /trust of this job is "pull_request"/,
    token: () => host.token({ event_name: "pull_request" }),
  },
  "a step that the template does not have": {
    code: "step-unknown",
    exit: 120,
    says: /step/,
    args: ["--template", "steps", "--step", "nope"],
  },
  "a template with steps and no step named": { code: "step-required", exit: 120, says: /step/, args: ["--template", "steps"] },
  "a workspace outside its roots": {
    code: "workspace-outside",
    exit: 122,
    says: /outside the configured roots/,
    cwd: () => "/usr",
  },
  "a workspace behind a symlink": {
    code: "workspace-symlink",
    exit: 122,
    says: /symbolic link/,
    cwd: linkedWorkspace,
    args: ["--template", "local", "--workspace", "LINK"],
  },
  "a workspace of somebody else": { code: "workspace-owner", exit: 122, says: /belong/, cwd: strangersWorkspace },
  "a secret too short to be masked": {
    code: "delivery-failed",
    exit: 122,
    says: /too short/,
    args: ["--template", "unmaskable"],
    opened: true,
  },
  "a command that does not exist": {
    code: "command-not-found",
    exit: 127,
    says: /no-such-command/,
    args: ["--template", "local", "--", "no-such-command"],
  },
};

function broken(token: string): string {
  const [header, payload, signature = ""] = token.split(".");
  const bytes = Buffer.from(signature, "base64url");
  bytes.writeUInt8((bytes.at(7) ?? 0) ^ 1, 7);
  return `${header}.${payload}.${bytes.toString("base64url")}`;
}

async function spentToken(): Promise<string> {
  const token = await host.token();
  expect((await host.asRunner(["session", "start", "--token", host.give(token)])).code).toBe(0);
  return token;
}

function linkedWorkspace(): string {
  const workspace = host.workspace();
  symlinkSync(workspace, join(host.folder, "builds/LINK"));
  return join(host.folder, "builds");
}

function strangersWorkspace(): string {
  const workspace = host.workspace();
  chownSync(workspace, users.stranger, users.stranger);
  return workspace;
}

describe("a refusal gives one clear line, its own code and an entry, and leaves no sandbox", () => {
  test.each(Object.entries(refusals))(
    "%s",
    async (_, { code, exit, says, args = ["--template", "local"], token, cwd, opened }) => {
      const before = traces(host.broker);
      const result = host.resultFile();
      const command = args.includes("--") ? [] : ["--", "true"];
      const given = host.give(await (token ?? (() => host.token()))());
      const run = await host.runJob(["--result", result, ...args, ...command], { token: given, ...(cwd && { cwd: cwd() }) });
      expect(run.stderr).toMatch(says);
      expect(run).toMatchObject({ code: exit, stdout: "" });
      expect(run.stderr.split("\n").filter((line) => line.startsWith("mayfly:"))).toHaveLength(1);
      const failure = JSON.parse(readFileSync(result, "utf8")) as { readonly code: string; readonly id: string };
      expect(failure).toMatchObject({ kind: "failed", code });
      if (opened === true) expect((await newest()).event).toMatchObject({ outcome: "refused", code });
      else
        expect(await entriesAbout(failure.id)).toMatchObject([
          { kind: "denied", event: { code, peer: { uid: users.runner } } },
        ]);
      expect(traces(host.broker)).toEqual(before);
    },
    60_000,
  );

  test("denials do not spend the token: the same one then opens a session", async () => {
    const token = host.give(await host.token());
    expect((await host.runJob(["--template", "no-such", "--", "true"], { token })).code).toBe(120);
    expect((await host.runJob(["--template", "local", "--", "no-such-command"], { token })).code).toBe(127);
    expect((await host.runJob(["--template", "local", "--", "true"], { token })).code).toBe(0);
  }, 60_000);

  test("a denial says the job's own value and never the expected one", async () => {
    const token = host.give(await host.token({ repository_id: "999" }));
    const run = await host.runJob(["--template", "local", "--", "true"], { token });
    expect(run.stderr).toContain("999");
    expect(run.stderr).not.toContain("519283746");
  }, 60_000);
});

describe("a provider that is down", () => {
  test("gives one clear line and did not burn the token", async () => {
    const token = host.give(await host.token());
    const result = host.resultFile();
    upstreams.proxy.always({ kind: "answer", status: 503, body: '{"errors":["Vault is sealed"]}' });
    const refused = await host.runJob(["--template", "migrate", "--result", result, "--", "true"], { token });
    expect(refused).toMatchObject({ code: 121, stdout: "" });
    expect(JSON.parse(readFileSync(result, "utf8"))).toMatchObject({ code: "provider-unavailable" });
    upstreams.proxy.heal();
    expect(await host.runJob(["--template", "migrate", "--", "sh", "-c", show], { token })).toMatchObject({ code: 0 });
  }, 60_000);

  test("black-holed, the local end of a job takes at most 2 s, and the lease is ended once it is back", async () => {
    const workspace = host.workspace();
    const token = host.give(await host.token());
    const client = host.spawnRunner(
      [
        "run",
        "--token",
        token,
        "--template",
        "migrate",
        "--",
        "sh",
        "-c",
        "touch started; while [ ! -e /workspace/go ]; do sleep 0.05; done",
      ],
      { cwd: workspace },
    );
    await until(() => readdirSync(workspace).includes("started"), 20_000);
    upstreams.proxy.always({ kind: "black-hole" });
    const gone = new Promise<number>((resolve) => client.once("exit", () => resolve(performance.now())));
    writeFileSync(join(workspace, "go"), "");
    const began = performance.now();
    expect((await gone) - began).toBeLessThan(2_600);
    expect(await upstreams.bao.leases("database/creds/shop-migrate")).toHaveLength(1);
    upstreams.proxy.heal();
    await until(async () => (await upstreams.bao.leases("database/creds/shop-migrate")).length === 0, 30_000);
    await until(
      async () =>
        (
          await host.audit<{ readonly leases: readonly { readonly provider: string }[] }>([
            "lease",
            "list",
            "--workload",
            "ci:519283746",
          ])
        ).leases.every(({ provider }) => provider !== "bao"),
      30_000,
    );
  }, 90_000);
});

describe("containment", () => {
  test("ends a running job, revokes its lease, and closes its workload until it is lifted", async () => {
    const workspace = host.workspace();
    const client = host.spawnRunner(
      ["run", "--token", host.give(await host.token()), "--template", "migrate", "--", "sh", "-c", "touch started; sleep 60"],
      { cwd: workspace },
    );
    await until(() => readdirSync(workspace).includes("started"), 20_000);
    const ended = new Promise<number>((resolve) => client.once("exit", (code) => resolve(code ?? -1)));
    const reason = ["--who", "alice", "--why", "the token was seen in a chat"];
    expect(await host.asRoot(["contain", "workload:ci:519283746", ...reason])).toMatchObject({ code: 0 });
    expect(await ended).toBe(120);
    expect((await newest()).event).toMatchObject({ outcome: "killed", code: "fenced" });
    expect(await upstreams.bao.leases("database/creds/shop-migrate")).toEqual([]);
    expect((await host.runJob(["--template", "local", "--", "true"])).stderr).toContain("contained");
    expect(await host.asRoot(["contain", "workload:ci:519283746", "--open", ...reason])).toMatchObject({ code: 0 });
    expect((await host.runJob(["--template", "local", "--", "true"])).code).toBe(0);
  }, 60_000);

  test("ends a job whose runner no longer reads what it prints", async () => {
    const workspace = host.workspace();
    // Nobody reads this client's pipe, so it reads no further from the broker either.
    const client = host.spawnRunner(
      ["run", "--token", host.give(await host.token()), "--template", "migrate", "--", "sh", "-c", "touch started; yes"],
      { cwd: workspace },
    );
    await until(() => readdirSync(workspace).includes("started"), 20_000);
    const reason = ["--who", "alice", "--why", "its runner was taken over"];
    expect(await host.asRoot(["contain", "template:migrate", ...reason])).toMatchObject({ code: 0 });
    await until(async () => (await upstreams.bao.leases("database/creds/shop-migrate")).length === 0, 8_000);
    client.kill("SIGKILL");
    expect(await host.asRoot(["contain", "template:migrate", "--open", ...reason])).toMatchObject({ code: 0 });
  }, 60_000);
});

/** The last one: it ends the broker that served all others. */
describe("the broker", () => {
  test("loaded every module before it gave up root, and stops when it is told to", async () => {
    const log = await host.broker.stop();
    expect(log).toContain("the broker shuts down");
    expect(log.split("\n").filter((line) => line.includes("LATE LOAD"))).toEqual([]);
    expect(await host.broker.ended).toBe(0);
  }, 60_000);
});

test("a broker that is told to stop while it starts does stop", async () => {
  await host.broker.stop();
  const sandboxd = `${host.run}-sandboxd/sandboxd.sock`;
  rmSync(sandboxd, { force: true });
  const starting = spawn(process.execPath, [resolve("src/main.ts"), "serve", "--config", host.config], { stdio: "ignore" });
  const ended = new Promise<number | null>((done) => starting.once("exit", done));
  await until(() => existsSync(sandboxd), 20_000);
  starting.kill("SIGTERM");
  const code = await Promise.race([ended, sleep(10_000, "it still runs")]);
  starting.kill("SIGKILL");
  expect(code).toBe(0);
}, 60_000);
