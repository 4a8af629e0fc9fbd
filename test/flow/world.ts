import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Failpoint } from "../../src/failpoint.ts";
import { compiled } from "../compiled.ts";
import type { HostCgroup } from "../host-cgroup.ts";
import { FaultProxy } from "../servers/fault-proxy.ts";
import { type Issuer, startIssuer } from "../servers/issuer.ts";
import { type OpenBao, startOpenBao, trustBroker } from "../servers/openbao.ts";
import { type Postgres, startPostgres } from "../servers/postgres.ts";

/** Accounts that this host does not have. */
export const users = {
  broker: 61_401,
  runner: 61_402,
  stranger: 61_404,
  group: 61_403,
  auditors: 61_405,
  responders: 61_406,
} as const;

const main = resolve("src/main.ts");
const lateLoads = resolve("test/flow/late-loads.mjs");
const asUser = resolve("src/demo/as-user.ts");

/** What one command of `mayfly` said. */
export interface Spoken {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The claims of a job that the templates below are meant for. */
export const job = {
  sub: "repo:shop/web:ref:refs/heads/main",
  repository_id: "519283746",
  ref: "refs/heads/main",
  ref_type: "branch",
  ref_protected: "true",
  event_name: "push",
  run_id: "1001",
  run_attempt: "1",
  check_run_id: "5005",
} as const;

export const audience = "https://mayfly.test";

/** The upstreams that brokers and tests talk to: real ones, with a proxy in front of OpenBao on which faults can be armed. */
export interface Upstreams extends AsyncDisposable {
  readonly issuer: Issuer;
  readonly bao: OpenBao;
  readonly postgres: Postgres;
  readonly proxy: FaultProxy;
}

export async function startUpstreams(): Promise<Upstreams> {
  await using stack = new AsyncDisposableStack();
  const [issuer, bao, postgres] = await Promise.all([startIssuer(), startOpenBao(), startPostgres()]);
  for (const server of [issuer, bao, postgres]) stack.use(server);
  const proxy = stack.use(await FaultProxy.start(bao.port));
  const kept = stack.move();
  return { issuer, bao, postgres, proxy, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** One host with its own folder, configuration and workspaces, on which brokers are started, killed and started again. */
export class Host implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "mayfly-flow-"));
  readonly run = join(this.folder, "run");
  readonly state = join(this.folder, "state");
  readonly config = join(this.folder, "mayfly.yaml");
  readonly #upstreams: Upstreams;
  #count = 0;
  #broker: BrokerProcess | undefined;

  private constructor(upstreams: Upstreams) {
    this.#upstreams = upstreams;
  }

  /** With a broker that is running, and of which OpenBao knows nothing. */
  static async unknown(
    upstreams: Upstreams,
    templates: Readonly<Record<string, string>>,
    own: (host: Host) => OwnConfig,
  ): Promise<Host> {
    const host = new Host(upstreams);
    chmodSync(host.folder, 0o711);
    mkdirSync(join(host.folder, "templates"));
    mkdirSync(join(host.folder, "builds"));
    for (const [name, content] of Object.entries(templates))
      writeFileSync(join(host.folder, "templates", `${name}.yaml`), content, { mode: 0o644 });
    writeFileSync(host.config, configOf(host, upstreams, own(host)), { mode: 0o644 });
    await host.start();
    return host;
  }

  /** With a broker that is running, and that OpenBao trusts. */
  static async create(upstreams: Upstreams, templates: Readonly<Record<string, string>>): Promise<Host> {
    const host = await Host.unknown(upstreams, templates, () => ({}));
    const keys = JSON.parse((await host.asRoot(["keys", "show", "--json", "--config", host.config])).stdout) as {
      readonly proofs: { readonly pem: string; readonly issuer: string };
    };
    await trustBroker(upstreams.bao, {
      publicKey: keys.proofs.pem,
      issuer: keys.proofs.issuer,
      audience: "https://bao.test",
      postgres: upstreams.postgres,
    });
    return host;
  }

  /** A fresh work tree that the runner owns. */
  workspace(): string {
    this.#count += 1;
    const path = join(this.folder, "builds", `job-${this.#count}`);
    mkdirSync(path);
    chownSync(path, users.runner, users.runner);
    return path;
  }

