import { join } from "node:path";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { loadLedger } from "../../src/ledger/thread.ts";
import type { LedgerUnderTest } from "../conformance/ledger/under-test.ts";
import { ledgerConformance } from "../conformance/ledger.ts";
import { newFolder, newKey, origin, SetClock } from "./fixture.ts";

ledgerConformance("SQLite in its thread", async (): Promise<LedgerUnderTest> => {
  const path = join(newFolder(), "ledger.db");
  const key = newKey();
  const clock = new SetClock();
  const open = async (): Promise<Ledger> => (await loadLedger()).open({ path, key, origin, clock });
  let ledger = await open();
  return {
    get ledger() {
      return ledger;
    },
    clock,
    restart: async () => {
      await ledger[Symbol.asyncDispose]();
      ledger = await open();
    },
    [Symbol.asyncDispose]: () => ledger[Symbol.asyncDispose](),
  };
});
