import { spawn } from "node:child_process";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Broker, BrokerStatus, Client, ObserveAsk, Observed, RunAsk, RunResult } from "../../src/contract.ts";
import { BrokerError } from "../../src/errors.ts";
import type { LeaseRecord } from "../../src/ledger/ledger.ts";
import type { Exit } from "../../src/sandbox/sandbox.ts";
import { Secret } from "../../src/secret.ts";

/**
 * A small real broker for the door's tests: it verifies nothing, mints nothing and isolates nothing, but it runs the command that it is asked to
 * run, and keeps the contract of `Broker.run`: streams with back pressure both ways, signals, an end when the client goes.
 */
export class EchoBroker implements Broker {
  /** Who asked what, as the door told it. */
  readonly asks: RunAsk[] = [];
  readonly ended: string[] = [];
  readonly changes: unknown[] = [];
  draining = false;

  async run(ask: RunAsk, client: Client): Promise<RunResult> {
    this.asks.push(ask);
    const token = ask.credentials.kind === "token" ? ask.credentials.token.use(String) : "";
    if (token === "denied")
      throw new BrokerError("claim-mismatch", "the claim ref is refs/heads/x", {
        hint: "ask the owner of the template",
        detail: "expected main",
        id: "denial-1",
        // As it was before it was on record.
        cause: new BrokerError("claim-mismatch", "the claim ref is refs/heads/x"),
      });
    if (token === "crash") throw new Error("an inner text with a secret in it");
    const names = { run: "run-1", session: "session-1" };
    client.accepted({
      ...names,
      handle: Secret.of("handle-1"),
      template: "echo",
      reason: "everybody may",
      missing: token === "missing" ? ["cache", "db"] : [],
    });
    if (token === "stale") await freshTokenFor(client);
    const exit = await this.#spawn(ask, client);
    this.ended.push(exit.kind);
    const lease = {
      lease: "lease-1",
      credential: "db",
      provider: "vault-main",
      end: "revoked",
      expiresAt: 1_800_000_000_000,
    } as const;
    return { ...names, exit, leases: [lease], receipt: "c2sp.org/tlog-proof@v1\n" };
  }

  async observe({ credentials, signal: _, ...ask }: ObserveAsk): Promise<Observed> {
    const token = credentials.kind === "token" ? credentials.token.use(String) : "";
    if (token === "spent") throw new BrokerError("token-spent", undefined, { id: "den-1" });
    this.changes.push({ ...ask, credentials: credentials.kind });
    return {
      observation: "obs-1",
      template: "echo",
      step: ask.step,
      reason: "everybody may",
      credentials: [{ name: "db", provider: "vault-main", ttl: 90_000 }],
      network: [
        { host: "*.mirror.example.com", port: 443 },
        { host: "2001:db8::1", port: 5432 },
      ],
      unmet: ["this broker has no network for jobs yet"],
    };
  }

  async startSession({ token }: Parameters<Broker["startSession"]>[0]): ReturnType<Broker["startSession"]> {
    if (token.use(String) === "spent") throw new BrokerError("token-spent");
    if (token.use(String) === "unheard") throw new BrokerError("last-word-unavailable");
    if (token.use(String) === "keyless") throw new BrokerError("issuer-unavailable");
    return {
      session: "session-1",
      handle: Secret.of("handle-1"),
      until: 1_800_000_000_000,
      workload: "github:1",
      trust: "branch",
    };
  }

  async endSession({ handle }: Parameters<Broker["endSession"]>[0]): Promise<void> {
    if (handle.use(String) !== "handle-1") throw new BrokerError("session-unknown");
  }

  async contain(ask: Parameters<Broker["contain"]>[0]): ReturnType<Broker["contain"]> {
    this.changes.push(ask);
    return { fence: 7, runsEnded: 1, leasesRevoked: 2 };
  }

  async refreshKeys(ask: Parameters<Broker["refreshKeys"]>[0]): ReturnType<Broker["refreshKeys"]> {
    this.changes.push(ask);
    return [
      { issuer: "github", state: "ready", kids: ["k1"], held: ["k2"], trouble: undefined },
      { issuer: "gitlab", state: "stale", kids: ["g1"], held: [], trouble: "no answer within 5000 ms" },
    ].filter(({ issuer }) => ask.issuer === undefined || ask.issuer === issuer);
  }

