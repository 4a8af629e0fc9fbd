import { keepToken, opens, within } from "./asker.ts";
import { runJob } from "./broker.ts";
import type { Broker, BrokerStatus, SessionStarted } from "./contract.ts";
import { denied } from "./denied.ts";
import { asBrokerError, BrokerError } from "./errors.ts";
import type { House } from "./house.ts";
import type { Identity } from "./identity/identity.ts";
import { acceptKey, keyTrouble, refreshKeys } from "./issuer-keys.ts";
import type { LeaseRecord } from "./ledger/ledger.ts";
import { observe } from "./observe.ts";
import { rotateKey, rotationTrouble } from "./rotations.ts";

type Ask<Verb extends keyof Broker> = Parameters<Broker[Verb]>[0];

/** What the rooms do not know of the broker as a whole. */
export interface About extends Pick<BrokerStatus, "version" | "startedAt" | "issuers" | "providers"> {
  readonly draining: () => boolean;
  /** What is wrong with the templates, and with the store that brokers share. */
  readonly trouble: () => BrokerStatus["trouble"];
}

/** The flow, and the verbs around it, as the door offers them. */
export function createBroker(house: House, about: About): Broker {
  return {
    run: (ask, client) => runJob(house, ask, client),
    observe: (ask) => observe(house, ask),
    startSession: (ask) => startSession(house, ask),
    endSession: (ask) => endSession(house, ask),
    contain: (ask) => contain(house, ask),
    refreshKeys: (ask) => refreshKeys(house, ask),
    acceptKey: (ask) => acceptKey(house, ask),
    rotateKey: (ask) => rotateKey(house, ask),
    rotate: (ask) => house.rotator.rotate(ask),
    revokeLease: (ask) => revokeLease(house, ask),
    status: () => status(house, about),
    audiences: () => house.verifier.audiences(),
  };
}

async function startSession(house: House, { peer, token }: Ask<"startSession">): Promise<SessionStarted> {
  let identity: Identity | undefined;
  try {
    identity = await house.verifier.verify(token, AbortSignal.timeout(verifyTime));
    if (await house.ledger.isSpent(identity.token.key)) throw new BrokerError("token-spent");
    const opener = opens(house, identity, peer);
    const { handle = unbound() } = opener;
    const { id, until } = await house.ledger.openSession(opener.opening);
    keepToken(house, { kind: "token", token }, opener);
    return { session: id, handle, until, workload: identity.workload, trust: identity.trust };
  } catch (error) {
    throw await denied(house, { peer, identity, denial: undefined }, asBrokerError(error));
  }
}

/** A handle that any neighbour of the same user could use would look like one that none can. */
function unbound(): never {
  throw new BrokerError(
    "session-peer",
    "the control group of who asks cannot be read, so no session can be bound to its runner",
    {
      hint: "start the runner in a group of its own, as a systemd service is, on Linux 6.5 or newer; or set `sessions.bound_to: user` in mayfly.yaml, and each runner of that user can use the handles of the others",
    },
  );
}

/** How long an issuer's keys may take; the verifier itself is quicker to give up. */
const verifyTime = 10_000;

async function endSession(house: House, { peer, handle }: Ask<"endSession">): Promise<void> {
  const { session } = await within(house, handle, peer).catch(async (error: unknown) => {
    throw await denied(house, { peer, identity: undefined, denial: undefined }, asBrokerError(error));
  });
  // Durable first: a run that begins in between is refused, and one that began before is ended.
  await house.ledger.append([{ kind: "session-ended", session, why: "asked" }]);
  house.minting.jobTokens.end(`session:${session}`);
  house.live.end(new BrokerError("session-ended"), `session:${session}`);
}

/** A scope that nothing can be in would close nothing and look like success. */
const scopeShape = /^(all|(issuer|workload|job|session|template|provider):.+)$/;

/** The fence comes first: once it is durable, nothing of this scope is minted, delivered or started, and what runs is ended. */
async function contain(house: House, ask: Ask<"contain">): Promise<Awaited<ReturnType<Broker["contain"]>>> {
  if (!scopeShape.test(ask.scope))
    throw new BrokerError("usage", `${ask.scope} is no scope`, {
      hint: "write all, or one of issuer, workload, job, session, template and provider, a colon and a name",
    });
  const fence = await house.ledger.raiseFence(ask);
  if (!ask.closed) return { fence, runsEnded: 0, leasesRevoked: 0 };
  house.minting.jobTokens.end(ask.scope);
  const runsEnded = house.live.end(new BrokerError("fenced"), ask.scope);
  const leasesRevoked = await house.sweeper.endScope(ask.scope);
  return { fence, runsEnded, leasesRevoked };
}

async function revokeLease(house: House, { lease, who, why }: Ask<"revokeLease">): Promise<LeaseRecord> {
  const found = (await house.ledger.openLeases()).find((record) => record.lease === lease);
  if (found === undefined)
    throw new BrokerError("lease-unknown", undefined, { hint: "`mayfly lease list` shows those that live" });
  await house.ledger.append([{ kind: "operated", verb: "revoke-lease", about: lease, who, why }]);
  return house.sweeper.endNow(found, "responder");
}

async function status(house: House, { draining, trouble, ...about }: About): Promise<BrokerStatus> {
  const [sandboxes, ledger, open, rotations] = await Promise.all([
    house.sandboxes.status(),
    house.ledger.status(),
    house.ledger.openLeases(),
    house.rotator.states(),
  ]);
  const policy = house.policy();
  const overdue = open.filter(({ attempts }) => attempts > 0);
  return {
    ...about,
    draining: draining(),
    policy: { digest: policy.digest, templates: [...policy.templates.keys()] },
    sandboxes: { runtime: sandboxes.runtime, running: sandboxes.running, capacity: sandboxes.capacity },
    ledger: { origin: ledger.origin, size: ledger.size, verifierKey: ledger.verifierKey },
    leases: { live: open.length, overdue: overdue.length },
    rotations,
    trouble: [
      ...house.verifier.readiness().flatMap(keyTrouble),
      ...trouble(),
      ...rotationTrouble(rotations),
      ...house.minting.circuits.open().map(({ provider, failures, since }) => ({
        code: "provider-unavailable" as const,
        about: `${provider} is asked only now and then: ${failures} failures in a row since ${new Date(since).toISOString()}`,
      })),
      ...overdue.map(({ lease, provider }) => ({
        code: "provider-unavailable" as const,
        about: `${lease} of ${provider} could not be ended yet`,
      })),
      ...sandboxes.findings.flatMap(({ name, state }) =>
        state === "bad" ? [{ code: "sandbox-unmet" as const, about: name }] : [],
      ),
    ],
  };
}
