import type { Ledger } from "../../../src/ledger/ledger.ts";
import { aRun, aSession, opening, type RunParts, type SetClock } from "../../ledger/fixture.ts";

/** A ledger under test: `ledger` is the open one, and `restart` closes it and opens the same log again. */
export interface LedgerUnderTest extends AsyncDisposable {
  readonly ledger: Ledger;
  readonly clock: SetClock;
  restart(): Promise<void>;
}

/** Begins a run, of one credential in a session of its own where nothing else is said. */
export async function begin(ledger: Ledger, parts: Partial<RunParts> = {}) {
  const run = aRun({ session: opening(aSession()), ...parts });
  await ledger.begin(run);
  return { run: run.run.run, session: run.run.session, leases: run.intents.map(({ lease }) => lease) };
}
