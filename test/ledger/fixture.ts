import { createHash, generateKeyPairSync, randomUUID } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Identity } from "../../src/identity/identity.ts";
import type { Event } from "../../src/ledger/entry.ts";
import type { Renewal, RunOpening, SessionOpening } from "../../src/ledger/ledger.ts";
import { type Clock, type Instant, systemClock } from "../../src/time.ts";

/** A moment at which the tables of the tests begin. */
export const noon: Instant = Date.UTC(2026, 5, 1, 12);

export const origin = "ledger.test/mayfly";

/** A wall clock that the test sets; timers are real. */
export class SetClock implements Clock {
  #now = noon;
  now = (): Instant => this.#now;
  monotonic = systemClock.monotonic;
  sleep = systemClock.sleep;

  advance(span: number): void {
    this.#now += span;
  }
}

export const newKey = () => generateKeyPairSync("ed25519").privateKey;

const root = mkdtempSync(join(tmpdir(), "mayfly-ledger-"));
chmodSync(root, 0o711);
process.once("exit", () => rmSync(root, { recursive: true, force: true }));

/** Gone when the test process ends. */
export function newFolder(): string {
  return mkdtempSync(join(root, "folder-"));
}

export const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

export interface SessionParts {
  readonly id?: string;
  readonly token?: string;
  readonly workload?: string;
  readonly until?: Instant;
  readonly handleDigest?: string;
  readonly scopes?: readonly string[];
  readonly claims?: Identity["claims"];
}

const aPeer = { uid: 1000, pid: 4711, cgroup: "/system.slice/runner-1.service" };

/** As the ledger keeps it. */
export const anIdentity = {
  issuer: "github",
  subject: "repo:shop/web",
  workload: "shop/web",
  job: "github/42/1",
  trust: "branch",
  claims: { repository_id: "42", ref: "refs/heads/main", run_attempt: 1, ref_protected: true, environments: ["staging"] },
} as const;

export function aSession(parts: SessionParts = {}): SessionOpening {
  const { id = randomUUID(), token = randomUUID(), workload = "shop/web", until = noon + 3_600_000 } = parts;
  return {
    id,
    handleDigest: parts.handleDigest ?? sha256(id),
    peer: aPeer.uid,
    cgroup: aPeer.cgroup,
    until,
    identity: '{"subject":"repo:shop/web"}',
    scopes: parts.scopes ?? [],
    event: {
      kind: "session-opened",
      ...anIdentity,
      ...(parts.claims && { claims: parts.claims }),
      session: id,
      workload,
      token,
      peer: aPeer,
      until,
    },
    token: { key: token, forgetAfter: noon + 3_600_000 },
  };
}

export interface RunParts {
  readonly run?: string;
  readonly session: RunOpening["session"];
  readonly scopes?: readonly string[];
  readonly leases?: readonly string[];
  /** Of them, those that the run goes on without. */
  readonly optional?: readonly string[];
}

export function aRun(parts: RunParts): RunOpening {
  const { run = randomUUID(), session, scopes = [], leases = [randomUUID()], optional = [] } = parts;
  const id = session.kind === "open" ? session.opening.id : session.id;
  return {
    run: {
      kind: "run-opened",
      run,
      session: id,
      peer: aPeer,
      template: "deploy/staging",
      step: "ship",
      policy: sha256("policy"),
      reason: "all 3 lines of deploy/staging hold",
      asked: "deploy/staging",
      tolerated: [],
      observed: [],
      lastWord: null,
    },
    session,
    scopes,
    intents: leases.map((lease) => ({ ...anIntent(lease, run), optional: optional.includes(lease) })),
  };
}

export function anIntent(lease: string, run: string): Extract<Event, { kind: "intent" }> {
  return {
    kind: "intent",
    lease,
    run,
    credential: "db",
    provider: "vault-main",
    options: { path: "database/creds/shop" },
    as: "broker",
    optional: false,
    latestExpiry: noon + 600_000,
  };
}

export function aRenewal(session: string, run: string | null, token: string = randomUUID()): Renewal {
  const expiresAt = noon + 3_600_000;
  return {
    event: { kind: "identity-renewed", session, run, token, expiresAt },
    token: { key: token, forgetAfter: expiresAt },
    scopes: [],
    fence: 0,
  };
}

export const opening = (session: SessionOpening): RunOpening["session"] => ({ kind: "open", opening: session });
export const within = (id: string): RunOpening["session"] => ({ kind: "within", id });

export const issued = (lease: string): Event => ({
  kind: "issued",
  lease,
  ending: "revoke",
  handle: { lease_id: "l/1" },
  expiresAt: noon + 600_000,
});
export const delivered = (lease: string): Event => ({ kind: "delivered", lease });
export const revoked = (lease: string): Event => ({ kind: "revoked", lease, by: "job-end" });
export const failed = (lease: string): Event => ({ kind: "failed", lease, code: "provider-unavailable" });
export const unknown = (lease: string): Event => ({ kind: "unknown", lease, code: "provider-unavailable" });
export const expired = (lease: string): Event => ({ kind: "expired", lease });
export const exposed = (lease: string): Event => ({ kind: "exposed", lease, why: "a static value outlives the job" });
export const revocationFailed = (lease: string, attempt = 1): Event => ({
  kind: "revocation-failed",
  lease,
  code: "provider-unavailable",
  attempt,
});
export const runEnded = (run: string): Event => ({
  kind: "run-ended",
  run,
  outcome: "exited",
  exitCode: 0,
  code: null,
  peakMemory: 4096,
});
export const read = (what: string): Event => ({ kind: "audit-read", peer: 0, what });
export const denied = (peer: number, denial: string = randomUUID()): Extract<Event, { kind: "denied" }> => ({
  kind: "denied",
  denial,
  code: "claim-mismatch",
  message: 'the claim ref is "refs/heads/x"',
  peer: { ...aPeer, uid: peer },
  ...anIdentity,
  policy: sha256("policy"),
  trace: [{ template: "deploy", matched: false, lines: [] }],
  asked: null,
  step: null,
  lastWord: null,
});
export const observed = (observation: string = randomUUID()): Extract<Event, { kind: "observed" }> => ({
  kind: "observed",
  ...anIdentity,
  observation,
  peer: aPeer,
  template: "deploy/staging",
  step: "ship",
  policy: sha256("policy"),
  reason: "all 3 lines of deploy/staging hold",
  asked: null,
  lastWord: "decision-1",
});
export const egress = (run: string): Event => ({
  kind: "egress",
  run,
  host: "db.example.com",
  port: 5432,
  connections: 3,
  allowed: true,
});
