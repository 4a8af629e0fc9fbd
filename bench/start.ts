import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Measured } from "./bench.ts";

const turns = 3;
/** After which it counts as idle. */
const idle = 3_000;
const main = resolve("src/main.ts");

/** An entry of mayfly.yaml and a template's credential each; none of their upstreams is there, and none is asked before a job comes. */
const providers: Readonly<Record<string, readonly [entry: string, credential: string]>> = {
  local: ["{ type: local }", "kind: x509, ttl: 10m"],
  vault: [
    "{ type: vault, address: https://vault.example.com, login: { mount: mayfly, role: job, audience: https://vault.example.com }, sweeper: { role: sweeper } }",
    "path: database/creds/shop-migrate, ttl: 10m",
  ],
  aws: [
    "{ type: aws, region: eu-central-1 }",
    'role: "arn:aws:iam::111122223333:role/ci", policy: { Statement: [{ Effect: Allow, Action: ["s3:GetObject"], Resource: ["arn:aws:s3:::shop/x"] }] }, ttl: 15m',
  ],
  gcp: [
    "{ type: gcp, pool: projects/123456789012/locations/global/workloadIdentityPools/mayfly/providers/mayfly }",
    'service_account: shop-deploy@shop-prod.iam.gserviceaccount.com, scopes: ["https://www.googleapis.com/auth/devstorage.read_only"], ttl: 10m',
  ],
};

/** From `mayfly serve` until its socket takes a connection, a fresh state each time; and what it keeps in memory when nothing happens. */
export async function bench(): Promise<readonly Measured[]> {
  const measured: Measured[] = [];
  for (const [name, pair] of Object.entries(providers)) measured.push(await ofProvider(name, pair));
  return measured;
}

async function ofProvider(name: string, pair: readonly [string, string]): Promise<Measured> {
  const starts: number[] = [];
  const sizes: number[] = [];
  for (let turn = 0; turn <= turns; turn++) {
    const one = await start(pair, turn === turns);
    if (turn > 0) starts.push(one.milliseconds);
    if (one.megabytes !== undefined) sizes.push(one.megabytes);
  }
  const milliseconds = median(starts);
  const megabytes = median(sizes);
  return {
    name: `start, with ${name}`,
    boundary: `mayfly serve until broker.sock takes a connection, p50 of ${turns}; resident memory ${idle / 1_000} s later`,
    figures: { milliseconds, megabytes, slowest: Math.max(...starts) },
    lines: [`${Math.round(milliseconds)} ms (slowest ${Math.round(Math.max(...starts))} ms), ${Math.round(megabytes)} MB idle`],
  };
}

async function start(
  [entry, credential]: readonly [string, string],
  rests: boolean,
): Promise<{ milliseconds: number; megabytes: number | undefined }> {
  const folder = mkdtempSync(join(tmpdir(), "mayfly-start-"));
  try {
    chmodSync(folder, 0o711);
    mkdirSync(join(folder, "templates"));
    writeFileSync(join(folder, "mayfly.yaml"), configOf(folder, entry));
    writeFileSync(join(folder, "templates", "deploy.yaml"), templateOf(credential));
    const began = performance.now();
    const child = spawn(process.execPath, ["--disable-sigusr1", main, "serve", "--config", join(folder, "mayfly.yaml")], {
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const milliseconds = await untilItAnswers(child, join(folder, "run", "broker.sock"), began);
    if (rests) await sleep(idle);
    const megabytes = rests ? residentOf(child.pid ?? 0) : undefined;
    await stop(child);
    return { milliseconds, megabytes };
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(join(folder, "run-sandboxd"), { recursive: true, force: true });
  }
}

function configOf(folder: string, entry: string): string {
  return `version: 1
user: nobody
state: ${join(folder, "state")}
run: ${join(folder, "run")}
templates: ${join(folder, "templates")}
sockets: { group: 0, broker: 0, audit: 0, control: 0 }
identity: { url: "https://broker.example.com", origin: broker.example.com/ledger }
issuers:
  ci: { preset: github, audience: "https://mayfly.example.com" }
providers:
  it: ${entry}
sandbox: { workspaces: ["${folder}"], jobs: 4 }
`;
}

function templateOf(credential: string): string {
  return `version: 1
template: deploy
who: { issuer: ci, repository_id: "519283746", trust: protected }
credentials: { it: { provider: it, ${credential} } }
sandbox: { memory: 256MiB, timeout: 1m }
`;
}

async function untilItAnswers(child: ChildProcess, socket: string, began: number): Promise<number> {
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    said += chunk.toString("utf8");
  });
  while (!(existsSync(socket) && (await answers(socket)))) {
    if (child.exitCode !== null || performance.now() - began > 30_000)
      throw new Error(`it did not start: ${said.slice(-1_000)}`);
    await sleep(2);
  }
  return performance.now() - began;
}

function answers(socket: string): Promise<boolean> {
  return new Promise((done) => {
    const connection = connect(socket, () => {
      connection.destroy();
      done(true);
    }).once("error", () => done(false));
  });
}

/** Of the broker's own process, as the kernel counts it. */
function residentOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1_024;
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = new Promise((done) => child.once("exit", done));
  child.kill("SIGTERM");
  await ended;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
