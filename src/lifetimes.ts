import { isShortened } from "./decided.ts";
import type { BrokerError } from "./errors.ts";
import type { House } from "./house.ts";
import type { Leases } from "./lease/lease.ts";
import { keepAlive } from "./lease/renew.ts";
import type { JobGrant } from "./still-granted.ts";

/** A run whose credentials live while it does. */
export interface LivingRun {
  readonly run: string;
  readonly grant: JobGrant;
  /** What the templates alone grant, of which the site may have left less. */
  readonly whole: JobGrant;
  readonly scopes: readonly string[];
  /** Nothing is renewed where one of these scopes was raised above it. */
  readonly fence: number;
  /** Aborted once its credentials end anyway. */
  readonly over: AbortSignal;
}

/** What its upstream ends where nobody renews it is renewed, and what the site left a shorter life is ended when that is over. */
export function lookAfter(house: House, of: LivingRun, leases: Leases): void {
  cutShort(house, of, leases);
  const { minting, ledger, live, log } = house;
  const mayRenew = async (lease: string): Promise<boolean> => {
    const { fence, closed } = await ledger.fence(of.scopes);
    return live.holds(lease) && !closed && fence <= of.fence;
  };
  const report = (error: BrokerError, lease: string) =>
    log.warn({ error, lease, run: of.run }, "a credential could not be renewed, and ends upstream unless it is in time");
  keepAlive({ ...minting, mayRenew, report }, leases.all, of.over);
}

/** What the site left a shorter life than its provider gave is ended by the sweeper when that is over, while the job goes on. */
function cutShort({ clock, live }: House, { run, grant, whole, over }: LivingRun, { all }: Leases): void {
  for (const { lease, credential: name, ending } of all) {
    const credential = grant.credentials.find((one) => one.name === name);
    if (credential === undefined || ending.kind !== "revoke" || !isShortened(whole, credential)) continue;
    clock.sleep(credential.ttl, over).then(
      () => live.release(run, lease),
      () => undefined,
    );
  }
}
