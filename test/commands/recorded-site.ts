import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Event } from "../../src/ledger/entry.ts";
import { type Clock, day, type Instant, systemClock } from "../../src/time.ts";
import { type OpenDoor, openDoor } from "../api/open-door.ts";
import { aRun, aSession, issued, opening, within } from "../ledger/fixture.ts";
import { mayfly, type Ran } from "./shell.ts";

/** A wall clock that was set back, and goes on only where a test says so: what is recorded by it lies in the past. */
class PastClock implements Clock {
  #now = systemClock.now() - 40 * day;
  now = (): Instant => this.#now;
  monotonic = systemClock.monotonic;
  sleep = systemClock.sleep;

  advance(span: number): void {
    this.#now += span;
  }
}

const config = (folder: string) => `
version: 1
state: ${join(folder, "state")}
identity: { url: "https://mayfly.example", origin: mayfly.example/one }
issuers:
  github: { url: "https://token.actions.githubusercontent.com", preset: github, audience: mayfly }
providers:
  own: { type: local, endpoints: ["db.example.com:5432"] }
sandbox: {}
`;

export interface Site extends AsyncDisposable {
  readonly door: OpenDoor;
  readonly clock: PastClock;
  readonly folder: string;
  /** Writes a folder of templates; gives the policy's digest, once its text is with the ledger and it is in force. */
  inForce(name: string, files: Readonly<Record<string, string>>): Promise<string>;
  write(name: string, files: Readonly<Record<string, string>>): Promise<void>;
  here(...args: readonly string[]): Promise<Ran>;
  run(parts: RunParts): Promise<string>;
}

export interface RunParts {
  readonly run: string;
  readonly policy: string;
  readonly template?: string;
  readonly asked?: string | null;
  readonly step?: string | null;
  readonly trust?: string;
  readonly claims?: Readonly<Record<string, string>>;
  readonly session?: string;
  /** Milliseconds. */
  readonly takes?: number;
  readonly exitCode?: number;
  readonly peakMemory?: number;
  readonly reaches?: readonly { readonly host: string; readonly port: number; readonly allowed: boolean }[];
}

export const claims = {
  iss: "https://token.actions.githubusercontent.com",
  repository_id: "42",
  ref: "refs/heads/main",
  event_name: "push",
  run_id: "7",
};

export const identity = {
  issuer: "github",
  subject: "repo:shop/web",
  workload: "github:42",
  job: "github:42:7",
  trust: "protected",
  claims,
} as const;

export const peer = { uid: 1000, pid: 7, cgroup: null } as const;

/** A ledger behind its audit socket, a mayfly.yaml, and folders of templates. */
export async function openSite(): Promise<Site> {
  const clock = new PastClock();
  const door = await openDoor({ ledgerClock: clock });
  const folder = await mkdtemp(join(tmpdir(), "mayfly-recorded-"));
  await writeFile(join(folder, "mayfly.yaml"), config(folder));
  const write = async (name: string, files: Readonly<Record<string, string>>): Promise<void> => {
    await mkdir(join(folder, name), { mode: 0o700, recursive: true });
    for (const [file, text] of Object.entries(files)) await writeFile(join(folder, name, file), text, { mode: 0o600 });
  };
  return {
    door,
    clock,
    folder,
    write,
    inForce: async (name, files) => {
      await write(name, files);
      const sorted = Object.entries(files).toSorted(([a], [b]) => (a < b ? -1 : 1));
      const text = sorted.map(([file, one]) => `--- ${JSON.stringify(file)} ${Buffer.byteLength(one)}\n${one}`).join("\n");
      const digest = createHash("sha256").update(text).digest("hex");
      await door.ledger.storePolicy({ digest, text });
      await door.ledger.append([{ kind: "policy", policy: digest, templates: [], by: "start", lastWord: null }]);
      return digest;
    },
    here: (...args) =>
      mayfly(args, {
        cwd: folder,
        env: {
          MAYFLY_RUN: join(door.folder, "run"),
          MAYFLY_CONFIG: join(folder, "mayfly.yaml"),
          MAYFLY_TEMPLATES: join(folder, "now"),
        },
      }),
    run: (parts) => recordRun(door, clock, parts),
    [Symbol.asyncDispose]: async () => {
      await door[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

/** As the flow writes it: the session with the first run, intents with the run, what it reached with its end. */
async function recordRun(door: OpenDoor, clock: PastClock, parts: RunParts): Promise<string> {
  const { run, takes = 60_000, exitCode = 0, peakMemory = null, reaches = [] } = parts;
  const session = parts.session ?? `ses-${run}`;
  await begin(door, clock, { ...parts, session });
  clock.advance(takes);
  const reached = reaches.map((one): Event => ({ kind: "egress", run, ...one, connections: 1 }));
  await door.ledger.append([...reached, { kind: "run-ended", run, outcome: "exited", exitCode, code: null, peakMemory }]);
  return session;
}

async function begin({ ledger }: OpenDoor, clock: PastClock, parts: RunParts & { readonly session: string }): Promise<void> {
  const { run, policy, session, template = "deploy", asked = null, step = "ship", trust = identity.trust } = parts;
  const leases = step === "look" ? [] : [`lse-${run}`];
  const base = aSession({ id: session, until: clock.now() + 40 * day });
  const event = { ...base.event, ...identity, trust, claims: { ...claims, ...parts.claims }, session, until: base.until };
  const joined = (await ledger.entries({ about: session, limit: 1 })).length > 0;
  const begun = aRun({ run, session: joined ? within(session) : opening({ ...base, event }), leases });
  await ledger.begin({
    ...begun,
    run: { ...begun.run, template, step, policy, asked, reason: `template ${template} matched` },
    intents: begun.intents.map((intent) => ({ ...intent, credential: "cert", provider: "own" })),
  });
  await ledger.append(leases.map(issued));
}
