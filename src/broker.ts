import type { Client, RunAsk, RunResult } from "./contract.ts";
import { secretsIn } from "./delivery/delivery.ts";
import type { House } from "./house.ts";
import { Job } from "./job.ts";

/**
 * THE FLOW: one job, from its token to the ledger. Whatever happens between two lines (an error, a client that goes away, a
 * kill -9, a reboot), no credential is delivered unrecorded and none is forgotten: leaving this scope by any way freezes the
 * job, ends its credentials, removes its sandbox and records how it went; what a dead broker could not end, the restarted one
 * does (`lease/sweep.ts`).
 */
export async function runJob(house: House, ask: RunAsk, client: Client): Promise<RunResult> {
  const { reached } = house;
  await using job = new Job(house, ask, client);
  return await job.recorded(async () => {
    const asker = await job.identify();
    await reached("verified");
    const grant = await job.decide(asker);
    await reached("decided");
    await job.prove(asker, grant);
    const sandbox = await job.reserve(grant);
    await reached("reserved");
    const run = await job.begin(asker, grant, sandbox);
    await reached("recorded");
    const leases = await job.mint(run);
    await reached("minted");
    const files = job.filesFor(leases);
    await sandbox.arm(secretsIn(files));
    await reached("armed");
    await job.deliver(run, sandbox, leases, files);
    await reached("delivered");
    const exit = await job.start(run, sandbox);
    await reached("ran");
    const outcomes = await job.end();
    await reached("ended");
    return await job.close(run, exit, outcomes);
  });
}
