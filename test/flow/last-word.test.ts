import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildBundle, type Opa, startOpa } from "../servers/opa.ts";
import { opaMissing } from "../servers/opa-binary.ts";
import { freePort } from "../servers/process.ts";
import { templates } from "./templates.ts";
import { Host, type Spoken, startUpstreams, type Upstreams, until, users } from "./world.ts";

/* Whole brokers, as root starts them, with a real OPA behind them: asked as a server, and compiled into one. */

const rego = `package mayfly

default decision := {"allow": false, "reason": "nobody allows it"}

decision := {"allow": false, "reason": "the freeze goes on until Monday"} if input.command[0] == "false"

decision := {"allow": false, "reason": "it took its time"} if { input.command[0] == "slow"; hit }

numbered := numbers.range(1, 3000)

hit if { some i in numbered; some j in numbered; some k in numbered; i == j; j != k; k == -1 }

decision := {"allow": true, "ttl": {"api": data.ttl}, "without": ["report"]} if input.command[0] == "sh"
`;

const missing = opaMissing();
let bundles: string;
let upstreams: Upstreams;
let port: number;
let opa: Opa;
let asking: Host;
let holding: Host;

beforeAll(async () => {
  if (missing !== undefined) return;
  bundles = mkdtempSync(join(tmpdir(), "mayfly-bundles-"));
  for (const ttl of ["2m", "3m"]) renameSync(await buildBundle(bundles, rego, { ttl }), join(bundles, ttl));
  port = await freePort();
  [upstreams, opa] = await Promise.all([startUpstreams(), startOpa(rego, { ttl: "2m" }, { port })]);
  const own = { local: templates.local };
  asking = await Host.unknown(upstreams, own, () => ({ more: `last_word: { server: "http://127.0.0.1:${port}" }` }));
  holding = await Host.unknown(upstreams, own, (host) => {
    mkdirSync(join(host.folder, "opa"));
    install(host, "2m");
    return { more: `last_word: { bundle: "${bundle(host)}" }` };
  });
}, 120_000);

afterAll(async () => {
  await holding?.[Symbol.asyncDispose]();
  await asking?.[Symbol.asyncDispose]();
  await opa?.stop();
  await upstreams?.[Symbol.asyncDispose]();
  if (bundles !== undefined) rmSync(bundles, { recursive: true, force: true });
});

const bundle = (host: Host) => join(host.folder, "opa", "bundle.tar.gz");

function install(host: Host, name: string): void {
  copyFileSync(join(bundles, name), `${bundle(host)}.new`);
  chmodSync(`${bundle(host)}.new`, 0o644);
  renameSync(`${bundle(host)}.new`, bundle(host));
}

interface Entry {
  readonly kind: string;
  readonly event: Readonly<Record<string, unknown>>;
}

async function newest(host: Host, kind: string): Promise<Entry["event"]> {
  const list = ["audit", "list", "--kind", kind, "--newest", "--limit", "1"];
  const [entry] = (await host.audit<{ readonly entries: readonly Entry[] }>(list)).entries;
  if (entry === undefined) throw new Error(`no entry is ${kind}`);
  return entry.event;
}

const show = ["sh", "-c", "ls /run/mayfly/credentials"];

function run(host: Host, token: string, command: readonly string[]): Promise<Spoken> {
  return host.runJob(["--template", "local", "--", ...command], { token });
}

async function trouble(host: Host): Promise<string> {
  return (await host.asRoot(["status", "--full"])).stdout;
}

describe.each([
  ["a server", () => asking, /^opa:[0-9a-f-]{36}$/],
  ["a bundle", () => holding, /^opa:[0-9a-f]{12}:[0-9a-f]{16}$/],
] as const)("the last word of %s", (_, hostOf, id) => {
  test("denies a run, on record with its id and its reason, and the token is of use for another", async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const host = hostOf();
    const token = host.give(await host.token());
    const denied = await run(host, token, ["false"]);
    expect(denied.code).toBe(120);
    expect(denied.stderr).toContain("the site's last word refused what a template grants");
    expect(denied.stderr).not.toContain("freeze");
    const event = await newest(host, "denied");
    expect(event).toMatchObject({ code: "overruled", asked: "local", peer: { uid: users.runner } });
    expect(event["lastWord"]).toMatch(id);
    expect(JSON.stringify(event["trace"])).toContain("the freeze goes on until Monday");

    const allowed = await run(host, token, show);
    expect(allowed).toMatchObject({ code: 0, stdout: "api\n" });
    expect((await newest(host, "run-opened"))["lastWord"]).toMatch(id);
    const intent = await newest(host, "intent");
    expect(intent).toMatchObject({ credential: "api" });
  }, 60_000);
});

