import { createPrivateKey } from "node:crypto";
import { writeSync } from "node:fs";
import { loadLedger } from "../../src/ledger/thread.ts";
import { systemClock } from "../../src/time.ts";
import { aRun, aSession, issued, opening, origin, read } from "./fixture.ts";

/**
 * Appends until it is killed; its arguments are a ledger's path and a key in PEM. Tells of each write once it was acknowledged,
 * one JSON line each: what was written, and the checkpoint that was then the newest.
 */
const [, , path = "", pem = ""] = process.argv;
const ledger = await (await loadLedger()).open({ path, key: createPrivateKey(pem), origin, clock: systemClock });
const tell = (fact: unknown) => writeSync(1, `${JSON.stringify(fact)}\n`);

async function appendForever(writer: number): Promise<never> {
  for (let n = 0; ; n++) {
    const run = aRun({ session: opening(aSession({ until: Number.MAX_SAFE_INTEGER })) });
    const { entries } = await ledger.begin(run);
    const more = await ledger.append([...run.intents.map(({ lease }) => issued(lease)), read(`${writer}/${n}`)]);
    tell({ entries: [...entries, ...more], checkpoint: await ledger.checkpoint() });
  }
}

await Promise.all([0, 1, 2, 3].map(appendForever));
