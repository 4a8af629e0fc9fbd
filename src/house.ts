import type { Delivery } from "./delivery/delivery.ts";
import type { Reached } from "./failpoint.ts";
import type { Verifier } from "./identity/verify.ts";
import type { BrokerAuthority } from "./lease/authority.ts";
import type { Minting } from "./lease/mint.ts";
import type { Rotator } from "./lease/rotate.ts";
import type { Sweeper } from "./lease/sweep.ts";
import type { Ledger } from "./ledger/ledger.ts";
import type { LiveRuns } from "./live.ts";
import type { Log } from "./log.ts";
import type { LastWord } from "./policy/opa/last-word.ts";
import type { Policy } from "./policy/policy.ts";
import type { Isolation, Sandboxes } from "./sandbox/sandbox.ts";
import type { Clock, Duration } from "./time.ts";

/** What the flow is built from: every room by its interface, and everything ambient. Made once, by `commands/serve.ts`. */
export interface House {
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
  readonly log: Log;
  readonly verifier: Verifier;
  /** The policy in force now; a run keeps the one that decided it. */
  readonly policy: () => Policy<Delivery, Isolation>;
  /** What the site says once a template has granted; it denies or narrows, and is undefined where there is none. */
  readonly lastWord: LastWord<Delivery, Isolation> | undefined;
  readonly ledger: Ledger;
  readonly minting: Minting;
  readonly sweeper: Sweeper;
  readonly rotator: Rotator;
  readonly keys: Pick<BrokerAuthority, "prepareKey" | "turnKey">;
  readonly sandboxes: Sandboxes;
  readonly live: LiveRuns;
  /** How long a session may last at most, whatever its token says. */
  readonly longestSession: Duration;
  /** To whom a session's handle is of use: the user that opened it, within its control group or anywhere. */
  readonly boundTo: "runner" | "user";
  readonly reached: Reached;
}