describe("an OPA server that is away", () => {
  test("denies, which the status says, and the token is of use once it is back", async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const token = asking.give(await asking.token());
    await opa.stop();
    const denied = await run(asking, token, show);
    expect(denied.stderr).toContain("the site's last word could not be had, so the answer is no");
    expect(denied.code).not.toBe(0);
    expect(await newest(asking, "denied")).toMatchObject({ code: "last-word-unavailable", lastWord: null });
    expect(await trouble(asking)).toContain("last-word-unavailable");

    opa = await startOpa(rego, { ttl: "2m" }, { port });
    expect(await run(asking, token, show)).toMatchObject({ code: 0, stdout: "api\n" });
    expect(await trouble(asking)).not.toContain("last-word-unavailable");
  }, 60_000);
});

describe("a broker that gave up root", () => {
  test("reads a new bundle by itself and on SIGHUP, and what it cannot believe is in its status", async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const first = await newest(holding, "policy");
    install(holding, "3m");
    await until(async () => (await newest(holding, "policy"))["by"] === "change", 10_000);
    const changed = await newest(holding, "policy");
    expect([changed["policy"], changed["lastWord"]]).toEqual([
      first["policy"],
      expect.not.stringMatching(String(first["lastWord"])),
    ]);

    chownSync(bundle(holding), users.runner, users.runner);
    process.kill(holding.broker.pid, "SIGHUP");
    await until(async () => (await trouble(holding)).includes("bundle.tar.gz: belongs to user"), 10_000);
    expect(await newest(holding, "policy-refused")).toMatchObject({ problems: 1 });
    expect((await run(holding, holding.give(await holding.token()), show)).code).toBe(0);

    chownSync(bundle(holding), 0, 0);
    const reloaded = await holding.asRoot(["reload", "--who", "root", "--why", "the bundle is root's again"]);
    expect(reloaded).toMatchObject({ code: 0, stderr: "" });
    expect(await trouble(holding)).not.toContain("policy-invalid");
  }, 60_000);

  test("reads templates that changed by itself, and tells an operator what is wrong with those that do not load", async ({
    skip,
  }) => {
    if (missing !== undefined) skip(missing);
    const more = join(holding.folder, "templates", "more.yaml");
    writeFileSync(more, templates.local.replace("template: local", "template: more"), { mode: 0o644 });
    await until(async () => String((await newest(holding, "policy"))["templates"]).includes("more"), 10_000);
    writeFileSync(more, "version: 1\ntemplate: more\nwhoo: {}\n", { mode: 0o644 });
    const reloaded = await holding.asRoot(["reload", "--who", "root", "--why", "a test"]);
    expect(reloaded.code).not.toBe(0);
    expect(reloaded.stderr).toContain("more.yaml:3: whoo");
    rmSync(more);
    await until(
      async () => (await newest(holding, "policy"))["by"] === "change" && !(await trouble(holding)).includes("policy-invalid"),
      10_000,
    );
  }, 60_000);

  test("starts another thread after an evaluation that was late", async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const token = holding.give(await holding.token());
    for (let turn = 0; turn < 2; turn += 1) {
      const late = await run(holding, token, ["slow"]);
      expect(late.stderr).toContain("the site's last word could not be had, so the answer is no");
      expect(await newest(holding, "denied")).toMatchObject({ code: "last-word-unavailable", policy: expect.any(String) });
    }
    expect(await run(holding, token, show)).toMatchObject({ code: 0, stdout: "api\n" });
  }, 60_000);

  test("had loaded every module before", async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    for (const host of [asking, holding]) {
      const log = await host.broker.stop();
      expect(log.split("\n").filter((line) => line.includes("LATE LOAD"))).toEqual([]);
      expect(log).toContain("the broker shuts down");
    }
  }, 60_000);
});
