import { asBrokerError, BrokerError } from "../errors.ts";
import { type MaterialKind, secretsOf } from "../material.ts";
import type { Grant, GrantedCredential } from "../policy/grant.ts";
import type { Secret } from "../secret.ts";
import type { Duration } from "../time.ts";
import { bounded } from "./bounded.ts";
import { type Held, holdLeases } from "./end.ts";
import { asFailure } from "./failure.ts";
import { expiryOf, type Lease, type LeaseRoom, type Leases } from "./lease.ts";
import type { Intent, Minted, Provider } from "./provider.ts";
import { whileDown } from "./wait.ts";

export interface Minting extends LeaseRoom {
  readonly random: (bytes: number) => Buffer;
  /** Hides secrets in the broker's own log, before anything else is done with them, until the returned object is disposed. */
  readonly protect: (secrets: readonly Secret[]) => Disposable;
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
 * being, else `unknown`. All or none, but for the optional ones whose provider is down or whose answer was lost: when any other fails, all are
 * ended, and the first one's error is thrown.
 */
export async function mint<Delivery>(minting: Minting, ask: MintAsk<Delivery>): Promise<Issue<Delivery>> {
  const results = await Promise.all(ask.intents.map((intent) => mintOne(minting, ask, intent)));
  const held = results.flatMap((result) => result.held ?? []);
  const leases = holdLeases(minting, held, undoTime);
  const failure = results.find(({ error, isMissing }) => error !== undefined && isMissing !== true)?.error;
  if (failure === undefined)
    return { ...leases, missing: ask.intents.filter((_, index) => results[index]?.isMissing === true) };
  await leases.end(undoTime);
  throw failure;
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

async function mintOne<Delivery>(minting: Minting, of: MintAsk<Delivery>, intent: Intent): Promise<Result<Delivery>> {
  const credential = credentialOf(of, intent);
  const { signal } = of;
  // Cancelled before anybody was asked: certainly nothing came into being.
  if (signal.aborted) return { error: await recordFailure(minting, intent, new BrokerError("provider-unavailable"), signal) };
  try {
    const provider = providerOf(minting, intent);
    const asked = { intent, options: credential.options };
    const { minted, hidden } = await whileDown(minting, { wait: credential.wait, signal }, () =>
      ask(minting, provider, asked, signal),
    );
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

function providerOf({ providers }: Minting, { provider }: Intent): Provider<unknown> {
  const found = providers.get(provider);
  if (found === undefined) throw new BrokerError("provider-unknown", `no provider is called ${provider}`);
  return found;
}

interface Asked {
  readonly intent: Intent;
  readonly options: unknown;
}

/** The secrets are hidden in our own log before anything else is done with them. */
async function ask(
  minting: Minting,
  provider: Provider<unknown>,
  asked: Asked,
  signal: AbortSignal,
): Promise<{ minted: Minted; hidden: Disposable }> {
  const proof = minting.proofs.mint(asked.intent);
  return bounded(minting.clock, minting.patience, signal, async (stop) => {
    const minted = await provider.mint({ ...asked, proof, signal: stop });
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
