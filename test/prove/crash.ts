import { existsSync, globSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ProofRequest, Verdict } from "../../scripts/prove.ts";
import { type Failpoint, failpoints } from "../../src/failpoint.ts";
import { templates } from "../flow/templates.ts";
import { type BrokerProcess, Host, heard, startUpstreams, type Upstreams, until } from "../flow/world.ts";
import type { Fault, Matching } from "../servers/fault-proxy.ts";

type Whom = "serve" | "sandboxd";

/** One thing that goes wrong with one job, and the world in which it does. */
interface Scenario {
  readonly name: string;
  readonly play: (stage: Stage) => Promise<void>;
}

interface Stage {
  readonly host: Host;
  readonly upstreams: Upstreams;
  readonly workspace: string;
  /** Starts a job whose command notes that it saw its credential, then does `rest`; resolves with the client's end. */
  start(rest?: string): Run;
  /** Kills with SIGKILL, and starts the broker again once its dead predecessor is gone. */
  killAndRestart(whom: Whom, point?: Failpoint): Promise<void>;
}

type Run = ReturnType<typeof heard>;

/** What must be 0 after every scenario, and what shows that scenarios did something. */
interface Count {
  scenarios: number;
  kills: number;
  upstreamFaults: number;
  credentialsSeen: number;
  unrecorded: number;
  forgotten: number;
  orphans: number;
  disagreements: number;
  unverified: number;
  controls: number;
  controlsServed: number;
  slowestQuietSeconds: number;
}

/** How long after a restart everything must be ended: the broker's own word is 30 s (DESIGN section 8.12). */
const quietTime = 30_000;
/** A broker that lost its sandboxd ends by itself, so that whatever supervises it starts both anew. */
const endTime = 20_000;
const path = "database/creds/shop-migrate";

export async function prove({ size, random, sabotage, note }: ProofRequest): Promise<Verdict> {
  if (sabotage !== undefined && sabotage !== "forgets-the-ledger")
    throw new Error("crash knows the sabotage forgets-the-ledger");
  await using upstreams = await startUpstreams();
  await using host = await Host.create(upstreams, templates);
  const count = emptyCount();
  const all = [
    ...atFailpoints(),
    ...whileRunning(),
    ...upstreamFaults(),
    ...lateEffects(),
    ...(size === "full" ? atRandom(random, 200) : atRandom(random, 4)),
  ];
  const chosen = sabotage === undefined ? all : all.filter(({ name }) => name.includes("minted"));
  for (const scenario of chosen) {
    const seconds = await play(scenario, { host, upstreams, count, forgets: sabotage !== undefined });
    note(`${scenario.name}: quiet after ${seconds.toFixed(1)} s`);
  }
  for (let left = 3; left > 0; left--) await control(host, upstreams, count);
  await verify(host, count);
  return { claim: claimOf(count), held: holds(count), figures: { ...count } };
}

function emptyCount(): Count {
  const zero = { scenarios: 0, kills: 0, upstreamFaults: 0, credentialsSeen: 0, unrecorded: 0, forgotten: 0, orphans: 0 };
  return { ...zero, disagreements: 0, unverified: 0, controls: 0, controlsServed: 0, slowestQuietSeconds: 0 };
}

function claimOf(count: Count): string {
  const done = `${count.kills} kills and ${count.upstreamFaults} upstream faults over ${count.scenarios} jobs, ${count.credentialsSeen} of which saw their credential`;
  const wrong = `${count.unrecorded} delivered unrecorded, ${count.forgotten} live and forgotten, ${count.orphans} orphans, ${count.disagreements} disagreements with OpenBao, ${count.unverified} ledgers unverified`;
  return `${done}: ${wrong}; ${count.controls} controls, ${count.controlsServed} served`;
}

function holds(count: Count): boolean {
  const wrong = count.unrecorded + count.forgotten + count.orphans + count.disagreements + count.unverified;
  return wrong === 0 && count.credentialsSeen > 0 && count.controls === count.controlsServed;
}

function atFailpoints(): readonly Scenario[] {
  const whoms: readonly Whom[] = ["serve", "sandboxd"];
  return failpoints.flatMap((point) =>
    whoms.map((whom) => ({
      name: `kill -9 of ${whom} at "${point}"`,
      play: async ({ host, start, killAndRestart }: Stage) => {
        await host.broker.stop();
        await host.start(point);
        const run = start();
        await host.broker.reached(point);
        await killAndRestart(whom, point);
        await run;
      },
    })),
  );
}

