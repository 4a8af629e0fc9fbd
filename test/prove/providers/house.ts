import { randomBytes } from "node:crypto";
import { Circuits } from "../../../src/lease/circuit.ts";
import { JobTokens } from "../../../src/lease/job-tokens.ts";
import type { Leases } from "../../../src/lease/lease.ts";
import { type Minting, mint } from "../../../src/lease/mint.ts";
import { Sweeper } from "../../../src/lease/sweep.ts";
import type { LeaseRecord, Ledger } from "../../../src/ledger/ledger.ts";
import { type Duration, systemClock } from "../../../src/time.ts";
import { begin, openLedger } from "../../lease/stage.ts";
import type { Stand } from "./part.ts";

/** A broker's own minting, ledger and sweeper around one provider, joined as `serve` joins them. */
export interface House extends AsyncDisposable {
  readonly ledger: Ledger;
  /** One run with one credential: begun in the ledger, then minted. Rejects as `mint` does. */
  issue(): Promise<Leases<undefined>>;
  /** Of every lease that was ever meant. */
  records(): Promise<readonly LeaseRecord[]>;
  /** Leases that a live run holds, which the sweeper leaves alone. */
  readonly held: Set<string>;
  sweep(): Sweeper;
}

const patience: Duration = 3_000;

export async function openHouse({ provider, proofs, options, ttl }: Stand): Promise<House> {
  const stack = new AsyncDisposableStack();
  const ledger = await openLedger(stack);
  const jobTokens = stack.use(new JobTokens({ clock: systemClock, needed: true }));
  const room = { ledger, providers: new Map([["it", provider]]), clock: systemClock, proofs, patience };
  const protect = (): Disposable => ({ [Symbol.dispose]: () => undefined });
  const held = new Set<string>();
  const { signal } = new AbortController();
  return {
    ledger,
    held,
    issue: async () => {
      // A circuit of its own for each: else the storm's first failures would spare the upstream the rest of it.
      const circuits = new Circuits({ clock: systemClock, random: randomBytes });
      const minting: Minting = { ...room, random: randomBytes, protect, circuits, jobTokens };
      const { grant, intents } = await begin(ledger, [{ name: "it", provider: "it", options, ttl }]);
      for (const { lease } of intents) held.add(lease);
      try {
        return (await mint(minting, { grant, intents, signal })) as Leases<undefined>;
      } catch (error) {
        for (const { lease } of intents) held.delete(lease);
        throw error;
      }
    },
    records: () => ledger.leases({ limit: 1_000 }),
    sweep: () => {
      const sweeper = new Sweeper({
        ...room,
        held: (lease) => held.has(lease),
        heldRun: () => true,
        random: randomBytes,
        interval: 50,
        settle: patience + 2_000,
        report: () => undefined,
      });
      sweeper.start();
      return stack.use(sweeper);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
