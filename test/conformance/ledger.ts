import { afterEach, beforeEach, describe, expect } from "vitest";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { pagesOf, verifyLog } from "../../src/ledger/verify.ts";
import { noon } from "../ledger/fixture.ts";
import { leasesPromises } from "./ledger/leases.ts";
import { logPromises } from "./ledger/log.ts";
import { renewalsPromises } from "./ledger/renewals.ts";
import { sessionsPromises } from "./ledger/sessions.ts";
import type { LedgerUnderTest } from "./ledger/under-test.ts";

/** What every implementation of `Ledger` must do. After each test its whole log is verified from the raw leaves. */
export function ledgerConformance(name: string, start: () => Promise<LedgerUnderTest>): void {
  describe(`${name} keeps the promises of a ledger`, () => {
    let under: LedgerUnderTest;
    beforeEach(async () => {
      under = await start();
    });
    afterEach(async () => {
      const report = await audit(under.ledger);
      await under[Symbol.asyncDispose]();
      expect(report.findings).toEqual([]);
    });
    for (const promises of [logPromises, sessionsPromises, renewalsPromises, leasesPromises]) promises(() => under);
  });
}

async function audit(ledger: Ledger) {
  const { verifierKey, size } = await ledger.status();
  const leaves = pagesOf((from, count) => ledger.leaves(from, count), size, 7);
  return verifyLog({ leaves, checkpoint: await ledger.checkpoint(), vkey: verifierKey, now: noon + 86_400_000 });
}
