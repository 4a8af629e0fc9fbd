import { identitySeen, seen } from "./asker.ts";
import type { Peer } from "./contract.ts";
import { asBrokerError, BrokerError, type Code } from "./errors.ts";
import type { House } from "./house.ts";
import { newId } from "./id.ts";
import type { Identity } from "./identity/identity.ts";
import type { Event, IdentitySeen } from "./ledger/entry.ts";
import type { Denial } from "./policy/grant.ts";

/** Who was refused, as far as was known by then. */
export interface Refused {
  readonly peer: Peer;
  readonly identity: Identity | undefined;
  readonly denial: Denial | undefined;
  /** What was asked for, where anything was. */
  readonly asked?: Asked | undefined;
  /** The id of the site's last word, where that is what refused. */
  readonly lastWord?: string | undefined;
  /** The session that is over by this refusal, in the same transaction. */
  readonly ends?: string;
}

/** What a runner named. */
export interface Asked {
  readonly template: string | undefined;
  readonly step: string | undefined;
}

type Denied = Extract<Event, { kind: "denied" }>;

/** What helps, where the one who refused could not know how the caller came here. */
const advice: Partial<Readonly<Record<Code, string>>> = {
  "token-spent":
    "a token opens one session: for several steps on one token, run `mayfly session start` once and `mayfly run --session` for each of them",
  "session-peer":
    "its handle works for the user that opened it, in the same control group or beneath; see `sessions.bound_to` in mayfly.yaml",
};

/**
 * Records a refusal of what was not begun, and gives it back with the id that `mayfly explain` expands. One that has an id is on record. A
 * ledger that cannot be written changes nothing about the refusal: the caller hears why, and the operator's log has the rest.
 */
export async function denied(house: House, refused: Refused, error: BrokerError): Promise<BrokerError> {
  if (error.id !== undefined) return error;
  const { code, message, detail } = error;
  const hint = error.hint ?? advice[code];
  const id = await recorded(house, refused, error);
  const parts = { ...(id && { id }), ...(hint && { hint }), ...(detail && { detail }) };
  return new BrokerError(code, message, { ...parts, cause: error });
}

async function recorded(house: House, refused: Refused, { code, message }: BrokerError): Promise<string | undefined> {
  const denial = newId("denial", house.random);
  try {
    await append(house, { kind: "denied", denial, code, message, ...known(refused) }, refused.ends);
    return denial;
  } catch (cause) {
    house.log.error({ error: cause, code }, "a refusal could not be recorded");
    return undefined;
  }
}

async function append({ ledger }: House, event: Event, ends: string | undefined): Promise<void> {
  if (ends === undefined) return void (await ledger.append([event]));
  const both = [event, { kind: "session-ended", session: ends, why: "stale" } as const];
  await ledger.append(both).catch(async (error: unknown) => {
    // Another run of it came first.
    if (asBrokerError(error).code !== "session-ended") throw error;
    await ledger.append([event]);
  });
}

function known(refused: Refused): Omit<Denied, "kind" | "denial" | "code" | "message"> {
  const { peer, identity, denial, asked, lastWord = null } = refused;
  const { template = null, step = null } = asked ?? {};
  const who = identity === undefined ? nobody : identitySeen(identity);
  return {
    peer: seen(peer),
    ...who,
    policy: denial?.policy ?? null,
    trace: denial?.trace ?? [],
    asked: template,
    step,
    lastWord,
  };
}

/** Whoever was refused before anybody believed who it is. */
const nobody: { readonly [Name in keyof IdentitySeen]: null } = {
  issuer: null,
  subject: null,
  workload: null,
  job: null,
  trust: null,
  claims: null,
};
