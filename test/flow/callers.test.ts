import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { cgroupTrees, HostCgroup } from "../host-cgroup.ts";
import { templates } from "./templates.ts";
import { type Calling, Host, heard, type Spoken, startUpstreams, type Upstreams, until, users } from "./world.ts";

/*
 * Who calls, by the kernel's word: real brokers and real runners, as users of their own and, where this host lets us make them,
 * in control groups of their own.
 */

let upstreams: Upstreams;
let host: Host;
/** Where sessions are bound to their runners. */
let bound: Host;

/** May open the socket's file, and is in no list. */
const unlisted = 61_407;

beforeAll(async () => {
  upstreams = await startUpstreams();
  const callers = `{ group: ${users.group}, allow_uids: [${users.runner}, ${users.stranger}] }`;
  host = await Host.unknown(upstreams, { local: templates.local }, () => ({ callers }));
  bound = await Host.unknown(upstreams, { local: templates.local }, () => ({ boundTo: "runner" }));
}, 120_000);

afterAll(async () => {
  for (const each of [host, bound]) await each?.[Symbol.asyncDispose]();
  await upstreams?.[Symbol.asyncDispose]();
});

async function eventsOf(id: string, at = host): Promise<readonly Readonly<Record<string, unknown>>[]> {
  interface Listed {
    readonly entries: readonly { readonly kind: string; readonly event: Readonly<Record<string, unknown>> }[];
  }
  const { entries } = await at.audit<Listed>(["audit", "list", "--about", id]);
  return entries.map(({ kind, event }) => ({ ...event, kind }));
}

const denialIn = ({ stderr }: Spoken): string => /den-[0-9a-f]+/.exec(stderr)?.[0] ?? "no denial";

/** One CI job with one fixed token, as GitLab, CircleCI and Jenkins give: its session's handle and its workspace. */
async function oneTokenJob(
  at: Host,
  how: Calling = {},
): Promise<{ readonly token: string; readonly handle: string; readonly workspace: string }> {
  const workspace = at.workspace();
  const token = await at.token();
  const handle = join(workspace, "handle");
  const started = await at.asRunner(["session", "start", "--token", at.give(token), "--handle-file", handle], {
    cwd: workspace,
    ...how,
  });
  expect(started, started.stderr).toMatchObject({ code: 0 });
  return { token, handle, workspace };
}

describe("a job with one fixed token", () => {
  test("runs several steps through its session's handle", async () => {
    const { handle, workspace } = await oneTokenJob(host);
    for (const word of ["first", "second"]) {
      const step = ["run", "--session", `@${handle}`, "--template", "local", "--", "echo", word];
      expect(await host.asRunner(step, { cwd: workspace })).toMatchObject({ code: 0, stdout: `${word}\n` });
    }
  }, 60_000);

  test.each([
    ["the same user", users.runner],
    ["another user of the host", users.stranger],
  ])(
    "without the handle is refused by its token's replay: %s",
    async (_, uid) => {
      const { token } = await oneTokenJob(host);
      const replay = await host.asRunner(["session", "start", "--token", host.give(token, uid)], { uid });
      expect(replay).toMatchObject({ code: 120, stdout: "" });
      expect(replay.stderr).toContain("the identity token has already opened a session");
      expect(replay.stderr).toContain("run `mayfly session start` once and `mayfly run --session` for each of them");
      expect(await eventsOf(denialIn(replay))).toMatchObject([{ kind: "denied", code: "token-spent", peer: { uid } }]);
    },
    60_000,
  );
});