  async token(claims: Readonly<Record<string, unknown>> = {}, options: Parameters<Issuer["token"]>[1] = {}): Promise<string> {
    return this.#upstreams.issuer.token({ ...job, jti: crypto.randomUUID(), ...claims }, { audience, ...options });
  }

  /** A file that only the given user can read. */
  give(content: string, owner: number = users.runner): string {
    this.#count += 1;
    const path = join(this.folder, `given-${this.#count}`);
    writeFileSync(path, content, { mode: 0o400 });
    chownSync(path, owner, owner);
    return path;
  }

  async start(failpoint?: Failpoint): Promise<BrokerProcess> {
    this.#broker = await BrokerProcess.start(this, failpoint);
    return this.#broker;
  }

  get broker(): BrokerProcess {
    if (this.#broker === undefined) throw new Error("no broker was started");
    return this.#broker;
  }

  /** `mayfly ARGS` as the runner, from a workspace. */
  async asRunner(args: readonly string[], how: Calling = {}): Promise<Spoken> {
    return heard(this.spawnRunner(args, how));
  }

  spawnRunner(
    args: readonly string[],
    { cwd = this.folder, uid = users.runner, env = {}, inside }: Calling = {},
  ): ChildProcess {
    const command = [process.execPath, asUser, String(uid), String(uid), String(users.group), ...args];
    const [program = "", ...rest] = inside?.holding(command) ?? command;
    return spawn(program, rest, {
      cwd,
      env: { PATH: "/usr/bin:/bin", MAYFLY_RUN: this.run, ...compiled(), ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  async asRoot(args: readonly string[]): Promise<Spoken> {
    return heard(
      spawn(process.execPath, [main, ...args], {
        cwd: this.folder,
        env: { PATH: "/usr/bin:/bin", MAYFLY_RUN: this.run, ...compiled() },
        stdio: ["ignore", "pipe", "pipe"],
      }),
    );
  }

  /** A shell command as the runner, outside any sandbox. */
  async shell(script: string): Promise<Spoken> {
    return heard(
      spawn("setpriv", [`--reuid=${users.runner}`, `--regid=${users.runner}`, "--clear-groups", "sh", "-c", script], {
        stdio: ["ignore", "pipe", "pipe"],
      }),
    );
  }

  /** A place for `--result` that the runner may write to. */
  resultFile(): string {
    return join(this.workspace(), "result.json");
  }

  /** A run with a fresh token; `token` and `cwd` are made unless they are given. */
  async runJob(
    args: readonly string[],
    how: Calling & { readonly token?: string } = {},
  ): Promise<Spoken & { readonly workspace: string; readonly token: string }> {
    const workspace = how.cwd ?? this.workspace();
    const token = how.token ?? this.give(await this.token(), how.uid);
    const spoken = await this.asRunner(["run", "--token", token, ...args], { ...how, cwd: workspace });
    return { ...spoken, workspace, token };
  }

  async audit<T>(args: readonly string[]): Promise<T> {
    const { stdout, stderr, code } = await this.asRoot([...args, "--json"]);
    if (code !== 0) throw new Error(`mayfly ${args.join(" ")}: ${code} ${stderr}`);
    return JSON.parse(stdout) as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#broker?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface Calling {
  readonly cwd?: string;
  readonly uid?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** The control group of the runner; left out, the tests' own. */
  readonly inside?: HostCgroup;
}

/** `mayfly serve` with the sandboxd that it started. */
export class BrokerProcess {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number>;
  readonly #log: Promise<string>;
  readonly #stops: string;

  private constructor(child: ChildProcess, stops: string) {
    this.#child = child;
    this.#stops = stops;
    this.pid = child.pid ?? 0;
    this.#log = text(child.stderr ?? Readable.from([]));
    this.#ended = new Promise((done) => child.once("exit", (code) => done(code ?? 137)));
  }

  static async start(host: Host, failpoint?: Failpoint): Promise<BrokerProcess> {
    const stops = mkdtempSync(join(host.folder, "stops-"));
    chmodSync(stops, 0o777);
    const env = {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      ...compiled(),
      ...(failpoint === undefined ? {} : { MAYFLY_FAILPOINT: `${failpoint}:${stops}` }),
    };
    const child = spawn(process.execPath, ["--import", lateLoads, main, "serve", "--config", host.config], {
      env,
      stdio: ["ignore", "ignore", "pipe"],
    });
    const broker = new BrokerProcess(child, stops);
    const ready = until(
      async () => existsSync(join(host.run, "broker.sock")) && (await host.asRoot(["status", "--full"])).code === 0,
      30_000,
    );
    if (await Promise.race([ready.then(() => true), broker.#ended.then(() => false)])) return broker;
    throw new Error(`the broker did not start: ${await broker.#log}`);
  }

  /** Resolves when the flow stands at its failpoint. */
  async reached(point: Failpoint): Promise<void> {
    await until(() => existsSync(join(this.#stops, `${point}.reached`)), 20_000);
  }

  goOn(point: Failpoint): void {
    writeFileSync(join(this.#stops, `${point}.go`), "");
  }

  /** The pid, on this host, of the Node process that is sandboxd: the innermost of the nest that serve started. */
  sandboxdPid(): number {
    const innermost = (pid: number): number => {
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
      const next = children.find((child) => readFileSync(`/proc/${child}/cmdline`, "latin1").includes("--nested"));
      return next === undefined ? pid : innermost(next);
    };
    return innermost(this.pid);
  }

  /** The pid of the process that serve started as sandboxd; its control groups and folders are named after it. */
  nest(): number {
    return Number(readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, "utf8").trim().split(" ")[0]);
  }

  kill(whom: "serve" | "sandboxd"): void {
    process.kill(whom === "serve" ? this.pid : this.sandboxdPid(), "SIGKILL");
  }

  get ended(): Promise<number> {
    return this.#ended;
  }

  async stop(): Promise<string> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGTERM");
    await this.#ended;
    return this.#log;
  }
}

export async function heard(child: ChildProcess): Promise<Spoken> {
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout ?? Readable.from([])),
    text(child.stderr ?? Readable.from([])),
    new Promise<number>((done) => child.once("close", (exit) => done(exit ?? 137))),
  ]);
  return { stdout, stderr, code };
}

export async function until(holds: () => boolean | Promise<boolean>, milliseconds: number): Promise<void> {
  for (const deadline = Date.now() + milliseconds; !(await holds()); await sleep(50)) {
    if (Date.now() > deadline) throw new Error(`not within ${milliseconds} ms`);
  }
}

/** What one of several brokers does not have in common with the others. */
export interface OwnConfig {
  readonly origin?: string;
  /** Whom `broker.sock` is for. */
  readonly callers?: string;
  /** The user alone where it is left out: tests' runners are in control groups of their own only where a test puts them there. */
  readonly boundTo?: "runner";
  /** Lines of mayfly.yaml. */
  readonly more?: string;
  /** Lines below its `providers`. */
  readonly providers?: string;
}

function configOf(host: Host, { issuer, proxy }: Upstreams, own: OwnConfig): string {
  const { origin = "broker.test/ledger", callers = users.group, boundTo = "user", more = "", providers = "" } = own;
  return `version: 1
user: ${users.broker}
state: ${host.state}
run: ${host.run}
templates: ${join(host.folder, "templates")}
sockets: { group: ${users.group}, broker: ${callers}, audit: ${users.auditors}, control: ${users.responders} }
identity: { url: "https://broker.test", origin: ${origin} }
issuers:
  ci: { preset: github, url: "${issuer.url}", audience: "${audience}", allow_private: true }
providers:
  local: { type: local }
  bao:
    type: vault
    address: ${proxy.address}
    allow_plaintext: true
    login: { mount: mayfly, role: job, audience: "https://bao.test" }
    sweeper: { role: sweeper }
    timeout: 2s
${providers}
leases: { patience: 3s, sweep: 500ms }
sessions: { bound_to: ${boundTo} }
sandbox: { workspaces: ["${join(host.folder, "builds")}"], jobs: 4 }
log: debug
${more}
`;
}
