import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import { z } from "zod";
import type { BrokerError } from "../../src/errors.ts";
import { Circuits } from "../../src/lease/circuit.ts";
import { JobTokens } from "../../src/lease/job-tokens.ts";
import type { RoomProvider } from "../../src/lease/lease.ts";
import type { Minting } from "../../src/lease/mint.ts";
import type { Intent, Minted, Provider } from "../../src/lease/provider.ts";
import { Sweeper, type Sweeping } from "../../src/lease/sweep.ts";
import type { LeaseRecord, Ledger } from "../../src/ledger/ledger.ts";
import { loadLedger } from "../../src/ledger/thread.ts";
import type { GrantedCredential } from "../../src/policy/grant.ts";
import type { Secret } from "../../src/secret.ts";
import { systemClock } from "../../src/time.ts";
import { configured } from "../providers/configured.ts";
import { openVaultBench, type VaultBench } from "../providers/vault-bench.ts";
import { vaultMissing } from "../servers/missing.ts";

/** What a test's grant asks for, each under its own name. */
export interface Wanted {
  readonly name: string;
  readonly provider: string;
  readonly options: unknown;
  readonly ttl?: number;
  readonly wait?: number;
  readonly optional?: boolean;
}

export const database: Wanted = {
  name: "db",
  provider: "vault",
  options: { path: "database/creds/shop-migrate", kind: "dynamic" },
};
export const stored: Wanted = { name: "kv", provider: "vault", options: { path: "secret/data/ci/519283746", kind: "kv" } };
export const certificate: Wanted = { name: "cert", provider: "local", options: { kind: "x509" } };
export const refused: Wanted = {
  name: "no",
  provider: "vault",
  options: { path: "database/creds/no-such-role", kind: "dynamic" },
};

/** One run whose intents are durable, as the broker hands it to `mint`. */
export interface Begun {
  readonly run: string;
  readonly grant: { readonly credentials: readonly GrantedCredential<undefined>[] };
  readonly intents: readonly Intent[];
}

/** A real ledger, OpenBao, PostgreSQL and local provider, joined as `serve` joins them. */
export interface Stage extends AsyncDisposable {
  readonly bench: VaultBench;
  readonly ledger: Ledger;
  /** One that takes nothing down. */
  readonly closedLedger: Ledger;
  readonly providers: Map<string, RoomProvider>;
  readonly minting: Minting;
  /** Secrets that the log was told to hide, and no longer is. */
  readonly hidden: Set<Secret>;
  begin(...wanted: readonly Wanted[]): Promise<Begun>;
  sweeper(parts?: Partial<Sweeping>): Sweeper;
  readonly reports: (readonly [BrokerError["code"], string | undefined])[];
  record(lease: string): Promise<LeaseRecord>;
  /** The kinds of what the ledger tells of a lease, in order. */
  story(lease: string): Promise<readonly string[]>;
}

