import { asBrokerError, BrokerError } from "../errors.ts";
import { type MaterialKind, secretsOf } from "../material.ts";
import type { Grant, GrantedCredential } from "../policy/grant.ts";
import type { Secret } from "../secret.ts";
import type { Duration } from "../time.ts";
import { bounded } from "./bounded.ts";
import type { Circuits } from "./circuit.ts";
import { endHeld, type Held, holdLeases } from "./end.ts";
import { asFailure } from "./failure.ts";
import type { JobTokens } from "./job-tokens.ts";
import { expiryOf, type Lease, type LeaseRoom, type Leases, type RoomProvider } from "./lease.ts";
import type { Intent, Minted, Proof } from "./provider.ts";
import { whileDown } from "./wait.ts";

export interface Minting extends LeaseRoom {
  readonly random: (bytes: number) => Buffer;
  /** Hides secrets in the broker's own log, before anything else is done with them, until the returned object is disposed. */
  readonly protect: (secrets: readonly Secret[]) => Disposable;
  readonly circuits: Circuits;
  readonly jobTokens: JobTokens;
}

export interface MintAsk<Delivery> {
  readonly grant: Pick<Grant<Delivery, unknown>, "credentials">;
  /** One for each credential of the grant, by its name; all of them are durable in the ledger. */
  readonly intents: readonly Intent[];
  readonly signal: AbortSignal;
}

/** A clock upstream may be this far ahead of ours before a life counts as longer than asked. */
const skew: Duration = 5_000;

/** How long the others of a set may take to end when one of them could not be minted, and at the end of a forgotten scope. */
const undoTime: Duration = 5_000;

/** What was minted, and the optional credentials that the run goes on without. */
export interface Issue<Delivery> extends Leases<Delivery> {
  readonly missing: readonly Pick<Intent, "lease" | "credential">[];
}

/**
 * Mints the credentials of one grant side by side, and records of each how it went: `issued`, `failed` where certainly nothing came into
 * being, else `unknown`. All or none, but for the optional ones whose provider is down or whose answer was lost: when any other fails, those
 * that were minted are ended at once, nobody is asked again, what is still being answered is ended when it comes, and the first one's error
 * is thrown once all have ended.
 */
export async function mint<Delivery>(minting: Minting, ask: MintAsk<Delivery>): Promise<Issue<Delivery>> {
  const set = new AbortController();
  const undone: Promise<unknown>[] = [];
  const results = await Promise.all(
    ask.intents.map(async (intent) => {
      const result = await mintOne(minting, { ...ask, failed: set.signal }, intent);
      const { held, error, isMissing } = result;
      if (held !== undefined) onceAborted(set.signal, () => undone.push(endHeld(minting, [held], undoTime)));
      if (error !== undefined && isMissing !== true) set.abort(error);
      return result;
    }),
  );
  await Promise.all(undone);
  set.signal.throwIfAborted();
  const held = results.flatMap((result) => result.held ?? []);
  const missing = ask.intents.filter((_, index) => results[index]?.isMissing === true);
  return { ...holdLeases(minting, held, undoTime), missing };
}

function onceAborted(signal: AbortSignal, act: () => void): void {
  if (signal.aborted) act();
  else signal.addEventListener("abort", act, { once: true });
}

/** One of a set: `failed` is aborted when another of them could not be minted. */
interface OneOf<Delivery> extends MintAsk<Delivery> {
  readonly failed: AbortSignal;
}

function credentialOf<Delivery>({ grant }: MintAsk<Delivery>, intent: Intent): GrantedCredential<Delivery> {
  const found = grant.credentials.find(({ name }) => name === intent.credential);
  if (found === undefined)
    throw new BrokerError("internal", undefined, {
      detail: `an intent names ${intent.credential}, which the grant does not have`,
    });
  return found;
}

/** A lease with an error came into being all the same, and must be ended. One that is missing did not, or is the sweeper's. */
interface Result<Delivery> {
  readonly held?: Held<Delivery>;
  readonly error?: BrokerError;
  readonly isMissing?: boolean;
}

async function mintOne<Delivery>(minting: Minting, of: OneOf<Delivery>, intent: Intent): Promise<Result<Delivery>> {
  const { signal } = of;
  // Cancelled before anybody was asked: certainly nothing came into being.
  if (signal.aborted) return { error: await recordFailure(minting, intent, new BrokerError("provider-unavailable"), signal) };
  const credential = credentialOf(of, intent);
  try {
    const provider = providerOf(minting, intent);
    const patient = { wait: credential.wait, signal: AbortSignal.any([signal, of.failed]) };
    const { minted, hidden } = await whileDown(minting, patient, (span) => {
      const asked = { intent, options: credential.options, proof: proofFor(minting, provider, intent) };
      return guarded(minting, intent, signal, () => ask({ ...minting, patience: span }, provider, asked, signal));
    });
    const lease = {
      ...minted,
      lease: intent.lease,
      credential: intent.credential,
      provider: intent.provider,
      deliver: credential.deliver,
    };
    const broken = brokenPromise(minting, lease, intent, provider.gives(credential.options));
    const unrecorded = await recordIssued(minting, lease);
    const error = broken ?? unrecorded;
    return { held: { lease, hidden }, ...(error === undefined ? {} : { error }) };
  } catch (error) {
    const failure = await recordFailure(minting, intent, error, signal);
    return { error: failure, isMissing: credential.optional && failure.code === "provider-unavailable" };
  }
}

