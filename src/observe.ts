import { type Asker, dueIn, identify, identitySeen, seen, sessionOf } from "./asker.ts";
import type { ObserveAsk, Observed } from "./contract.ts";
import { type Decided, decided, granted, networkOf, scopesOfRun } from "./decided.ts";
import { denied } from "./denied.ts";
import { asBrokerError, BrokerError } from "./errors.ts";
import type { House } from "./house.ts";
import { newId } from "./id.ts";
import type { JobGrant } from "./still-granted.ts";

/**
 * What a run would be granted, on record: no token is spent, nothing is minted and nothing runs. Whatever would refuse the run before
 * anything of this host is looked at refuses this too.
 */
export async function observe(house: House, ask: ObserveAsk): Promise<Observed> {
  let asker: Asker | undefined;
  let verdict: Decided | undefined;
  try {
    asker = await identify(house, ask.credentials, ask.peer, ask.signal);
    verdict = await decided(house, asker, ask, ask.signal);
    const grant = granted(verdict);
    refuseStale(house, asker);
    await refuseFenced(house, asker, grant);
    return await recorded(house, { ask, asker, grant, lastWord: verdict.lastWord });
  } catch (thrown) {
    const denial = verdict?.outcome.kind === "denied" ? verdict.outcome : undefined;
    const refused = { peer: ask.peer, identity: asker?.identity, denial, asked: ask, lastWord: verdict?.lastWord };
    throw await denied(house, refused, asBrokerError(thrown));
  }
}

/** A run would be asked for a fresh token first, and here nobody can be. */
function refuseStale(house: House, asker: Asker): void {
  if (asker.kind === "opens" || dueIn(house, asker.identity.issuer, asker.provedAt) !== 0) return;
  throw new BrokerError("token-stale", "the session's job proved itself too long ago", {
    hint: "a run within the session is asked for a fresh token; observe with a fresh token instead",
  });
}

async function refuseFenced({ ledger }: House, asker: Asker, grant: JobGrant): Promise<void> {
  const { closed } = await ledger.fence(scopesOfRun(grant, sessionOf(asker)));
  if (closed) throw new BrokerError("fenced");
}

interface Seen {
  readonly ask: ObserveAsk;
  readonly asker: Asker;
  readonly grant: JobGrant;
  readonly lastWord: string | undefined;
}

/** The record comes first: what is not in the ledger was not observed. */
async function recorded({ ledger, random, sandboxes }: House, { ask, asker, grant, lastWord }: Seen): Promise<Observed> {
  const { template, step, policy, reason, credentials, network, isolation } = grant;
  const observation = newId("observation", random);
  await ledger.append([
    {
      kind: "observed",
      ...identitySeen(asker.identity),
      observation,
      peer: seen(ask.peer),
      template,
      step: step ?? null,
      policy,
      reason,
      asked: ask.template ?? null,
      lastWord: lastWord ?? null,
    },
  ]);
  return {
    observation,
    template,
    step,
    reason,
    credentials: credentials.map(({ name, provider, ttl }) => ({ name, provider, ttl })),
    network: network.map(({ host, port }) => ({ host, port })),
    unmet: sandboxes.lacks({ isolation, network: networkOf(grant) }),
  };
}
