import { forgetTokensAfter } from "./asker.ts";
import type { Client, Peer } from "./contract.ts";
import type { Delivery } from "./delivery/delivery.ts";
import { denied } from "./denied.ts";
import { asBrokerError, BrokerError, type Code } from "./errors.ts";
import type { House } from "./house.ts";
import type { Identity } from "./identity/identity.ts";
import { decide } from "./policy/decide.ts";
import type { Denial, Grant } from "./policy/grant.ts";
import type { Isolation } from "./sandbox/sandbox.ts";
import type { Secret } from "./secret.ts";
import { type Duration, type Instant, within } from "./time.ts";

/** A run that goes on, and what it was granted. */
export interface Renewing {
  readonly house: House;
  readonly client: Pick<Client, "freshToken">;
  readonly peer: Peer;
  readonly run: string;
  readonly session: string;
  readonly grant: Grant<Delivery, Isolation>;
  /** Rejects past a raised fence. */
  readonly fenced: () => Promise<void>;
  /** Ends the run. */
  readonly stop: AbortController;
}

/** Once asked, a runner has half of `fresh` to answer, and this long at most: an issuer that is away for less ends no job. */
const longestGrace: Duration = 5 * 60_000;

/** Between two questions, of which the first was of no use; at least four of them fit into every grace. */
const longestPause: Duration = 5_000;

/**
 * Where the issuer's profile says so, a long run proves again and again that its CI job still goes on: another token of the same job is
 * asked for, verified, decided on and spent. A run that cannot is ended. Until the returned object is disposed.
 */
export function keepFresh(run: Renewing): Disposable {
  const over = new AbortController();
  const fresh = run.house.verifier.freshAfter(run.grant.identity.issuer);
  if (fresh !== undefined)
    againAndAgain(run, fresh, over.signal).catch((error: unknown) => {
      if (!over.signal.aborted) run.stop.abort(asBrokerError(error));
    });
  return { [Symbol.dispose]: () => over.abort() };
}

async function againAndAgain(run: Renewing, fresh: Duration, over: AbortSignal): Promise<never> {
  for (;;) {
    await run.house.clock.sleep(fresh, over);
    await renewed(run, Math.min(fresh / 2, longestGrace), over);
  }
}

/** Throws `token-stale` when the grace is over, and at once what no other token would change. */
async function renewed(run: Renewing, grace: Duration, over: AbortSignal): Promise<void> {
  const { clock } = run.house;
  const deadline = clock.monotonic() + grace;
  let last: BrokerError | undefined;
  for (let left = grace; left > 0; left = deadline - clock.monotonic()) {
    const late = new AbortController();
    const proof = prove(run, Math.floor(clock.now() + left), AbortSignal.any([over, late.signal]));
    const outcome = await within(clock, left, proof, () => "late" as const);
    late.abort();
    if (outcome === "proved") return;
    if (outcome !== "late") last = outcome;
    await clock.sleep(Math.max(0, Math.min(longestPause, grace / 4, deadline - clock.monotonic())), over);
  }
  throw stale(last);
}

/** One question and its answer; what may yet be cured is given back, and everything else is thrown. */
async function prove(run: Renewing, before: Instant, signal: AbortSignal): Promise<"proved" | BrokerError> {
  const shown: Shown = { identity: undefined, denial: undefined };
  try {
    const token = await run.client.freshToken(before).catch(none);
    await accept(run, token, shown, signal);
    return "proved";
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    const error = asBrokerError(thrown);
    if (nothingAgainstIt.has(error.code)) return error;
    const refusal = await recorded(run, shown, error);
    if (perhapsTheNext.has(error.code)) return refusal;
    throw refusal;
  }
}

/** A ledger that cannot be written changes nothing about the refusal. */
async function recorded({ house, peer, run }: Renewing, shown: Shown, error: BrokerError): Promise<BrokerError> {
  return denied(house, { peer, ...shown }, error).catch((cause: unknown) => {
    house.log.error({ run, error: cause }, "a refusal could not be recorded");
    return error;
  });
}

/** What is known of the answer by the time it is refused. */
interface Shown {
  identity: Identity | undefined;
  denial: Denial | undefined;
}

async function accept(run: Renewing, token: Secret, shown: Shown, signal: AbortSignal): Promise<void> {
  const identity = await run.house.verifier.verify(token, signal);
  shown.identity = identity;
  if (!isSameJob(identity, run.grant.identity)) throw new BrokerError("token-other-job");
  shown.denial = denialOf(run, identity);
  if (shown.denial !== undefined) throw new BrokerError(shown.denial.code, shown.denial.message);
  await run.fenced();
  const { key, expiresAt } = identity.token;
  await run.house.ledger.renew({
    event: { kind: "identity-renewed", session: run.session, run: run.run, token: key, expiresAt },
    token: { key, forgetAfter: expiresAt + forgetTokensAfter },
  });
}

/** Ids only, which the CI system gives once: a token of the next run of the same pipeline is of another job. */
function isSameJob(fresh: Identity, first: Identity): boolean {
  return fresh.issuer === first.issuer && fresh.workload === first.workload && fresh.job === first.job;
}

/** By the policy of now: a template that was changed or taken away since, or no longer gives what the job holds, ends its runs too. */
function denialOf({ house, grant }: Renewing, identity: Identity): Denial | undefined {
  const { template, step, command } = grant;
  const decision = decide(house.policy(), { identity, template, step, command, now: house.clock.now() });
  if (decision.kind === "denied") return decision;
  const given = new Set(decision.credentials.map(({ name, provider }) => `${provider} ${name}`));
  if (grant.credentials.every(({ name, provider }) => given.has(`${provider} ${name}`))) return undefined;
  const message = `template ${template} no longer gives what this job holds`;
  return { kind: "denied", code: "no-match", message, policy: decision.policy, trace: [] };
}

/** The token that there is may be as good as ever. */
const nothingAgainstIt: ReadonlySet<Code> = new Set([
  "token-missing",
  "issuer-unavailable",
  "key-held",
  "store-unavailable",
  "ledger-unavailable",
]);

/** A file that has not been rotated yet, a clock that runs behind. */
const perhapsTheNext: ReadonlySet<Code> = new Set(["token-spent", "token-expired", "token-not-yet-valid"]);

function none(cause: unknown): never {
  throw new BrokerError("token-missing", "the runner gave no fresh token", { cause });
}

function stale(last: BrokerError | undefined): BrokerError {
  const message = last === undefined ? "the runner did not answer" : last.message;
  return new BrokerError("token-stale", `the job did not prove itself afresh in time: ${message}`, {
    hint: "`fresh` of an issuer in mayfly.yaml asks for another token of the same job: leave it out where the CI system gives only one",
    cause: last,
  });
}
