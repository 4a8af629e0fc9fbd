import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { catalogue } from "../providers/catalogue.ts";
import { opens } from "../src/asker.ts";
import type { Client, RunAsk } from "../src/contract.ts";
import { BrokerError } from "../src/errors.ts";
import { unstoppable } from "../src/failpoint.ts";
import type { House } from "../src/house.ts";
import type { Identity } from "../src/identity/identity.ts";
import { Job } from "../src/job.ts";
import { openAuthority } from "../src/lease/authority.ts";
import { Sweeper } from "../src/lease/sweep.ts";
import type { Ledger } from "../src/ledger/ledger.ts";
import { loadLedger } from "../src/ledger/thread.ts";
import { LiveRuns } from "../src/live.ts";
import { createLog } from "../src/log.ts";
import type { Sandbox } from "../src/sandbox/sandbox.ts";
import { Secret } from "../src/secret.ts";
import { systemClock } from "../src/time.ts";

/*
 * What only a chosen moment shows: the ledger, the keys and the provider are real; the sandbox stands still where no real one
 * would for a test.
 */

let folder: string;
let ledger: Ledger;
let house: House;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-job-"));
  const loaded = await loadLedger();
  const key = generateKeyPairSync("ed25519").privateKey;
  ledger = await loaded.open({ path: join(folder, "ledger.db"), key, origin: "mayfly.test/job", clock: systemClock });
  house = await houseOf(ledger);
});

afterAll(async () => {
  await ledger?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function houseOf(written: Ledger): Promise<House> {
  const [clock, random] = [systemClock, randomBytes];
  const authority = await openAuthority({ folder, issuerUrl: "https://broker.test", clock, random });
  const local = catalogue.get("local")?.configure({}, { clock, authority });
  if (local === undefined) throw new Error("the catalogue has no local");
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
    reached: unstoppable,
    verifier: { verify: nobody, readiness: () => [] },
    policy: nobody,
    minting: { ...room, protect: (secrets) => log.hiding(secrets) },
    sweeper: new Sweeper({
      ...room,
      held: () => false,
      heldRun: () => true,
      random,
      interval: 1_000,
      settle: 0,
      report: () => undefined,
    }),
    sandboxes: { open: nobody, status: nobody },
  };
}

const identity: Identity = {
  issuer: "ci",
  subject: "repo:shop",
  workload: "ci:1",
  job: "ci:1:1",
  trust: "protected",
  claims: {},
  token: { key: "a-token", expiresAt: Date.now() + 600_000 },
};
const peer = { uid: 1, gid: 1, pid: 1 };
const credential = { name: "api", provider: "local", options: { kind: "x509" }, ttl: 60_000, deliver: undefined };
const isolation = { memory: 1, cpus: 1, pids: 1, timeout: 1, environment: { pass: [] }, tolerate: {} };
const grant: Parameters<Job["begin"]>[1] = {
  kind: "granted",
  template: "t",
  step: undefined,
  policy: "0".repeat(64),
  reason: "it matched",
  identity,
  command: ["true"],
  workspace: "rw",
  isolation,
  credentials: [credential],
};
const ask: RunAsk = {
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

const client: Client = {
  stdin: nothing(),
  signals: nothing(),
  signal: new AbortController().signal,
  accepted: () => undefined,
  output: () => Promise.resolve(),
};

function sandboxThat(parts: Partial<Sandbox>): Sandbox {
  const done = (): Promise<void> => Promise.resolve();
  const run: Sandbox["run"] = () => Promise.resolve({ kind: "exited", code: 0 });
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

const asker = (key: string) => opens(house, { ...identity, token: { ...identity.token, key } }, peer);

describe("a job", () => {
  test("delivers nothing past a fence that was raised while the delivery was being recorded", async () => {
    const delivered: string[] = [];
    const raising = new Proxy(ledger, {
      get: (target, name) => {
        const own: unknown = Reflect.get(target, name);
        if (name !== "append") return own;
        return async (...[events]: Parameters<Ledger["append"]>) => {
          if (events[0]?.kind === "delivered") {
            await target.raiseFence({ scope: "workload:ci:1", closed: true, who: "alice", why: "a test" });
            house.live.end(new BrokerError("fenced"), "workload:ci:1");
          }
          return target.append(events);
        };
      },
    });
    const sandbox = sandboxThat({ deliver: async () => void delivered.push("delivered") });
    await using job = new Job({ ...house, ledger: raising }, ask, client);
    const run = await job.begin(asker("first"), grant, sandbox);
    const leases = await job.mint(run);
    await expect(job.deliver(run, sandbox, leases, job.filesFor(leases))).rejects.toMatchObject({ code: "fenced" });
    expect(delivered).toEqual([]);
    await ledger.raiseFence({ scope: "workload:ci:1", closed: false, who: "alice", why: "a test" });
  });

  test("ends its leases although its sandbox does not answer any more", async () => {
    const sandbox = sandboxThat({ freeze: () => new Promise(() => undefined) });
    const job = new Job({ ...house, sandboxes: { ...house.sandboxes, open: async () => sandbox } }, ask, client);
    await job.reserve(grant);
    await job.mint(await job.begin(asker("second"), grant, sandbox));
    const before = performance.now();
    expect(await job.end()).toMatchObject([{ credential: "api", end: "expires" }]);
    expect(performance.now() - before).toBeLessThan(2_000);
    await job[Symbol.asyncDispose]();
  });
});