  async acceptKey(ask: Parameters<Broker["acceptKey"]>[0]): Promise<void> {
    if (ask.kid !== "k2") throw new BrokerError("usage", "no new key of github with this id is held back");
    this.changes.push(ask);
  }

  async rotateKey(ask: Parameters<Broker["rotateKey"]>[0]): ReturnType<Broker["rotateKey"]> {
    this.changes.push(ask);
    return { signing: ask.sign ? "k2" : "k1", published: ["k1", "k2"] };
  }

  async rotate(ask: Parameters<Broker["rotate"]>[0]): ReturnType<Broker["rotate"]> {
    this.changes.push(ask);
    const { provider, name = "root" } = ask;
    return [{ provider, name, rotatedAt: 1_700_000_000_000, next: 1_700_086_400_000, trouble: undefined }];
  }

  audiences(): ReturnType<Broker["audiences"]> {
    return [{ issuer: "github", preset: "github", audience: "https://broker.example" }];
  }

  async revokeLease(ask: Parameters<Broker["revokeLease"]>[0]): Promise<LeaseRecord> {
    if (ask.lease !== "lease-1") throw new BrokerError("lease-unknown");
    this.changes.push(ask);
    return revokedLease;
  }

  async status(): Promise<BrokerStatus> {
    return {
      version: "0.1.0",
      startedAt: 1_700_000_000_000,
      draining: this.draining,
      policy: { digest: "ab".repeat(32), templates: ["echo"] },
      issuers: ["github"],
      providers: [{ name: "vault-main", type: "vault" }],
      sandboxes: { runtime: "none", running: 0, capacity: 4 },
      ledger: { origin: "mayfly.test/echo", size: 12, verifierKey: "mayfly.test/echo+00000000+AA==" },
      leases: { live: 1, overdue: 0 },
      trouble: [],
      rotations: [{ provider: "vault-main", name: "root", rotatedAt: 1_700_000_000_000, next: undefined, trouble: undefined }],
    };
  }

  async #spawn({ command, workspace, environment }: RunAsk, client: Client): Promise<Exit> {
    const [program = "", ...args] = command;
    const child = spawn(program, args, { cwd: workspace, env: environment, stdio: "pipe", detached: true });
    const end = (): void => killGroup(child.pid);
    client.signal.addEventListener("abort", end, { once: true });
    const exited = new Promise<number | null>((resolve, reject) => child.once("exit", resolve).once("error", reject));
    exited.catch(() => undefined);
    child.stdin.on("error", () => undefined);
    feed(client, child.stdin).catch(() => undefined);
    void passSignals(client, child);
    await Promise.all([drain(child.stdout, "stdout", client), drain(child.stderr, "stderr", client)]);
    const code = await exited.catch(() => {
      throw new BrokerError("command-not-found", `there is no ${program}`);
    });
    client.signal.removeEventListener("abort", end);
    const peakMemory = undefined;
    return client.signal.aborted
      ? { kind: "cancelled", code: 137, peakMemory }
      : { kind: "exited", code: code ?? 143, peakMemory };
  }
}

async function freshTokenFor(client: Client): Promise<void> {
  const token = await client.freshToken(1_800_000_000_000);
  await client.output("stderr", Buffer.from(`fresh: ${token.use(String)}\n`));
}

async function feed(client: Client, stdin: Writable): Promise<void> {
  await pipeline(client.stdin, stdin);
}

async function passSignals(client: Client, child: ReturnType<typeof spawn>): Promise<void> {
  for await (const signal of client.signals) child.kill(signal);
}

async function drain(from: NodeJS.ReadableStream, name: "stdout" | "stderr", client: Client): Promise<void> {
  for await (const chunk of from) await client.output(name, Buffer.from(chunk));
}

function killGroup(pid: number | undefined): void {
  if (pid !== undefined) process.kill(-pid, "SIGKILL");
}

const revokedLease: LeaseRecord = {
  lease: "lease-1",
  run: "run-1",
  session: "session-1",
  template: "echo",
  workload: "github:1",
  credential: "db",
  provider: "vault-main",
  as: "broker",
  options: { path: "database/creds/x" },
  state: "revoked",
  ending: "revoke",
  handle: { accessor: "not for the wire" },
  openedAt: 1_700_000_000_000,
  unknownAt: null,
  expiresAt: 1_700_000_600_000,
  latestExpiry: 1_700_000_660_000,
  attempts: 1,
  nextAttempt: 0,
};
