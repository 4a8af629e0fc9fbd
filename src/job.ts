import { type Asker, dueIn, identify, keepToken, seen, sessionOf } from "./asker.ts";
import type { Client, LeaseOutcome, RunAsk, RunResult } from "./contract.ts";
import { type Decided, decided, granted, mintedFor, networkOf, scopesOfRun } from "./decided.ts";
import { type DeliveredFile, type Delivery, filesOf } from "./delivery/delivery.ts";
import { denied, type Refused } from "./denied.ts";
import { asBrokerError, BrokerError } from "./errors.ts";
import type { House } from "./house.ts";
import { newId } from "./id.ts";
import type { Leases } from "./lease/lease.ts";
import { type Issue, mint } from "./lease/mint.ts";
import type { Intent } from "./lease/provider.ts";
import type { Event } from "./ledger/entry.ts";
import type { Begun } from "./ledger/ledger.ts";
import { lookAfter } from "./lifetimes.ts";
import { keepFresh, type Proving, provedAfresh } from "./renewal.ts";
import type { Exit, Sandbox } from "./sandbox/sandbox.ts";
import type { JobGrant } from "./still-granted.ts";
import { type Duration, within } from "./time.ts";

/** The local end takes at most 2 s whatever an upstream does: revocation has this long, then the sweeper goes on. */
const revocationTime: Duration = 1_200;

/** A sandboxd that hangs holds up no revocation; it itself needs a quarter of a second at most. */
const freezeTime: Duration = 400;

/** A credential may come into being this long after it was last asked for, and two clocks may be this far apart. */
const latestMint: Duration = 60_000;

/** What the flow holds once its intents are durable. */
interface Standing {
  readonly grant: JobGrant;
  readonly begun: Begun;
  readonly intents: readonly Intent[];
  readonly scopes: readonly string[];
}

/** One run: how each line of the flow is done, what it holds by then, and how all of it ends. */
export class Job implements AsyncDisposable {
  readonly #house: House;
  readonly #ask: RunAsk;
  readonly #client: Client;
  readonly #id: string;
  readonly #stop = new AbortController();
  /** Aborted once its credentials end anyway. */
  readonly #over = new AbortController();
  /** Aborted when the client goes away, when the workload is contained, and when the broker drains. */
  readonly #signal: AbortSignal;
  #asker: Asker | undefined;
  #decided: Decided | undefined;
  #standing: Standing | undefined;
  #sandbox: Sandbox | undefined;
  #leases: Issue<Delivery> | undefined;
  #live: Disposable | undefined;
  #started = false;
  #ending: Promise<readonly LeaseOutcome[]> | undefined;

  constructor(house: House, ask: RunAsk, client: Client) {
    this.#house = house;
    this.#ask = ask;
    this.#client = client;
    this.#id = newId("run", house.random);
    this.#signal = AbortSignal.any([client.signal, this.#stop.signal]);
  }

  async identify(): Promise<Asker> {
    this.#asker = await identify(this.#house, this.#ask.credentials, this.#ask.peer, this.#signal);
    return this.#asker;
  }

