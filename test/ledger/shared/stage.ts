import type { KeyObject } from "node:crypto";
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Ledger } from "../../../src/ledger/ledger.ts";
import type { PostgresConfig } from "../../../src/ledger/postgres/config.ts";
import type { PostgresSpentTokens } from "../../../src/ledger/postgres/spent-tokens.ts";
import { withSharedTokens } from "../../../src/ledger/shared-ledger.ts";
import { loadLedger } from "../../../src/ledger/thread.ts";
import type { Clock } from "../../../src/time.ts";
import { newFolder, newKey, SetClock } from "../fixture.ts";
import { storeOf } from "../postgres/stage.ts";

export interface BrokerParts {
  readonly config: PostgresConfig;
  readonly origin: string;
  readonly clock?: Clock;
  readonly path?: string;
  readonly key?: KeyObject;
  /** What stands between the two, to stop the world at a chosen moment; nothing where it is left out. */
  readonly between?: (own: Ledger) => Ledger;
}

/** What one broker has of ledger and store. */
export interface BrokerLedger extends AsyncDisposable {
  /** The one that the broker uses, which disposes of all. */
  readonly ledger: Ledger;
  /** Its own part. */
  readonly own: Ledger;
  readonly store: PostgresSpentTokens;
}

export async function openBroker(parts: BrokerParts): Promise<BrokerLedger> {
  const {
    config,
    origin,
    clock = new SetClock(),
    path = join(newFolder(), "ledger.db"),
    key = newKey(),
    between = (same) => same,
  } = parts;
  const own = await (await loadLedger()).open({ path, key, origin, clock });
  const store = storeOf({ config, origin, clock });
  const ledger = withSharedTokens({ ledger: between(own), store, clock, interval: 500 });
  try {
    await store.connect();
  } catch (error) {
    await ledger[Symbol.asyncDispose]();
    throw error;
  }
  return { ledger, own, store, [Symbol.asyncDispose]: () => ledger[Symbol.asyncDispose]() };
}

export const digestOf = (key: string): string => createHash("sha256").update(key).digest("hex");
