import { randomBytes } from "node:crypto";
import { chownSync, mkdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { rehearse } from "./api/protocols.ts";
import { createDoor, type Door, type Reason, type Sockets } from "./api/server.ts";
import type { Config, Settings } from "./config.ts";
import { BrokerError } from "./errors.ts";
import { stoppingAt, unstoppable } from "./failpoint.ts";
import type { House } from "./house.ts";
import { compileProfiles } from "./identity/issuers/issuers.ts";
import { readRegularFile } from "./identity/keys/file.ts";
import { issuerFetch } from "./identity/keys/network.ts";
import { createVerifier } from "./identity/verify.ts";
import { KeysOnRecord } from "./keys-on-record.ts";
import { lastWordSource } from "./last-word.ts";
import { openAuthority } from "./lease/authority.ts";
import { Circuits } from "./lease/circuit.ts";
import { JobTokens } from "./lease/job-tokens.ts";
import type { LeaseRoom } from "./lease/lease.ts";
import type { Minting } from "./lease/mint.ts";
import type { Authority } from "./lease/provider.ts";
import { Rotator } from "./lease/rotate.ts";
import { Sweeper } from "./lease/sweep.ts";
import { loadOrCreateSigningKey } from "./ledger/keys.ts";
import type { Ledger } from "./ledger/ledger.ts";
import { type LoadedLedger, loadLedger } from "./ledger/thread.ts";
import { LiveRuns } from "./live.ts";
import type { Log } from "./log.ts";
import type { PolicyFiles } from "./policy-files.ts";
import { PolicyInForce } from "./policy-in-force.ts";
import { PolicyWatch } from "./policy-watch.ts";
import { accountOf, become, groupIdOf, socketsOf } from "./privileges.ts";
import { type Catalogue, configureProviders, type Providers, roomsOf } from "./rooms.ts";
import { startSandboxd } from "./sandbox/child.ts";
import { connectSandboxes } from "./sandbox/client.ts";
import { closeThisProcess } from "./sandbox/closed.ts";
import type { Sandboxes } from "./sandbox/sandbox.ts";
import { createBroker } from "./service.ts";
import { type SharedTokens, shareTokens } from "./shared-tokens.ts";
import type { Clock, Duration } from "./time.ts";

export interface ServeParts {
  readonly config: Config;
  readonly configPath: string;
  readonly settings: Settings;
  readonly catalogue: Catalogue;
  readonly version: string;
  /** How this program is called again, to start sandboxd. */
  readonly program: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
  /** Aborted by SIGTERM and SIGINT: no new work, what runs is given its grace, then all ends. */
  readonly stop: AbortController;
  /** SIGHUP: the templates are read again. */
  onReload(listener: () => void): void;
}

/** How long jobs may go on once the broker was told to stop. */
const grace: Duration = 10_000;

/** An upstream that knows nothing of an intent is believed this long after a request for it can no longer be on its way. */
const settleTime: Duration = 2_000;

/** The broker from its start to its end. Resolves once every job is over and everything is recorded. */
export async function serve(parts: ServeParts): Promise<void> {
  const { log, stop } = parts;
  await using stack = new AsyncDisposableStack();
  const sockets = socketsOf(parts.config);
  const [loaded] = await Promise.all([loadLedger(), rehearse(), loadProviders(parts)]);
  stack.defer(() => loaded.stop());
  const sandboxd = await giveUpRoot(parts, stack);
  closeThisProcess();
  const { house, policy, door } = await openHouse(parts, { loaded, sandboxes: sandboxd.sandboxes, sockets }, stack);
  parts.onReload(() => void policy.reload("signal").catch((error: unknown) => log.error({ error }, "SIGHUP changed nothing")));
  log.info({ sockets: door.paths, policy: policy.current.digest }, "the broker takes work");
  const reason = await Promise.race([stopped(stop.signal), loaded.ended, sandboxd.ended]);
  log.info({ reason, running: house.live.count }, "the broker shuts down");
  await door.close(stop.signal.aborted ? grace : 0);
  if (!stop.signal.aborted)
    throw new BrokerError("environment-unfit", `the broker cannot go on: ${reason}`, {
      hint: "start it again; what it had issued, it then ends by itself",
    });
}

interface Sandboxd {
  readonly sandboxes: Sandboxes;
  readonly ended: Promise<string>;
}

/**
 * As root: starts sandboxd and makes the folders, then becomes `user` for good; every module is loaded by now, since that user
 * may be unable to read them. As anybody else: sandboxd is a service of its own.
 */
async function giveUpRoot({ config, configPath, program, clock }: ServeParts, stack: AsyncDisposableStack): Promise<Sandboxd> {
  // Root's own, so that nobody else can put a socket in this place.
  const folder = `${config.run}-sandboxd`;
  const socket = join(folder, "sandboxd.sock");
  if (process.geteuid?.() !== 0) return { sandboxes: connectSandboxes(socket, clock), ended: new Promise(() => undefined) };
  const account = accountOf(config.user);
  const { group, broker, audit, control } = config.sockets;
  const groups = [account.gid, ...[group, broker.group, audit.group, control.group].map(groupIdOf)];
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const child = await startSandboxd({ program, config: configPath, socket, serveUid: account.uid, clock });
  stack.defer(() => child.stop());
  for (const [path, mode] of [
    [config.run, 0o750],
    [config.state, 0o700],
  ] as const) {
    mkdirSync(path, { recursive: true, mode });
    chownSync(path, account.uid, account.gid);
  }
  become(account, groups);
  return { sandboxes: child.sandboxes, ended: child.ended.then((code) => `sandboxd ended with ${code}`) };
}

interface Opened {
  readonly house: House;
  readonly policy: PolicyInForce;
  readonly door: Door;
}

interface Ground {
  readonly loaded: LoadedLedger;
  readonly sandboxes: Sandboxes;
  readonly sockets: Sockets;
}

async function openHouse(
  parts: ServeParts,
  { loaded, sandboxes, sockets }: Ground,
  stack: AsyncDisposableStack,
): Promise<Opened> {
  const { clock, config, log } = parts;
  const authority = await openAuthority({ folder: config.state, issuerUrl: config.identity.url, clock, random: randomBytes });
  const shared = shareTokens(await openLedger(parts, loaded), parts);
  const ledger = stack.use(shared.ledger);
  const providers = await openProviders(parts, authority, stack);
  const live = new LiveRuns();
  const room = { ledger, providers, clock, random: randomBytes, proofs: authority.proofs, patience: config.leases.patience };
  const sweeper = stack.use(startSweeper(parts, room, live));
  const owners = [0, process.geteuid?.() ?? 0];
  const files: PolicyFiles = {
    folder: { path: config.templates, owners },
    rooms: roomsOf(config, providers),
    lastWord: lastWordSource(config, owners, clock),
    clock,
  };
  const loading = Promise.all([PolicyInForce.load({ files, ledger, log }), shared.connect()]);
  // Templates or a store that are not as they should be stop the broker, but not the end of what a dead one had issued.
  const [policy] = await loading.catch(async (error: unknown) => {
    await sweeper.round();
    throw error;
  });
  const profiles = compileProfiles(config.issuers, (path) => readFileSync(path, "utf8"));
  const history = stack.use(await KeysOnRecord.load({ ledger, log, clock }));
  const house: House = {
    clock,
    random: randomBytes,
    log,
    verifier: createVerifier({ profiles, fetch: issuerFetch, readFile: readRegularFile, clock, history }),
    policy: () => policy.current,
    lastWord: policy.lastWord,
    ledger,
    minting: mintingOf(parts, room, stack),
    sweeper,
    rotator: stack.use(startRotator(parts, room)),
    keys: authority,
    sandboxes,
    live,
    longestSession: config.sessions.longest,
    boundTo: config.sessions.bound_to,
    reached: parts.settings.failpoint === undefined ? unstoppable : stoppingAt(parts.settings.failpoint, clock),
  };
  stack.use(policy);
  const watch = stack.use(new PolicyWatch({ policy, files, log }));
  return { house, policy, door: stack.use(await openDoor(parts, house, { policy, watch, sockets, shared })) };
}

function mintingOf(
  { clock, log }: ServeParts,
  room: LeaseRoom & Pick<Minting, "random">,
  stack: AsyncDisposableStack,
): Minting {
  const needed = [...room.providers.values()].some(({ as }) => as === "job");
  const jobTokens = stack.use(new JobTokens({ clock, needed }));
  return { ...room, circuits: new Circuits(room), jobTokens, protect: (secrets) => log.hiding(secrets) };
}

/** Their modules only, while root can read them: configured they are once it is given up, since some start a program then. */
async function loadProviders({ config, catalogue }: ServeParts): Promise<void> {
  await Promise.all(Object.values(config.providers).map(({ type }) => catalogue.load(type)));
}

/** One that is a process of its own ends with the broker. */
function openProviders(parts: ServeParts, authority: Authority, stack: AsyncDisposableStack): Promise<Providers> {
  const { config, catalogue, clock, log } = parts;
  const { signal: ends } = stack.adopt(new AbortController(), (end) => end.abort());
  return configureProviders(config, catalogue, { clock, authority, lodging: { log, ends } });
}

async function openLedger({ config, clock, version }: ServeParts, loaded: LoadedLedger): Promise<Ledger> {
  const key = await loadOrCreateSigningKey(join(config.state, "ledger.key"));
  const ledger = await loaded.open({ path: join(config.state, "ledger.db"), key, origin: config.identity.origin, clock });
  await ledger.append([{ kind: "started", version, configuration: config.digest, host: hostname() }]);
  return ledger;
}

function startSweeper({ config, log }: ServeParts, room: LeaseRoom & Pick<Minting, "random">, live: LiveRuns): Sweeper {
  const sweeper = new Sweeper({
    ...room,
    held: (lease) => live.holds(lease),
    heldRun: (run) => live.has(run),
    interval: config.leases.sweep,
    settle: room.patience + settleTime,
    report: (error, lease) => log.warn({ error, lease }, "a lease could not be ended yet"),
  });
  sweeper.start();
  return sweeper;
}

function startRotator({ config, log }: ServeParts, room: LeaseRoom): Rotator {
  const every = Object.entries(config.providers).flatMap(([name, { rotate_every: span }]) =>
    span === undefined ? [] : [[name, span] as const],
  );
  const report = (error: BrokerError, what: string) => log.warn({ error, what }, "a stored secret could not be replaced yet");
  const rotator = new Rotator({ ...room, every: new Map(every), report });
  rotator.start();
  return rotator;
}

interface Furnishing {
  readonly policy: PolicyInForce;
  readonly watch: PolicyWatch;
  readonly sockets: Sockets;
  readonly shared: SharedTokens;
}

async function openDoor(
  { config, clock, log, version, stop }: ServeParts,
  house: House,
  { policy, watch, sockets, shared }: Furnishing,
): Promise<Door> {
  const providers = Object.entries(config.providers).map(([name, { type }]) => ({ name, type }));
  const about = {
    version,
    startedAt: clock.now(),
    issuers: Object.keys(config.issuers),
    providers,
    draining: () => stop.signal.aborted,
    trouble: () => [...shared.trouble(), ...policy.trouble(), ...watch.trouble()],
  };
  const broker = createBroker(house, about);
  const record = (verb: "reload" | "drain", { who, why }: Reason) =>
    house.ledger.append([{ kind: "operated", verb, about: "broker", who, why }]);
  return createDoor({
    broker,
    ledger: house.ledger,
    log,
    clock,
    sockets,
    reload: async (reason) => {
      await record("reload", reason);
      const { digest, templates } = await policy.reload("operator");
      return { digest, templates: [...templates.keys()] };
    },
    drain: async (reason) => {
      await record("drain", reason);
      stop.abort();
    },
  });
}

function stopped(signal: AbortSignal): Promise<string> {
  const reason = "it was told to stop";
  // A signal that came while the broker was starting is not told again.
  if (signal.aborted) return Promise.resolve(reason);
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(reason), { once: true }));
}