/** Behind the provider's circuit, which hears how it went. */
async function guarded<T>(
  { circuits }: Minting,
  { provider, template, credential }: Intent,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const leave = circuits.of(provider).enter(`${template} ${credential}`);
  try {
    const answer = await work();
    leave("answered");
    return answer;
  } catch (error) {
    leave(signal.aborted ? "left" : isAnswer(error) ? "answered" : "failed");
    throw error;
  }
}

/** A refusal or a broken promise is an answer; an upstream that is down, late or not understood gave none. */
function isAnswer(error: unknown): boolean {
  return error instanceof BrokerError && !["provider-unavailable", "timeout", "internal"].includes(error.code);
}

function providerOf({ providers }: Minting, { provider }: Intent): RoomProvider {
  const found = providers.get(provider);
  if (found === undefined) throw new BrokerError("provider-unknown", `no provider is called ${provider}`);
  return found;
}

/** Throws `provider-refused` where it is the job's own token that is to be shown, and there is none. */
function proofFor({ proofs, jobTokens }: Minting, { as }: RoomProvider, intent: Intent): Proof {
  return as === "job" ? jobTokens.proof(intent.session) : proofs.mint(intent);
}

interface Asked {
  readonly intent: Intent;
  readonly options: unknown;
  readonly proof: Proof;
}

/** The secrets are hidden in our own log before anything else is done with them. */
async function ask(
  minting: Minting,
  provider: RoomProvider,
  asked: Asked,
  signal: AbortSignal,
): Promise<{ minted: Minted; hidden: Disposable }> {
  return bounded(minting.clock, minting.patience, signal, async (stop) => {
    const minted = await provider.mint({ ...asked, signal: stop });
    const secrets = secretsOf(minted.material);
    if (!stop.aborted) return { minted, hidden: minting.protect(secrets) };
    for (const secret of secrets) secret.wipe();
    throw new Error("the credential came after its time");
  });
}

/** Undefined once it is durable. A credential that cannot be recorded is not handed out; its intent keeps it from being forgotten. */
async function recordIssued({ ledger }: Minting, { lease, ending }: Lease): Promise<BrokerError | undefined> {
  const handle = ending.kind === "revoke" ? ending.handle : null;
  try {
    await ledger.append([{ kind: "issued", lease, ending: ending.kind, handle, expiresAt: expiryOf(ending) ?? null }]);
    return undefined;
  } catch (error) {
    return asBrokerError(error);
  }
}

/** The provider's word is checked: a credential of another kind, or of a longer life, is not what policy granted. */
function brokenPromise(
  { clock }: Minting,
  { material, ending }: Lease,
  { ttl, provider }: Intent,
  kind: MaterialKind,
): BrokerError | undefined {
  const expiry = expiryOf(ending);
  // Asked this way round, a date that is no number is refused too.
  const inTime = expiry === undefined || expiry <= clock.now() + ttl + skew;
  if (inTime && material.kind === kind) return undefined;
  return new BrokerError("provider-broken-promise", undefined, {
    detail: `${provider} gave ${material.kind} until ${expiry ?? "ever"}`,
  });
}

/** The codes with which a provider says, and may only say, that nothing came into being upstream. */
const certain: ReadonlySet<string> = new Set(["provider-refused", "provider-unavailable", "provider-unknown"]);

async function recordFailure(
  { ledger }: Minting,
  { lease, provider }: Intent,
  thrown: unknown,
  signal: AbortSignal,
): Promise<BrokerError> {
  const isCertain = thrown instanceof BrokerError && certain.has(thrown.code);
  const error = explained(provider, thrown, signal);
  // Unrecorded it stays an open intent, which counts as unknown.
  const outcome = isCertain
    ? ({ kind: "failed", lease, code: error.code } as const)
    : ({ kind: "unknown", lease, code: error.code } as const);
  await ledger.append([outcome]).catch(() => undefined);
  return error;
}

function explained(provider: string, thrown: unknown, signal: AbortSignal): BrokerError {
  if (!signal.aborted) return asFailure(provider, thrown);
  return signal.reason instanceof BrokerError ? signal.reason : new BrokerError("cancelled", undefined, { cause: thrown });
}