function whileRunning(): readonly Scenario[] {
  const whoms: readonly Whom[] = ["serve", "sandboxd"];
  return whoms.map((whom) => ({
    name: `kill -9 of ${whom} while the job runs`,
    play: async ({ workspace, start, killAndRestart }) => {
      const run = start("sleep 600");
      await until(() => saw(workspace), 20_000);
      await killAndRestart(whom);
      await run;
    },
  }));
}

const effects: Readonly<Record<string, Matching>> = {
  login: { method: "POST", path: "/auth/mayfly/login" },
  "the read of the credential": { method: "GET", path },
  "the revocation of the lease": { path: "/sys/leases/revoke" },
  "the revocation of the token": { path: "/auth/token/revoke-accessor" },
};

/** Each effect fails in two ways: it did not happen; it happened, and the answer was lost. */
function upstreamFaults(): readonly Scenario[] {
  const ways: Readonly<Record<string, Fault>> = {
    "did not happen": { kind: "reset" },
    "happened, its answer lost": { kind: "drop-answer" },
  };
  return Object.entries(effects).flatMap(([effect, matching]) =>
    Object.entries(ways).flatMap(([way, fault]) =>
      [false, true].map((crash) => ({
        name: `${effect} ${way}${crash ? ", then kill -9 of serve" : ""}`,
        play: async ({ upstreams, start, killAndRestart }: Stage) => {
          const before = upstreams.proxy.struck;
          upstreams.proxy.next(fault, matching);
          const run = start();
          await until(() => upstreams.proxy.struck > before, 20_000);
          if (crash) await killAndRestart("serve");
          await run;
        },
      })),
    ),
  );
}

/** A request that is still on its way when its broker dies comes true afterwards. */
function lateEffects(): readonly Scenario[] {
  return ["login", "the read of the credential"].map((effect) => ({
    name: `${effect} happens after its broker was killed`,
    play: async ({ upstreams, start, killAndRestart }) => {
      const before = upstreams.proxy.struck;
      upstreams.proxy.next({ kind: "delay", milliseconds: 1_500 }, effects[effect]);
      const run = start();
      await until(() => upstreams.proxy.struck > before, 20_000);
      await killAndRestart("serve");
      await run;
    },
  }));
}

function atRandom(random: () => number, times: number): readonly Scenario[] {
  return Array.from({ length: times }, (_, index) => {
    const whom = random() < 0.5 ? "serve" : "sandboxd";
    const after = Math.round(random() * 2_500);
    return {
      name: `kill -9 of ${whom} after ${after} ms (${index + 1})`,
      play: async ({ start, killAndRestart }: Stage) => {
        const run = start("sleep 0.3");
        await sleep(after);
        await killAndRestart(whom);
        await run;
      },
    };
  });
}

interface Playing {
  readonly host: Host;
  readonly upstreams: Upstreams;
  readonly count: Count;
  readonly forgets: boolean;
}

async function play(scenario: Scenario, playing: Playing): Promise<number> {
  const { host, upstreams, count } = playing;
  const workspace = host.workspace();
  const dead: number[] = [];
  const token = host.give(await host.token());
  await scenario.play({
    host,
    upstreams,
    workspace,
    start: (rest = "true") => startJob(host, workspace, token, rest),
    killAndRestart: async (whom, point) => {
      dead.push(host.broker.nest());
      await killAndRestart(playing, whom, point);
      count.kills += 1;
    },
  });
  const began = performance.now();
  count.upstreamFaults += upstreams.proxy.struck;
  upstreams.proxy.heal();
  upstreams.proxy.struck = 0;
  count.scenarios += 1;
  await judge(playing, workspace);
  count.orphans += dead.flatMap((nest) => orphansOf(nest)).length;
  const seconds = (performance.now() - began) / 1_000;
  count.slowestQuietSeconds = Math.max(count.slowestQuietSeconds, Math.round(seconds * 10) / 10);
  return seconds;
}

