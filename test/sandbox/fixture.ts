import { spawnSync } from "node:child_process";
import { chownSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DeliveredFile } from "../../src/delivery/delivery.ts";
import { type SandboxdChild, startSandboxd } from "../../src/sandbox/child.ts";
import { findProgram } from "../../src/sandbox/runtime.ts";
import type { Exit, Isolation, JobStreams, Sandbox, Sandboxes, SandboxPlan } from "../../src/sandbox/sandbox.ts";
import type { Secret } from "../../src/secret.ts";
import { systemClock } from "../../src/time.ts";

/** An ordinary user of the host, who needs no entry in /etc/passwd. */
export const runner = { uid: 54_321, gid: 54_321 };

export const isRoot = process.getuid?.() === 0;

/** Why a runtime's tests cannot run here; undefined where they can. */
export function whyNotHere(runtime: string): string | undefined {
  if (!isRoot) return "this host cannot run sandboxes: the tests need root";
  if (findProgram(runtime) === undefined) return `this host cannot run ${runtime}: it is not installed`;
  return findProgram("tini-static", "tini") === undefined ? "this host cannot run sandboxes: tini is not installed" : undefined;
}

export interface World extends AsyncDisposable {
  readonly child: SandboxdChild;
  readonly sandboxes: Sandboxes;
  /** Below the only configured root. */
  readonly workspace: string;
  readonly folder: string;
}

/** A real sandboxd in its own namespaces, with a workspace of the runner's. */
export async function startWorld(sandbox: Readonly<Record<string, unknown>> = {}): Promise<World> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "mayfly-sandbox-")));
  spawnSync("chmod", ["0755", folder]);
  const workspace = `${folder}/builds/project`;
  mkdirSync(workspace, { recursive: true });
  chownSync(workspace, runner.uid, runner.gid);
  writeFileSync(
    `${folder}/mayfly.yaml`,
    JSON.stringify({ sandbox: { workspaces: [`${folder}/builds`], grace: "300ms", ...sandbox } }),
  );
  const child = await startIn(folder);
  const end = async () => {
    await child.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { child, sandboxes: child.sandboxes, workspace, folder, [Symbol.asyncDispose]: end };
}

/** sandboxd on the configuration in this folder. */
export function startIn(folder: string): Promise<SandboxdChild> {
  const program = [process.execPath, fileURLToPath(new URL("./sandboxd-entry.ts", import.meta.url))];
  return startSandboxd({
    program,
    config: `${folder}/mayfly.yaml`,
    socket: `${folder}/sandboxd.sock`,
    serveUid: 0,
    clock: systemClock,
  });
}

let made = 0;

export interface Wanted {
  readonly command?: readonly string[];
  readonly workspace?: string;
  readonly mode?: SandboxPlan["workspace"]["mode"];
  readonly owner?: SandboxPlan["owner"];
  readonly environment?: Readonly<Record<string, string>>;
  readonly isolation?: Partial<Isolation>;
  readonly network?: SandboxPlan["network"];
}

export function planOf(world: Pick<World, "workspace">, wanted: Wanted = {}): SandboxPlan {
  made += 1;
  const isolation = {
    memory: 2 ** 28,
    cpus: 2,
    pids: 128,
    timeout: 15_000,
    environment: { pass: ["CI"] },
    tolerate: {},
    image: undefined,
    runtimes: undefined,
    ...wanted.isolation,
  };
  return {
    id: `job-${process.pid}-${made}`,
    owner: wanted.owner ?? runner,
    workspace: { path: wanted.workspace ?? world.workspace, mode: wanted.mode ?? "rw" },
    command: wanted.command ?? ["true"],
    environment: wanted.environment ?? {},
    isolation,
    network: wanted.network ?? { kind: "none" },
  };
}

export function openJob(world: World, wanted: Wanted = {}): Promise<Sandbox> {
  return world.sandboxes.open(planOf(world, wanted), new AbortController().signal);
}

export interface Seen {
  readonly exit: Exit;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Given {
  readonly stdin?: AsyncIterable<Uint8Array>;
  readonly signals?: JobStreams["signals"];
  readonly signal?: AbortSignal;
  readonly output?: JobStreams["output"];
}

async function* nothing(): AsyncGenerator<never> {}

export async function runIn(sandbox: Sandbox, given: Given = {}): Promise<Seen> {
  const seen = { stdout: "", stderr: "" };
  const collect: JobStreams["output"] = async (stream, chunk) => void (seen[stream] += Buffer.from(chunk).toString("latin1"));
  const exit = await sandbox.run({
    stdin: given.stdin ?? nothing(),
    signals: given.signals ?? nothing(),
    signal: given.signal ?? new AbortController().signal,
    output: given.output ?? collect,
  });
  await sandbox.drained();
  return { exit, ...seen };
}

/** Opens, arms, delivers, runs and removes one job. */
export async function run(
  world: World,
  command: readonly string[],
  wanted: Wanted & Given & { readonly secrets?: readonly Secret[]; readonly files?: readonly DeliveredFile[] } = {},
): Promise<Seen> {
  await using sandbox = await openJob(world, { ...wanted, command });
  await sandbox.arm(wanted.secrets ?? []);
  await sandbox.deliver(wanted.files ?? []);
  return await runIn(sandbox, wanted);
}

export function sh(world: World, script: string, wanted: Parameters<typeof run>[2] = {}): Promise<Seen> {
  return run(world, ["sh", "-c", script], wanted);
}
