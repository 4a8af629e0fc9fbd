import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { traces } from "./host-traces.ts";
import { more, templates } from "./templates.ts";
import { Host, startUpstreams, type Upstreams, users } from "./world.ts";

/* What a grant can be beside given: observed, waited for, gone without, or more than this host can do. */

let upstreams: Upstreams;
let host: Host;

beforeAll(async () => {
  upstreams = await startUpstreams();
  host = await Host.create(upstreams, { ...more, local: templates.local, steps: templates.steps });
}, 120_000);

afterEach(() => upstreams.proxy.heal());

afterAll(async () => {
  await host?.[Symbol.asyncDispose]();
  await upstreams?.[Symbol.asyncDispose]();
});

interface Entry {
  readonly kind: string;
  readonly event: Readonly<Record<string, unknown>>;
}

async function listed(...args: readonly string[]): Promise<readonly Entry[]> {
  return (await host.audit<{ readonly entries?: readonly Entry[] }>(["audit", "list", ...args])).entries ?? [];
}

const newest = async (kind: string): Promise<Entry["event"]> =>
  (await listed("--kind", kind, "--newest", "--limit", "1"))[0]?.event ?? {};

const idIn = (text: string): string => /((?:den|obs)-[0-9a-f]+)/.exec(text)?.[1] ?? "none";

const creds = { path: "/database/creds" };
const sealed = { kind: "answer", status: 503, body: '{"errors":["Vault is sealed"]}' } as const;
const folders = ["sh", "-c", "ls /run/mayfly/credentials"] as const;

describe("a run that asks for more than this host can do", () => {
  test.each([
    ["an image", "imaged", "no images yet"],
    ["a network", "connected", "no network for jobs yet"],
  ])(
    "for %s, is refused before anything is minted, and its token is good for another",
    async (_, template, says) => {
      const before = traces(host.broker);
      const asked = upstreams.proxy.seen.length;
      const run = await host.runJob(["--template", template, "--", "true"]);
      expect(run).toMatchObject({ code: 122, stdout: "" });
      expect(run.stderr).toContain(says);
      expect(await listed("--about", idIn(run.stderr))).toMatchObject([
        { kind: "denied", event: { code: "sandbox-unmet", asked: template, claims: { repository_id: "519283746" } } },
      ]);
      expect(upstreams.proxy.seen).toHaveLength(asked);
      expect(traces(host.broker)).toEqual(before);
      expect((await host.runJob(["--template", "local", "--", "true"], { token: run.token })).code).toBe(0);
    },
    60_000,
  );
});

describe("a run whose provider is down", () => {
  test("begins as soon as it is back, within the credential's `wait`", async () => {
    upstreams.proxy.next(sealed, creds, 4);
    const run = await host.runJob(["--template", "patient", "--", ...folders]);
    expect(run).toMatchObject({ code: 0, stdout: "api\ndb\n", stderr: "" });
    const { lease } = await newest("revoked");
    expect((await listed("--about", String(lease))).map(({ kind }) => kind)).toEqual([
      "intent",
      "issued",
      "delivered",
      "revoked",
    ]);
  }, 60_000);

  test("goes on without what is optional, says so, and gives the job no folder for it", async () => {
    upstreams.proxy.always(sealed, creds);
    const run = await host.runJob(["--template", "optional", "--", ...folders]);
    expect(run).toMatchObject({ code: 0, stdout: "api\n" });
    expect(run.stderr).toBe("mayfly: this run goes on without db: what would give it is down\n");
    const { lease, code } = await newest("failed");
    expect(code).toBe("provider-unavailable");
    expect((await listed("--about", String(lease))).map(({ kind }) => kind)).toEqual(["intent", "failed"]);
  }, 60_000);

  test("goes on without an optional one whose answer was lost; the sweeper ends what came of it, while the run goes on", async () => {
    upstreams.proxy.next({ kind: "drop-answer" }, creds);
    const script = "ls /run/mayfly/credentials; until [ -e over ]; do sleep 0.1; done";
    const workspace = host.workspace();
    const running = host.runJob(["--template", "optional", "--", "sh", "-c", script], { cwd: workspace });
    await expect
      .poll(async () => (await newest("unknown"))["lease"], { timeout: 20_000, interval: 200 })
      .toEqual(expect.any(String));
    const { lease } = await newest("unknown");
    await expect
      .poll(async () => (await listed("--about", String(lease))).at(-1)?.kind, { timeout: 20_000, interval: 200 })
      .toBe("revoked");
    expect(await upstreams.bao.leases("database/creds/shop-migrate")).toEqual([]);
    await host.shell(`touch ${workspace}/over`);
    expect(await running).toMatchObject({ code: 0, stdout: "api\n" });
  }, 90_000);

  test("has used its token up although nothing of it was to be had", async () => {
    upstreams.proxy.always(sealed, creds);
    const run = await host.runJob(["--template", "dispensable", "--", ...folders]);
    expect(run).toMatchObject({ code: 0, stdout: "" });
    const again = await host.runJob(["--template", "dispensable", "--", "true"], { token: run.token });
    expect(again).toMatchObject({ code: 120, stderr: expect.stringContaining("already opened a session") });
  }, 60_000);

  test("does not begin without what is required, and its token stays good", async () => {
    upstreams.proxy.always(sealed, creds);
    const run = await host.runJob(["--template", "steps", "--step", "migrate", "--", "true"]);
    expect(run.code).toBe(121);
    upstreams.proxy.heal();
    expect((await host.runJob(["--template", "local", "--", "true"], { token: run.token })).code).toBe(0);
  }, 60_000);

  test("does not begin without an optional one that is refused", async () => {
    upstreams.proxy.next({ kind: "answer", status: 403, body: '{"errors":["permission denied"]}' }, creds);
    expect((await host.runJob(["--template", "optional", "--", "true"])).code).toBe(120);
    expect(await newest("failed")).toMatchObject({ code: "provider-refused" });
  }, 60_000);
});