describe.skipIf(cgroupTrees.length === 0).each(cgroupTrees)("a session of a runner in %s", (tree) => {
  let runner: HostCgroup;
  let job: HostCgroup;
  let other: HostCgroup;

  beforeEach(() => {
    runner = new HostCgroup(tree, "runner");
    job = new HostCgroup(tree, "job", runner);
    other = new HostCgroup(tree, "other");
  });

  afterEach(async () => {
    for (const group of [other, job, runner]) await group[Symbol.asyncDispose]();
  });

  test("is of use to that runner and to what it puts beneath itself, and to no other runner of the same user", async () => {
    const { handle, workspace } = await oneTokenJob(bound, { inside: runner });
    const step = (inside: HostCgroup | undefined): Promise<Spoken> =>
      bound.asRunner(["run", "--session", `@${handle}`, "--template", "local", "--", "true"], {
        cwd: workspace,
        ...(inside === undefined ? {} : { inside }),
      });
    for (const inside of [runner, job]) expect(await step(inside)).toMatchObject({ code: 0 });
    const foreign = await step(other);
    expect(foreign.code).toBe(120);
    expect(foreign.stderr).toContain("the session belongs to another user or runner of this host");
    expect(foreign.stderr).toContain("`sessions.bound_to` in mayfly.yaml");
    const [denied] = await eventsOf(denialIn(foreign), bound);
    expect(denied).toMatchObject({ kind: "denied", code: "session-peer", peer: { uid: users.runner, cgroup: other.path } });
    // Neither in one nor in the other.
    expect(await step(undefined)).toMatchObject({ code: 120 });
    // A run needs no handle, so it needs no group either.
    expect((await bound.runJob(["--template", "local", "--", "true"])).code).toBe(0);
    const end = (inside: HostCgroup): Promise<Spoken> =>
      bound.asRunner(["session", "end", `@${handle}`], { cwd: workspace, inside });
    expect(await end(other)).toMatchObject({ code: 120 });
    expect(await end(runner)).toMatchObject({ code: 0 });
  }, 60_000);

  test("stays that runner's when the broker was killed, and its peers are on record", async () => {
    const { handle, workspace } = await oneTokenJob(bound, { inside: runner });
    bound.broker.kill("serve");
    await bound.broker.ended;
    await bound.start();
    const result = bound.resultFile();
    const run = (inside: HostCgroup): Promise<Spoken> =>
      bound.asRunner(["run", "--session", `@${handle}`, "--template", "local", "--result", result, "--", "true"], {
        cwd: workspace,
        inside,
      });
    expect(await run(other)).toMatchObject({ code: 120 });
    expect(await run(job)).toMatchObject({ code: 0 });
    const { run: id, session } = JSON.parse(readFileSync(result, "utf8")) as { readonly run: string; readonly session: string };
    const [opened] = await eventsOf(session, bound);
    const ran = (await eventsOf(id, bound)).find(({ kind }) => kind === "run-opened");
    const peer = { uid: users.runner, pid: expect.any(Number) };
    expect(opened).toMatchObject({ kind: "session-opened", peer: { ...peer, cgroup: runner.path } });
    expect(ran).toMatchObject({ peer: { ...peer, cgroup: job.path } });
  }, 90_000);
});

describe("a user that may open the socket's file", () => {
  test("and is not in the list hears so, and is on record", async () => {
    const run = await host.runJob(["--template", "local", "--", "true"], { uid: unlisted, cwd: host.folder });
    expect(run).toMatchObject({ code: 120, stdout: "" });
    expect(run.stderr).toContain(`broker.sock is not for the user ${unlisted}`);
    expect(run.stderr).toContain("allow_uids and allow_groups");
    expect(await eventsOf(denialIn(run))).toMatchObject([
      { kind: "denied", code: "peer-not-allowed", peer: { uid: unlisted } },
    ]);
  }, 60_000);

  test("and is in the list is served, and root is not: it is not in the list", async () => {
    expect((await host.runJob(["--template", "local", "--", "true"])).code).toBe(0);
    const root = await host.asRoot(["run", "--token", host.give(await host.token(), 0), "--template", "local", "--", "true"]);
    expect(root).toMatchObject({ code: 120, stderr: expect.stringContaining("broker.sock is not for the user 0") });
  }, 60_000);
});

test("a job that moves the folder of its own result is found out, and what it put there instead is not believed", async () => {
  const script = 'mv out moved && mkdir out && echo \'{"kind":"ended","exitCode":0}\' > out/result.json';
  const workspace = host.workspace();
  await host.shell(`mkdir ${workspace}/out`);
  const run = await host.runJob(["--template", "local", "--result", "out/result.json", "--", "sh", "-c", script], {
    cwd: workspace,
  });
  expect(run.code).toBe(124);
  expect(run.stderr).toContain(`the result is not at ${workspace}/out/result.json: its folder was moved while the job ran`);
  expect(JSON.parse(readFileSync(join(workspace, "moved/result.json"), "utf8"))).toMatchObject({
    kind: "failed",
    code: "usage",
  });
}, 60_000);

/** The last one: it ends the broker that served all others. */
test("a job that still runs while the broker shuts down can be contained", async () => {
  const workspace = host.workspace();
  const script = "touch started; sleep 60";
  const client = host.spawnRunner(
    ["run", "--token", host.give(await host.token()), "--template", "local", "--", "sh", "-c", script],
    { cwd: workspace },
  );
  const ended = heard(client);
  await until(async () => (await host.shell(`test -e ${workspace}/started`)).code === 0, 20_000);
  const stopped = host.broker.stop();
  await until(async () => (await host.asRunner(["status"])).code === 126, 5_000);
  const began = performance.now();
  const reason = ["--who", "alice", "--why", "the token was seen in a chat"];
  expect(await host.asRoot(["contain", "workload:ci:519283746", ...reason])).toMatchObject({ code: 0 });
  expect((await ended).stderr).toContain("contained");
  expect(performance.now() - began).toBeLessThan(5_000);
  expect(await stopped).toContain("the broker shuts down");
}, 60_000);
