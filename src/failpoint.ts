import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "./time.ts";

/** The places between the lines of the flow (`broker.ts`) at which a test can stop the world. */
export const failpoints = [
  "verified",
  "decided",
  "reserved",
  "recorded",
  "minted",
  "armed",
  "delivered",
  "ran",
  "ended",
] as const;

export type Failpoint = (typeof failpoints)[number];

/** Resolves when the flow may go on. */
export type Reached = (point: Failpoint) => Promise<void>;

/** Where to stop, and the folder in which to say so and to be told to go on. */
export interface Stop {
  readonly point: Failpoint;
  readonly folder: string;
}

export const unstoppable: Reached = () => Promise.resolve();

/**
 * Stops at one point until it is told to go on: writes `POINT.reached` into the folder and waits for `POINT.go`. Whoever may set the
 * broker's environment may kill it as well, so this gives nobody a new power.
 */
export function stoppingAt({ point, folder }: Stop, clock: Clock): Reached {
  return async (reached) => {
    if (reached !== point) return;
    await writeFile(join(folder, `${point}.reached`), "");
    while (!(await exists(join(folder, `${point}.go`)))) await clock.sleep(10);
  };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
