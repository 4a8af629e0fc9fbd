import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startIssuer } from "../servers/issuer.ts";
import { startTokenService, type TokenService } from "../servers/token-service.ts";
import { Host, type Upstreams, until, users } from "./world.ts";

/*
 * A provider out of process in a whole broker, which root starts and which then is its own user: the sample of examples/, with its real upstream.
 * No other upstream is asked for anything here.
 */
const stack = new AsyncDisposableStack();
let service: TokenService;
let host: Host;

const template = `version: 1
template: tokens
who: { issuer: ci, repository_id: "519283746", trust: protected }
credentials:
  api: { provider: tokens, project: "{repository_id}", access: read, ttl: 10m }
sandbox: { memory: 256MiB, timeout: 1m }
`;

const providers = (folder: string, port: number) => `  tokens:
    type: plugin
    command: [${folder}/lib/mayfly-provider-sample]
    config: { address: "http://127.0.0.1:${port}", key_file: ${folder}/key }
    timeout: 2s`;

beforeAll(async () => {
  service = stack.use(await startTokenService());
  const issuer = stack.use(await startIssuer());
  const upstreams = { issuer, proxy: { address: "http://127.0.0.1:1" } } as unknown as Upstreams;
  host = stack.use(
    await Host.unknown(upstreams, { tokens: template }, ({ folder }) => {
      mkdirSync(join(folder, "lib"), { mode: 0o755 });
      copyFileSync(
        resolve("examples/mayfly-provider-sample/mayfly-provider-sample"),
        join(folder, "lib/mayfly-provider-sample"),
      );
      chmodSync(join(folder, "lib/mayfly-provider-sample"), 0o755);
      writeFileSync(join(folder, "key"), service.key, { mode: 0o600 });
      chownSync(join(folder, "key"), users.broker, users.broker);
      return { providers: providers(folder, service.port) };
    }),
  );
}, 120_000);
afterAll(() => stack.disposeAsync());

interface Running {
  readonly pid: number;
  readonly uid: string;
  readonly user: string;
}

/** The plug-ins of this host's broker, by the kernel's word. */
function running(): readonly Running[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
        if (!command.includes(join(host.folder, "lib/mayfly-provider-sample"))) return [];
        const status = readFileSync(`/proc/${pid}/status`, "utf8");
        return [
          { pid: Number(pid), uid: /^Uid:\t(.*)$/m.exec(status)?.[1] ?? "", user: /^CapEff:\t(.*)$/m.exec(status)?.[1] ?? "" },
        ];
      } catch {
        return [];
      }
    });
}

/** A job that runs until its work tree has a file `enough`. */
async function longJob(): Promise<{ readonly ended: Promise<number | null>; enough(): void }> {
  const workspace = host.workspace();
  const script = "touch started; for i in $(seq 600); do [ -e enough ] && exit 0; sleep 0.1; done";
  const client = host.spawnRunner(
    ["run", "--token", host.give(await host.token()), "--template", "tokens", "--", "sh", "-c", script],
    {
      cwd: workspace,
    },
  );
  const ended = new Promise<number | null>((done) => client.once("close", done));
  await until(() => readdirSync(workspace).includes("started"), 20_000);
  return { ended, enough: () => writeFileSync(join(workspace, "enough"), "") };
}

describe("a plug-in in a whole broker", () => {
  test("is not there before anybody asks; then it gives a job its token, which is masked and ends with the job", async () => {
    expect(running()).toEqual([]);
    const done = await host.runJob([
      "--template",
      "tokens",
      "--",
      "sh",
      "-c",
      "cat /run/mayfly/credentials/api/token; wc -c < /run/mayfly/credentials/api/token",
    ]);
    expect(done).toMatchObject({ code: 0 });
    expect(done.stdout).not.toContain("tok-");
    expect(Number(done.stdout.trim().split("\n").at(-1)?.match(/\d+$/)?.[0])).toBe(36);
    expect(await service.alive()).toEqual([]);
    const ids = [users.broker, users.broker, users.broker, users.broker].join("\t");
    expect(running()).toEqual([{ pid: expect.any(Number), uid: ids, user: "0000000000000000" }]);
  }, 60_000);

  test("that dies while a job runs is started again to end what it gave", async () => {
    const job = await longJob();
    expect(await service.alive()).toHaveLength(1);
    const [before] = running();
    process.kill(before?.pid ?? 0, "SIGKILL");
    await until(() => running().length === 0, 5_000);
    job.enough();
    expect(await job.ended).toBe(0);
    await until(async () => (await service.alive()).length === 0, 5_000);
    expect(running()[0]?.pid).not.toBe(before?.pid);
  }, 60_000);

  test("dies with a broker that is killed, and the next broker finds and ends what was left", async () => {
    const job = await longJob();
    expect(await service.alive()).toHaveLength(1);
    host.broker.kill("serve");
    await until(() => running().length === 0, 3_000);
    await job.ended;
    expect(await service.alive()).toHaveLength(1);
    await host.start();
    await until(async () => (await service.alive()).length === 0, 10_000);
  }, 60_000);

  test("is known to `mayfly check`, which starts nothing", async () => {
    const before = running().map(({ pid }) => pid);
    expect(await host.asRoot(["check", "--config", host.config])).toMatchObject({ code: 0 });
    writeFileSync(
      join(host.folder, "templates/wrong.yaml"),
      template.replace("template: tokens", "template: wrong").replace("access: read", "access: admin"),
    );
    const wrong = await host.asRoot(["check", "--config", host.config]);
    expect(wrong.code).toBe(1);
    expect(wrong.stdout).toMatch(/^wrong\.yaml:5: credentials\.api\.access: .*read.*write/);
    expect(running().map(({ pid }) => pid)).toEqual(before);
  }, 60_000);

  test("ends with its broker, which loaded every module before it gave up root", async () => {
    const log = await host.broker.stop();
    expect(log).toContain("the broker shuts down");
    expect(log.split("\n").filter((line) => line.includes("LATE LOAD"))).toEqual([]);
    await until(() => running().length === 0, 3_000);
    expect(existsSync(join(host.run, "providers/tokens"))).toBe(false);
  }, 60_000);
});
