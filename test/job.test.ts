import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { opens } from "../src/asker.ts";
import { BrokerError } from "../src/errors.ts";
import type { House } from "../src/house.ts";
import { Job } from "../src/job.ts";
import type { Ledger } from "../src/ledger/ledger.ts";
import { ask, client, grant, identity, type JobStage, openJobStage, peer, sandboxThat } from "./job-stage.ts";

let stage: JobStage;
let ledger: Ledger;
let house: House;

beforeAll(async () => {
  stage = await openJobStage();
  ({ ledger, house } = stage);
});

afterAll(() => stage?.[Symbol.asyncDispose]());

const asker = (key: string) => opens(house, { ...identity, token: { ...identity.token, key } }, peer);

describe("a job", () => {
  test("delivers nothing past a fence that was raised while the delivery was being recorded", async () => {
    const delivered: string[] = [];
    const raising = new Proxy(ledger, {
      get: (target, name) => {
        const own: unknown = Reflect.get(target, name);
        if (name !== "deliver") return own;
        return async (...[delivery]: Parameters<Ledger["deliver"]>) => {
          await target.raiseFence({ scope: "workload:ci:1", closed: true, who: "alice", why: "a test" });
          house.live.end(new BrokerError("fenced"), "workload:ci:1");
          return target.deliver(delivery);
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