describe("a run that is only observed", () => {
  const observed = (args: readonly string[], how: Parameters<Host["runJob"]>[1] = {}) =>
    host.runJob(["--observe", ...args], how);

  test("is told what it would be granted; nothing is minted, nothing runs, and its token is good for the run", async () => {
    const before = traces(host.broker);
    const asked = upstreams.proxy.seen.length;
    const run = await observed(["--template", "steps", "--step", "migrate", "--", "true"]);
    expect(run).toMatchObject({ code: 0, stderr: "" });
    expect(run.stdout).toMatch(/^would be granted: steps, step migrate\nbecause template steps matched on /);
    expect(run.stdout).toMatch(/CREDENTIAL +PROVIDER +TTL\ndb +bao +10m\n\nno network\n/);
    const about = await listed("--about", idIn(run.stdout));
    expect(about).toMatchObject([
      {
        kind: "observed",
        event: {
          template: "steps",
          step: "migrate",
          asked: "steps",
          lastWord: null,
          trust: "protected",
          peer: { uid: users.runner },
          claims: { repository_id: "519283746" },
        },
      },
    ]);
    expect([upstreams.proxy.seen.length, traces(host.broker)]).toEqual([asked, before]);
    expect((await observed(["--template", "local", "--", "true"], { token: run.token })).code).toBe(0);
    expect((await host.runJob(["--template", "local", "--", "true"], { token: run.token })).code).toBe(0);
    expect(await observed(["--template", "local", "--", "true"], { token: run.token })).toMatchObject({
      code: 120,
      stderr: expect.stringContaining("already opened a session"),
    });
  }, 90_000);

  test("answers in the API's own shape, and names the network that the run could reach", async () => {
    const run = await observed(["--json", "--template", "connected", "--", "true"]);
    expect(JSON.parse(run.stdout)).toMatchObject({
      template: "connected",
      credentials: [{ name: "db", provider: "bao", ttl: "600s" }],
      network: ["db.example.com:5432"],
      unmet: ["this broker has no network for jobs yet"],
      observation: expect.stringMatching(/^obs-/),
    });
  }, 60_000);

  test("is denied as the run would be, on record, with the id that the run would have", async () => {
    const token = host.give(await host.token({ repository_id: "999" }));
    const run = await observed(["--template", "local", "--", "true"], { token });
    expect(run).toMatchObject({ code: 120, stdout: "", stderr: expect.stringContaining('repository_id of this job is "999"') });
    expect(await listed("--about", idIn(run.stderr))).toMatchObject([
      {
        kind: "denied",
        event: { code: "claim-mismatch", asked: "local", step: null, claims: { repository_id: "999" }, trust: "protected" },
      },
    ]);
  }, 60_000);

  test("within a session, until the session ends or its workload is contained", async () => {
    const workspace = host.workspace();
    const token = host.give(await host.token({ repository_id: "519283746", run_id: "2002" }));
    await host.asRunner(["session", "start", "--token", token, "--handle-file", `${workspace}/handle`], { cwd: workspace });
    const ask = () =>
      host.asRunner(["run", "--observe", "--session", `@${workspace}/handle`, "--template", "local", "--", "true"], {
        cwd: workspace,
      });
    expect(await ask()).toMatchObject({ code: 0, stdout: expect.stringContaining("would be granted: local") });
    const words = ["--who", "ann", "--why", "a test"];
    expect((await host.asRoot(["contain", "template:local", ...words])).code).toBe(0);
    expect(await ask()).toMatchObject({ code: 120, stderr: expect.stringContaining("contained") });
    expect((await host.asRoot(["contain", "template:local", "--open", ...words])).code).toBe(0);
    expect((await host.asRunner(["session", "end", `@${workspace}/handle`], { cwd: workspace })).code).toBe(0);
    expect(await ask()).toMatchObject({ code: 120, stderr: expect.stringContaining("the session has ended") });
  }, 60_000);
});

describe("the record of a run", () => {
  test("says whose it was in full, what was asked, what was observed, and what memory it had", async () => {
    const eat = "my $x = 'x' x (64 << 20); print length $x";
    const run = await host.runJob(["--template", "watched", "--", "perl", "-e", eat]);
    // More than the template's 16 MiB, which are only observed.
    expect(run).toMatchObject({ code: 0, stdout: String(64 << 20) });
    const opened = await newest("run-opened");
    expect(opened).toMatchObject({ template: "watched", asked: "watched", observed: ["limits"], lastWord: null });
    expect(await newest("session-opened")).toMatchObject({
      issuer: "ci",
      trust: "protected",
      claims: { repository_id: "519283746", ref: "refs/heads/main", run_attempt: "1" },
    });
    const ended = await newest("run-ended");
    expect(ended).toMatchObject({ run: opened["run"], outcome: "exited" });
    expect(Number(ended["peakMemory"])).toBeGreaterThan(64 << 20);
  }, 60_000);
});
