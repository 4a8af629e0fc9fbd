import { dueIn, forgetTokensAfter, scopesOf } from "./asker.ts";
import type { Client, Peer } from "./contract.ts";
import { denied, type Refused } from "./denied.ts";
import { asBrokerError, BrokerError, type Code } from "./errors.ts";
import type { House } from "./house.ts";
import type { Identity } from "./identity/identity.ts";
import type { Secret } from "./secret.ts";
import { type JobGrant, noLongerGranted, overruled } from "./still-granted.ts";
import { type Duration, type Instant, within } from "./time.ts";

/** Whose CI job is to prove that it still goes on, and for what. */
export interface Proving {
  readonly house: House;
  readonly client: Pick<Client, "freshToken">;
  readonly peer: Peer;
  readonly session: string;
  /** The run that goes on; null for one that is about to begin. */
  readonly run: string | null;
  readonly grant: JobGrant;
  /** What the templates granted before the site's last word, which is asked about that again: of less it would take the same away twice. */
  readonly whole: JobGrant;
  readonly scopes: readonly string[];
  /** Nothing is renewed where one of these scopes was raised above it. */
  readonly fence: number;
  /** Ends the run. */
  readonly stop: AbortController;
}

/** Once asked, a runner has half of `fresh` to answer, and this long at most: an issuer that is away for less ends no job. */
const longestGrace: Duration = 5 * 60_000;

/** Between two questions, of which the first was of no use; at least four of them fit into every grace. */
const longestPause: Duration = 5_000;

/**
 * Where the issuer's profile says so, a long run proves again and again that its CI job still goes on, counted from the session's last
 * proof: another token of the same job is asked for, verified, decided on and spent. A run that cannot is ended, and its session with it.
 * Until the returned object is disposed.
 */
export function keepFresh(run: Proving, provedAt: Instant): Disposable {
  const over = new AbortController();
  againAndAgain(run, provedAt, over.signal).catch((error: unknown) => {
    if (!over.signal.aborted) run.stop.abort(asBrokerError(error));
  });
  return { [Symbol.dispose]: () => over.abort() };
}

async function againAndAgain(run: Proving, provedAt: Instant, over: AbortSignal): Promise<void> {
  const { issuer } = run.grant.identity;
  for (let last = provedAt; ; ) {
    const left = dueIn(run.house, issuer, last);
    if (left === undefined) return;
    await run.house.clock.sleep(left, over);
    last = await provedAfresh(run, over);
  }
}

/** When the session was then proved. Throws `token-stale` when the grace is over, and at once what no other token would change. */
export async function provedAfresh(of: Proving, over: AbortSignal): Promise<Instant> {
  const { clock, verifier } = of.house;
  const grace = Math.min((verifier.freshAfter(of.grant.identity.issuer) ?? 0) / 2, longestGrace);
  const deadline = clock.monotonic() + grace;
  let last: BrokerError | undefined;
  for (let left = grace; left > 0; left = deadline - clock.monotonic()) {
    const late = new AbortController();
    const proof = prove(of, Math.floor(clock.now() + left), AbortSignal.any([over, late.signal]));
    const outcome = await within(clock, left, proof, () => "late" as const);
    late.abort();
    if (typeof outcome === "number") return outcome;
    if (outcome !== "late") last = outcome;
    await clock.sleep(Math.max(0, Math.min(longestPause, grace / 4, deadline - clock.monotonic())), over);
  }
  const { grant } = of;
  throw await endedBy(of, { identity: grant.identity, denial: undefined, lastWord: undefined, asked: grant }, stale(last));
}

/** One question and its answer: when the session was proved by it. What may yet be cured is given back, and everything else is thrown. */
async function prove(of: Proving, before: Instant, signal: AbortSignal): Promise<Instant | BrokerError> {
  const shown: Shown = { identity: undefined, denial: undefined, lastWord: undefined, asked: of.grant };
  try {
    signal.throwIfAborted();
    const token = await Promise.race([of.client.freshToken(before).catch(none), abortOf(signal)]);
    return await accept(of, token, shown, signal);
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    const error = asBrokerError(thrown);
    if (nothingAgainstIt.has(error.code)) return error;
    if (perhapsTheNext.has(error.code)) return denied(of.house, { peer: of.peer, ...shown }, error);
    throw await endedBy(of, shown, error);
  }
}

