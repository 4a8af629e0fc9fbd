import type { Config } from "./config.ts";
import type { BrokerStatus } from "./contract.ts";
import type { Ledger } from "./ledger/ledger.ts";
import { readAddress } from "./ledger/postgres/dial.ts";
import { PostgresSpentTokens } from "./ledger/postgres/spent-tokens.ts";
import { withSharedTokens } from "./ledger/shared-ledger.ts";
import type { Log } from "./log.ts";
import type { Clock } from "./time.ts";

/** The ledger as the broker uses it, whether others share its spent tokens or not. */
export interface SharedTokens {
  readonly ledger: Ledger;
  /** Throws `config-invalid` where an operator must help; a store that is away is found later. */
  connect(): Promise<void>;
  trouble(): BrokerStatus["trouble"];
}

export interface SharedTokensParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
}

/** Owns `ledger` from here on. Without `shared:` in mayfly.yaml, it is the ledger itself. */
export function shareTokens(ledger: Ledger, { config, clock, log }: SharedTokensParts): SharedTokens {
  const { shared } = config;
  if (shared === undefined) return { ledger, connect: () => Promise.resolve(), trouble: () => [] };
  const address = async () => {
    const read = await readAddress(shared.postgres);
    if (read.password !== undefined) log.hiding([read.password]);
    return read;
  };
  const report = (trouble: Error | undefined): void => {
    if (trouble === undefined) log.info({}, "the shared store is there");
    else log.warn({ error: trouble }, "the shared store is away, so no token is accepted");
  };
  const store = new PostgresSpentTokens({ address, origin: config.identity.origin, clock, report });
  return {
    ledger: withSharedTokens({ ledger, store, clock }),
    connect: () => store.connect(),
    trouble: () => (store.trouble === undefined ? [] : [{ code: "store-unavailable", about: store.trouble.message }]),
  };
}