async function openStage(): Promise<Stage> {
  const stack = new AsyncDisposableStack();
  const bench = stack.use(await openVaultBench());
  const ledger = await openLedger(stack);
  const closedLedger = await openLedger(stack);
  await closedLedger[Symbol.asyncDispose]();
  const local = await configured("local", {}, bench);
  const providers = new Map<string, RoomProvider>([
    ["vault", bench.provider],
    ["local", local],
  ]);
  const hidden = new Set<Secret>();
  const room = { ledger, providers, clock: systemClock, proofs: bench.authority.proofs, patience: 3_000 };
  const protect = (secrets: readonly Secret[]): Disposable => {
    for (const secret of secrets) hidden.add(secret);
    return { [Symbol.dispose]: () => secrets.forEach((secret) => hidden.delete(secret)) };
  };
  const reports: (readonly [BrokerError["code"], string | undefined])[] = [];
  const report: Sweeping["report"] = (error, lease) => void reports.push([error.code, lease]);
  const jobTokens = stack.use(new JobTokens({ clock: systemClock, needed: true }));
  return {
    bench,
    ledger,
    closedLedger,
    providers,
    // No test starts with a circuit that another one opened.
    get minting() {
      const circuits = new Circuits({ clock: systemClock, random: randomBytes });
      return { ...room, random: randomBytes, protect, circuits, jobTokens };
    },
    hidden,
    reports,
    begin: (...wanted) => begin(ledger, wanted),
    sweeper: (parts = {}) => {
      const sweeper = new Sweeper({
        ...room,
        held: () => false,
        heldRun: () => true,
        random: randomBytes,
        interval: 50,
        settle: 0,
        report,
        ...parts,
      });
      sweeper.start();
      return sweeper;
    },
    record: (lease) => recordOf(ledger, lease),
    story: async (lease) => (await ledger.entries({ limit: 1_000, about: lease })).map(({ event }) => event.kind),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** The stage of a whole file. Without the servers each of its tests is skipped, with the reason. */
export function useStage(): () => Stage {
  const reason = vaultMissing();
  let stage: Stage | undefined;
  beforeAll(async () => {
    if (reason === undefined) stage = await openStage();
  });
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
  afterAll(() => stage?.[Symbol.asyncDispose]());
  return () => {
    if (stage === undefined) throw new Error(reason);
    return stage;
  };
}

/** Upstream, in the ledger and in the log's memory. */
export async function expectNothingLeft(stage: Stage): Promise<void> {
  expect(await aliveUpstream(stage)).toEqual([]);
  expect(await stage.ledger.openLeases()).toEqual([]);
  expect(stage.hidden.size).toBe(0);
}

export async function openLedger(stack: AsyncDisposableStack): Promise<Ledger> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-lease-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const key = generateKeyPairSync("ed25519").privateKey;
  const loaded = await loadLedger();
  return stack.use(
    await loaded.open({ path: join(folder, "ledger.db"), key, origin: "mayfly.test/lease", clock: systemClock }),
  );
}

async function recordOf(ledger: Ledger, lease: string): Promise<LeaseRecord> {
  const found = (await ledger.leases({ limit: 1_000 })).find((record) => record.lease === lease);
  if (found === undefined) throw new Error(`the ledger has no lease ${lease}`);
  return found;
}

const id = (prefix: string): string => `${prefix}-${randomBytes(12).toString("hex")}`;

export async function begin(ledger: Ledger, wanted: readonly Wanted[]): Promise<Begun> {
  const [run, session, token] = [id("run"), id("ses"), id("token")];
  const now = Date.now();
  const until = now + 3_600_000;
  const common = { template: "deploy/production", workload: "github:519283746", session };
  const credentials = wanted.map(({ name, provider, options, ttl = 600_000, wait = 0, optional = false }) => ({
    name,
    provider,
    options,
    ttl,
    deliver: undefined,
    wait,
    optional,
  }));
  const intents = credentials.map(
    ({ name, provider, ttl, wait }): Intent => ({
      ...common,
      lease: id("lse"),
      credential: name,
      provider,
      ttl,
      latestExpiry: now + wait + ttl + 1_000,
    }),
  );
  const opened = {
    kind: "session-opened",
    session,
    issuer: "github",
    subject: "repo:shop",
    workload: common.workload,
    job: "github:1",
    trust: "protected",
    claims: {},
    token,
    peer: { uid: 1000, pid: 7, cgroup: null },
    until,
  } as const;
  await ledger.begin({
    run: {
      kind: "run-opened",
      run,
      session,
      peer: { uid: 1000, pid: 7, cgroup: null },
      template: common.template,
      step: null,
      policy: "0".repeat(64),
      reason: "it matched",
      asked: null,
      tolerated: [],
      observed: [],
      lastWord: null,
    },
    session: {
      kind: "open",
      opening: {
        id: session,
        handleDigest: id("digest"),
        peer: 1000,
        cgroup: null,
        until,
        identity: "{}",
        scopes: [],
        event: opened,
        token: { key: token, forgetAfter: until },
      },
    },
    scopes: ["all"],
    intents: intents.map(({ lease, credential, provider, latestExpiry }, index) => ({
      kind: "intent",
      lease,
      run,
      credential,
      provider,
      as: "broker",
      options: credentials[index]?.options,
      optional: credentials[index]?.optional ?? false,
      latestExpiry,
    })),
  });
  return { run, grant: { credentials }, intents };
}

/** A provider that does what a test wants, where no real one would: it keeps to the interface and breaks its promise. */
export function lying(mint: () => Promise<Minted>): Provider<unknown> {
  return {
    options: z.unknown(),
    gives: () => "bearer",
    ends: () => "revoke",
    mint,
    revocation: { revoke: () => Promise.resolve(), recover: () => Promise.resolve({ kind: "never-happened" }) },
  };
}

/** Waits for what a background loop brings about; the caller's own assertion tells what was missed. */
export async function eventually(holds: () => Promise<boolean>, patience = 8_000): Promise<void> {
  const deadline = Date.now() + patience;
  while (!(await holds()) && Date.now() < deadline) await systemClock.sleep(25);
}

/** PostgreSQL's own word on whether a login works. */
export async function logsIn({ bench }: Stage, { material }: { readonly material: Minted["material"] }): Promise<boolean> {
  if (material.kind !== "username-password") throw new Error("this is no login");
  const login = { user: material.username, password: material.password.use(String) };
  return (await bench.postgres.sql("select 1", login)).code === 0;
}

/** Everything that OpenBao and PostgreSQL know to be alive. */
export async function aliveUpstream({ bench }: Stage): Promise<readonly string[]> {
  const tokens = await bench.bao.tokens();
  const leases = await Promise.all(["shop-migrate", "shop-eternal"].map((role) => bench.bao.leases(`database/creds/${role}`)));
  const roles = (await bench.postgres.sql("select rolname from pg_roles where rolname like 'v-%'")).stdout
    .split("\n")
    .filter(Boolean);
  return [...tokens, ...leases.flat(), ...roles];
}
