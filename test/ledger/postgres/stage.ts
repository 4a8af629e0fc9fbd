import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PostgresConfig } from "../../../src/ledger/postgres/config.ts";
import { readAddress } from "../../../src/ledger/postgres/dial.ts";
import { PostgresSpentTokens } from "../../../src/ledger/postgres/spent-tokens.ts";
import { type Clock, systemClock } from "../../../src/time.ts";
import type { Postgres } from "../../servers/postgres.ts";
import { newFolder } from "../fixture.ts";

/** A file that only the broker's user can read. */
export function passwordFile(password: string, mode = 0o600): string {
  const path = join(newFolder(), "password");
  writeFileSync(path, `${password}\n`, { mode });
  return path;
}

export function configFor(postgres: Postgres, parts: Partial<PostgresConfig> = {}): PostgresConfig {
  const { host, port, database, superuser: user, password } = postgres;
  return { host, port, database, user, tls: "off", password_file: passwordFile(password), ...parts };
}

export interface Opening {
  readonly config: PostgresConfig;
  readonly origin: string;
  readonly clock?: Clock;
  readonly reports?: (string | undefined)[];
}

/** Not connected yet. */
export function storeOf({ config, origin, clock = systemClock, reports = [] }: Opening): PostgresSpentTokens {
  const report = (trouble: Error | undefined): void => void reports.push(trouble?.message);
  return new PostgresSpentTokens({ address: () => readAddress(config), origin, clock, report });
}

export async function openStore(opening: Opening): Promise<PostgresSpentTokens> {
  const store = storeOf(opening);
  await store.connect();
  return store;
}