  async decide(asker: Asker): Promise<JobGrant> {
    this.#decided = await decided(this.#house, asker, this.#ask, this.#signal);
    return granted(this.#decided);
  }

  /** Before anything of this host is taken: a session whose job proved itself too long ago is asked for a fresh token first. */
  async prove(asker: Asker, grant: JobGrant): Promise<void> {
    if (asker.kind === "opens" || dueIn(this.#house, asker.identity.issuer, asker.provedAt) !== 0) return;
    const scopes = scopesOfRun(grant, asker.session);
    const { fence } = await this.#house.ledger.fence(scopes);
    await provedAfresh(this.#proving({ grant, scopes, fence, session: asker.session, run: null }), this.#signal);
  }

  #proving(parts: Pick<Proving, "grant" | "scopes" | "fence" | "session" | "run">): Proving {
    const { grant } = parts;
    const [house, client, peer, stop] = [this.#house, this.#client, this.#ask.peer, this.#stop];
    return { house, client, peer, stop, whole: this.#whole(grant), ...parts };
  }

  /** What the templates alone grant, of which the site may have left less. */
  #whole(grant: JobGrant): JobGrant {
    return this.#decided?.whole ?? grant;
  }

  /** Whatever this host can refuse is refused here, before anything is spent or minted. */
  async reserve(grant: JobGrant): Promise<Sandbox> {
    const { peer, workspace, environment } = this.#ask;
    const plan = {
      id: this.#id,
      owner: { uid: peer.uid, gid: peer.gid },
      workspace: { path: workspace, mode: grant.workspace },
      command: grant.command,
      environment,
      isolation: grant.isolation,
      network: networkOf(grant),
    };
    this.#sandbox = await this.#house.sandboxes.open(plan, this.#signal);
    return this.#sandbox;
  }

  /** One transaction: the token is spent, the fences are read, the run and its intents are written. */
  async begin(asker: Asker, grant: JobGrant, sandbox: Sandbox): Promise<Standing> {
    const session = sessionOf(asker);
    const intents = grant.credentials.map((credential) => this.#intent(credential, grant, session));
    const scopes = scopesOfRun(grant, session);
    this.#live = this.#house.live.hold({ id: this.#id, scopes, leases: intents.map(({ lease }) => lease), stop: this.#stop });
    const begun = await this.#house.ledger.begin({
      run: {
        kind: "run-opened",
        run: this.#id,
        session,
        peer: seen(this.#ask.peer),
        template: grant.template,
        step: grant.step ?? null,
        policy: grant.policy,
        reason: grant.reason,
        asked: this.#ask.template ?? null,
        tolerated: sandbox.tolerated,
        observed: grant.observe?.parts ?? [],
        lastWord: this.#decided?.lastWord ?? null,
      },
      session: asker.kind === "opens" ? { kind: "open", opening: asker.opening } : { kind: "within", id: session },
      scopes,
      intents: intents.map(({ lease, credential, provider, latestExpiry }, index) => ({
        kind: "intent",
        lease,
        run: this.#id,
        credential,
        provider,
        as: this.#house.minting.providers.get(provider)?.as ?? "broker",
        options: grant.credentials[index]?.options,
        optional: grant.credentials[index]?.optional ?? false,
        latestExpiry,
      })),
    });
    this.#standing = { grant, begun, intents, scopes };
    if (asker.kind === "opens") keepToken(this.#house, this.#ask.credentials, asker);
    return this.#standing;
  }

  #intent(credential: JobGrant["credentials"][number], grant: JobGrant, session: string): Intent {
    const ttl = mintedFor(this.#house.minting, this.#whole(grant), credential);
    return {
      lease: newId("lease", this.#house.random),
      credential: credential.name,
      provider: credential.provider,
      template: grant.template,
      workload: grant.identity.workload,
      session,
      ttl,
      latestExpiry: this.#house.clock.now() + credential.wait + ttl + latestMint,
    };
  }

  async mint(standing: Standing): Promise<Leases<Delivery>> {
    this.#leases = await mint(this.#house.minting, { ...standing, signal: this.#signal });
    for (const { lease } of this.#leases.missing) this.#house.live.release(this.#id, lease);
    const { grant, scopes, begun } = standing;
    const of = { run: this.#id, grant, whole: this.#whole(grant), scopes, fence: begun.fence, over: this.#over.signal };
    lookAfter(this.#house, of, this.#leases);
    return this.#leases;
  }

  /** What a template does not deliver is never sent to the sandbox, not even to be masked. */
  filesFor(leases: Leases<Delivery>): readonly DeliveredFile[] {
    return leases.all.flatMap((lease) => filesOf(lease.credential, lease.material, lease.deliver));
  }

  /** The record comes first, in one step with a look at the fences: no credential is in a job that the ledger does not call delivered. */
  async deliver(
    standing: Standing,
    sandbox: Sandbox,
    leases: Leases<Delivery>,
    files: readonly DeliveredFile[],
  ): Promise<void> {
    const { scopes, begun } = standing;
    await this.#house.ledger.deliver({ leases: leases.all.map(({ lease }) => lease), scopes, fence: begun.fence });
    this.#signal.throwIfAborted();
    await sandbox.deliver(files);
  }

  async start(standing: Standing, sandbox: Sandbox): Promise<Exit> {
    await this.#fenced(standing);
    const { grant, begun } = standing;
    const handle = this.#asker?.kind === "opens" ? this.#asker.handle : undefined;
    const { template, reason } = grant;
    const missing = this.#leases?.missing.map(({ credential }) => credential) ?? [];
    this.#client.accepted({ run: this.#id, session: begun.session.id, handle, template, reason, missing });
    const { stdin, signals } = this.#client;
    this.#started = true;
    using _fresh = this.#keepFresh(standing);
    const output: Client["output"] = (stream, chunk) => this.#client.output(stream, chunk);
    const exit = await sandbox.run({ stdin, signals, signal: this.#signal, output });
    // Ended by containment, its session's end, a stale token or a drain: the caller hears of that, and not of a signal.
    this.#stop.signal.throwIfAborted();
    return exit;
  }

  #keepFresh({ grant, scopes, begun }: Standing): Disposable {
    const { session, fence } = begun;
    return keepFresh(this.#proving({ grant, scopes, fence, session: session.id, run: this.#id }), session.provedAt);
  }

  /** A fence raised since `begin` wins, whatever was minted by then. */
  async #fenced({ scopes, begun }: Standing): Promise<void> {
    const { fence, closed } = await this.#house.ledger.fence(scopes);
    if (closed || fence > begun.fence) throw new BrokerError("fenced");
    this.#signal.throwIfAborted();
  }

  /** Frozen first, so that nothing uses a credential while it is being revoked; then both ends at once. Idempotent. */
  end(): Promise<readonly LeaseOutcome[]> {
    this.#ending ??= this.#endAll();
    return this.#ending;
  }

  async #endAll(): Promise<readonly LeaseOutcome[]> {
    this.#over.abort();
    const { clock, log } = this.#house;
    const unfrozen = (error?: unknown) => log.warn({ error, run: this.#id }, "the job could not be frozen");
    await within(clock, freezeTime, this.#sandbox?.freeze() ?? Promise.resolve(), unfrozen).catch(unfrozen);
    const [outcomes] = await Promise.all([this.#leases?.end(revocationTime) ?? [], this.#sandbox?.remove()]);
    return outcomes;
  }

  /** Recorded first: by now nothing of the job is left but output for a reader who may be slow, and the result comes after it. */
  async close({ begun }: Standing, exit: Exit, leases: readonly LeaseOutcome[]): Promise<RunResult> {
    const index = await this.#closed({
      outcome: exit.kind,
      exitCode: exit.code,
      code: null,
      peakMemory: exit.peakMemory ?? null,
    });
    const receipt = await this.#house.ledger.receipt(index);
    await this.#sandbox?.drained();
    return { run: this.#id, session: begun.session.id, exit, leases, receipt };
  }

  /** Whatever the flow throws ends the job, is recorded, and only then reaches the caller. */
  async recorded(flow: () => Promise<RunResult>): Promise<RunResult> {
    try {
      return await flow();
    } catch (thrown) {
      const error = asBrokerError(thrown);
      await this.end();
      throw await this.#refused(error);
    }
  }

  async #refused(error: BrokerError): Promise<BrokerError> {
    const { log } = this.#house;
    if (this.#standing === undefined) return denied(this.#house, this.#refusal(), error);
    try {
      // One that was refused before it was opened is in the ledger and in the door's log, each of which is bounded.
      log.info({ run: this.#id, error }, "a run was ended");
      const outcome = this.#started ? "killed" : "refused";
      await this.#closed({ outcome, exitCode: null, code: error.code, peakMemory: null });
    } catch (cause) {
      log.error({ run: this.#id, error: cause }, "the end of a run could not be recorded");
    }
    return error;
  }

  #refusal(): Refused {
    const { peer, template, step } = this.#ask;
    const { outcome, lastWord } = this.#decided ?? {};
    const denial = outcome?.kind === "denied" ? outcome : undefined;
    return { peer, identity: this.#asker?.identity, denial, asked: { template, step }, lastWord };
  }

  async #closed(how: Omit<Extract<Event, { kind: "run-ended" }>, "kind" | "run">): Promise<number> {
    const [entry] = await this.#house.ledger.append([{ kind: "run-ended", run: this.#id, ...how }]);
    if (entry === undefined) throw new BrokerError("ledger-unavailable");
    return entry.index;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    this.#live?.[Symbol.dispose]();
  }
}
