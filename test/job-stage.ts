import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client, RunAsk } from "../src/contract.ts";
import { unstoppable } from "../src/failpoint.ts";
import type { House } from "../src/house.ts";
import type { Identity } from "../src/identity/identity.ts";
import type { Job } from "../src/job.ts";
import { openAuthority } from "../src/lease/authority.ts";
import { Circuits } from "../src/lease/circuit.ts";
import { JobTokens } from "../src/lease/job-tokens.ts";
import { Rotator } from "../src/lease/rotate.ts";
import { Sweeper } from "../src/lease/sweep.ts";
import type { Ledger } from "../src/ledger/ledger.ts";
import { loadLedger } from "../src/ledger/thread.ts";
import { LiveRuns } from "../src/live.ts";
import { createLog } from "../src/log.ts";
import { isolationSchema } from "../src/sandbox/isolation.ts";
import type { Sandbox } from "../src/sandbox/sandbox.ts";
import { Secret } from "../src/secret.ts";
import { systemClock } from "../src/time.ts";
import { configured } from "./providers/configured.ts";

/*
 * What only a chosen moment shows: the ledger, the keys and the provider are real; the sandbox stands still where no real one
 * would for a test.
 */

export interface JobStage extends AsyncDisposable {
  readonly ledger: Ledger;
  readonly house: House;
  readonly folder: string;
}

export async function openJobStage(): Promise<JobStage> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-job-"));
  const loaded = await loadLedger();
  const key = generateKeyPairSync("ed25519").privateKey;
  const ledger = await loaded.open({ path: join(folder, "ledger.db"), key, origin: "mayfly.test/job", clock: systemClock });
  return {
    ledger,
    folder,
    house: await houseOf(ledger, folder),
    [Symbol.asyncDispose]: async () => {
      await ledger[Symbol.asyncDispose]();
      await loaded.stop().catch(() => undefined);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function houseOf(written: Ledger, folder: string): Promise<House> {
  const [clock, random] = [systemClock, randomBytes];
  const authority = await openAuthority({ folder, issuerUrl: "https://broker.test", clock, random });
  const local = await configured("local", {}, { authority });
  const log = createLog({ level: "silent", destination: { write: () => true }, clock });
  const room = { ledger: written, providers: new Map([["local", local]]), clock, proofs: authority.proofs, patience: 3_000 };
  const nobody = (): never => {
    throw new Error("not in this test");
  };
  return {
    clock,
    random,
    log,
    ledger: written,
    live: new LiveRuns(),
    longestSession: 3_600_000,
    boundTo: "runner",
    reached: unstoppable,
    verifier: {
      verify: nobody,
      readiness: () => [],
      readAnew: nobody,
      heldKey: nobody,
      freshAfter: () => undefined,
      accept: nobody,
      audiences: () => [],
    },
    policy: nobody,
    lastWord: undefined,
    minting: {
      ...room,
      random,
      circuits: new Circuits({ clock, random }),
      jobTokens: new JobTokens({ clock, needed: true }),
      protect: (secrets) => log.hiding(secrets),
    },
    sweeper: new Sweeper({
      ...room,
      held: () => false,
      heldRun: () => true,
      random,
      interval: 1_000,
      settle: 0,
      report: () => undefined,
    }),
    rotator: new Rotator({ ...room, every: new Map(), report: () => undefined }),
    keys: authority,
    sandboxes: { open: nobody, lacks: () => [], status: nobody },
  };
}

export const identity: Identity = {
  issuer: "ci",
  subject: "repo:shop",
  workload: "ci:1",
  job: "ci:1:1",
  trust: "protected",
  claims: {},
  token: { key: "a-token", expiresAt: Date.now() + 600_000 },
};
export const peer = { uid: 1, gid: 1, pid: 1, cgroup: "/runner-1" };
const credential = {
  name: "api",
  provider: "local",
  options: { kind: "x509" },
  ttl: 60_000,
  deliver: undefined,
  wait: 0,
  optional: false,
};
const isolation = isolationSchema.parse({});
export const grant: Parameters<Job["begin"]>[1] = {
  kind: "granted",
  template: "t",
  step: undefined,
  policy: "0".repeat(64),
  reason: "it matched",
  identity,
  command: ["true"],
  workspace: "rw",
  isolation,
  network: [],
  observe: undefined,
  credentials: [credential],
};
export const ask: RunAsk = {
  peer,
  template: "t",
  step: undefined,
  command: ["true"],
  workspace: "/",
  environment: {},
  credentials: { kind: "token", token: Secret.of("a token") },
};

async function* nothing(): AsyncGenerator<never> {
  yield* [];
}

export const client: Client = {
  stdin: nothing(),
  signals: nothing(),
  signal: new AbortController().signal,
  accepted: () => undefined,
  output: () => Promise.resolve(),
  freshToken: () => Promise.reject(new Error("there is none")),
};

export function sandboxThat(parts: Partial<Sandbox>): Sandbox {
  const done = (): Promise<void> => Promise.resolve();
  const run: Sandbox["run"] = () => Promise.resolve({ kind: "exited", code: 0, peakMemory: 4096 });
  return {
    tolerated: [],
    arm: done,
    deliver: done,
    run,
    drained: done,
    freeze: done,
    remove: done,
    [Symbol.asyncDispose]: done,
    ...parts,
  };
}