function startJob(host: Host, workspace: string, token: string, rest: string): Run {
  const script = `cat /run/mayfly/credentials/db/username > seen.part && mv seen.part seen; ${rest}`;
  return heard(
    host.spawnRunner(["run", "--token", token, "--template", "migrate", "--", "sh", "-c", script], { cwd: workspace }),
  );
}

function saw(workspace: string): boolean {
  return existsSync(join(workspace, "seen"));
}

async function killAndRestart({ host, forgets }: Playing, whom: Whom, point: Failpoint | undefined): Promise<void> {
  const broker: BrokerProcess = host.broker;
  broker.kill(whom);
  // What stood at the failpoint goes on without its sandboxd.
  if (whom === "sandboxd" && point !== undefined) broker.goOn(point);
  if ((await Promise.race([broker.ended, sleep(endTime)])) === undefined)
    throw new Error(`after the kill of ${whom} the broker did not end`);
  if (forgets) for (const file of globSync(join(host.state, "ledger.db*"))) rmSync(file);
  await host.start();
}

interface LeaseView {
  readonly lease: string;
  readonly provider: string;
  readonly state: string;
}

async function judge({ host, upstreams, count }: Playing, workspace: string): Promise<void> {
  const quiet = async (): Promise<boolean> => (await alive(upstreams)) === 0 && (await openLeases(host)).length === 0;
  await until(quiet, quietTime).catch(() => undefined);
  const [living, open] = [await alive(upstreams), await openLeases(host)];
  count.forgotten += living;
  if (open.length > 0) count.disagreements += 1;
  if (!saw(workspace)) return;
  count.credentialsSeen += 1;
  if (!(await wasRecorded(host, readFileSync(join(workspace, "seen"), "utf8")))) count.unrecorded += 1;
}

/** OpenBao's own word: leases of the engine, and tokens that were made for a lease. */
async function alive({ bao }: Upstreams): Promise<number> {
  return (await bao.leases(path)).length + (await bao.tokens()).length;
}

async function openLeases(host: Host): Promise<readonly LeaseView[]> {
  return (await host.audit<{ readonly leases: readonly LeaseView[] }>(["lease", "list"])).leases;
}

/** As many jobs may have seen a credential as the ledger calls delivered; each scenario adds at most one of either. */
async function wasRecorded(host: Host, seen: string): Promise<boolean> {
  if (seen === "") return true;
  const { entries } = await host.audit<{ readonly entries: readonly { readonly kind: string }[] }>([
    "audit",
    "list",
    "--kind",
    "delivered",
    "--limit",
    "1000",
  ]);
  const workspaces = globSync(join(host.folder, "builds/*/seen"));
  return entries.length >= workspaces.length;
}

/** What a dead sandboxd left, by the names that it gives: control groups, folders, mounts and processes. */
function orphansOf(nest: number): readonly string[] {
  const named = (folder: string): readonly string[] =>
    existsSync(folder) ? readdirSync(folder).filter((name) => name.includes(`-${nest}-`)) : [];
  const groups = ["/sys/fs/cgroup", ...readdirSync("/sys/fs/cgroup").map((name) => `/sys/fs/cgroup/${name}`)].flatMap(
    (folder) => (isFolder(folder) ? named(folder) : []),
  );
  const processes = readdirSync("/proc").filter((pid) => /^[0-9]+$/.test(pid) && commandLine(pid).includes(`-${nest}-`));
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(`-${nest}-`));
  return [...groups, ...named("/run"), ...processes, ...mounts];
}

function isFolder(path: string): boolean {
  try {
    readdirSync(path);
    return true;
  } catch {
    return false;
  }
}

/** A zombie has none; a process may end between being listed and being read. */
function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return "";
  }
}

async function control(host: Host, upstreams: Upstreams, count: Count): Promise<void> {
  const workspace = host.workspace();
  const run = await startJob(host, workspace, host.give(await host.token()), "true");
  count.controls += 1;
  await until(async () => (await alive(upstreams)) === 0, quietTime).catch(() => undefined);
  if (run.code === 0 && saw(workspace) && (await alive(upstreams)) === 0) count.controlsServed += 1;
}

async function verify(host: Host, count: Count): Promise<void> {
  const key = (await host.asRoot(["keys", "show", "ledger", "--config", host.config])).stdout.trim();
  if ((await host.asRoot(["audit", "verify", "--key", key])).code !== 0) count.unverified += 1;
}