/** What ends a run for good. Where its token is to blame, its session ends too, in one step with the record: nothing begins within it any more. */
async function endedBy(of: Proving, shown: Shown, error: BrokerError): Promise<BrokerError> {
  const { house, peer, session, stop } = of;
  const blames = error.code.startsWith("token-");
  const refused: Refused = { peer, ...shown, ...(blames && { ends: session }) };
  const refusal = await denied(house, refused, error);
  if (!blames) return refusal;
  // This run hears why, the others of its session that it has ended.
  stop.abort(refusal);
  house.minting.jobTokens.end(`session:${session}`);
  house.live.end(new BrokerError("session-ended"), `session:${session}`);
  return refusal;
}

/** What is known of the answer by the time it is refused. */
interface Shown {
  identity: Identity | undefined;
  denial: Refused["denial"];
  lastWord: Refused["lastWord"];
  readonly asked: NonNullable<Refused["asked"]>;
}

async function accept(of: Proving, token: Secret, shown: Shown, signal: AbortSignal): Promise<Instant> {
  const { house, grant, session, run, scopes, fence } = of;
  const identity = await house.verifier.verify(token, signal);
  shown.identity = identity;
  if (!isSameJob(identity, grant.identity)) throw new BrokerError("token-other-job");
  shown.denial = noLongerGranted(house.policy(), grant, { identity, now: house.clock.now() });
  shown.denial ??= await lastWordOn(of, identity, shown, signal);
  if (shown.denial !== undefined) throw new BrokerError(shown.denial.code, shown.denial.message);
  signal.throwIfAborted();
  const { key, expiresAt } = identity.token;
  const { provedAt } = await house.ledger.renew({
    event: { kind: "identity-renewed", session, run, token: key, expiresAt },
    token: { key, forgetAfter: expiresAt + forgetTokensAfter },
    scopes,
    fence,
  });
  house.minting.jobTokens.keep({ session, scopes: scopesOf(identity, session), token, until: expiresAt });
  // One that renewed this session before shows no more than it did then.
  if (dueIn(house, identity.issuer, provedAt) === 0) throw new BrokerError("token-spent");
  return provedAt;
}

/** What it leaves of the same grant now, asked for by whom its fresh token says it is. */
async function lastWordOn(
  { house: { lastWord }, grant, whole }: Proving,
  identity: Identity,
  shown: Shown,
  signal: AbortSignal,
): Promise<Refused["denial"]> {
  if (lastWord === undefined) return undefined;
  const { outcome, decision } = await lastWord.ask({ ...whole, identity }, signal);
  shown.lastWord = decision;
  return overruled(outcome, grant);
}

/** Ids only, which the CI system gives once: a token of the next run of the same pipeline is of another job. */
function isSameJob(fresh: Identity, first: Identity): boolean {
  return fresh.issuer === first.issuer && fresh.workload === first.workload && fresh.job === first.job;
}

/** The token that there is may be as good as ever. */
const nothingAgainstIt: ReadonlySet<Code> = new Set([
  "token-missing",
  "issuer-unavailable",
  "key-held",
  "last-word-unavailable",
  "busy",
  "ledger-unavailable",
]);

/** A file that has not been rotated yet, a clock that runs behind. */
const perhapsTheNext: ReadonlySet<Code> = new Set(["token-spent", "token-expired", "token-lifetime", "token-not-yet-valid"]);

/** A client that has gone gives no answer: its run ends at once, and not with its grace. */
function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) =>
    signal.addEventListener("abort", () => reject(asBrokerError(signal.reason)), { once: true }),
  );
}

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
