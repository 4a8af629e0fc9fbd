import { seen } from "./asker.ts";
import type { Peer } from "./contract.ts";
import { BrokerError, type Code } from "./errors.ts";
import type { House } from "./house.ts";
import { newId } from "./id.ts";
import type { Identity } from "./identity/identity.ts";
import type { Event } from "./ledger/entry.ts";
import type { Denial } from "./policy/grant.ts";

/** Who was refused, as far as was known by then. */
export interface Refused {
  readonly peer: Peer;
  readonly identity: Identity | undefined;
  readonly denial: Denial | undefined;
}

/** What helps, where the one who refused could not know how the caller came here. */
const advice: Partial<Readonly<Record<Code, string>>> = {
  "token-spent":
    "a token opens one session: for several steps on one token, run `mayfly session start` once and `mayfly run --session` for each of them",
  "session-peer":
    "its handle works for the user that opened it, in the same control group or beneath; see `sessions.bound_to` in mayfly.yaml",
};

/** Records a refusal that came before anything was spent, and gives it back with the id that `mayfly explain` expands. */
export async function denied(house: House, refused: Refused, error: BrokerError): Promise<BrokerError> {
  const { code, message, detail } = error;
  const hint = error.hint ?? advice[code];
  const id = newId("denial", house.random);
  await house.ledger.append([{ kind: "denied", denial: id, code, message, ...known(refused) }]);
  return new BrokerError(code, message, { id, cause: error, ...(hint && { hint }), ...(detail && { detail }) });
}

function known({
  peer,
  identity,
  denial,
}: Refused): Pick<Extract<Event, { kind: "denied" }>, "peer" | "issuer" | "workload" | "policy" | "trace"> {
  return {
    peer: seen(peer),
    issuer: identity?.issuer ?? null,
    workload: identity?.workload ?? null,
    policy: denial?.policy ?? null,
    trace: denial?.trace ?? [],
  };
}
