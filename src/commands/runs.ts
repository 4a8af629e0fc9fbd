import { z } from "zod";
import type { Asker, Contained, Ended, Reached, RunSeen } from "../policy/suggest/usage.ts";
import type { Instant } from "../time.ts";
import { type AuditClient, type Back, entriesBack, eventOf, identityIn, newestAbout, type Recorded } from "./recorded.ts";

const opened = z.object({ run: z.string(), session: z.string(), template: z.string(), step: z.string().nullable() });
const ended = z.object({
  run: z.string(),
  outcome: z.string(),
  exitCode: z.number().nullable(),
  peakMemory: z.number().nullish(),
});
const intent = z.object({ run: z.string(), lease: z.string(), credential: z.string(), provider: z.string() });
const issued = z.object({ lease: z.string() });
const egress = z.object({ run: z.string(), host: z.string(), port: z.number(), allowed: z.boolean() });
const fence = z.object({ scope: z.string(), closed: z.boolean() });
const sessionEnded = z.object({ session: z.string(), why: z.string() });
const sessionOpened = z.object({ session: z.string() });

const kinds: readonly string[] = [
  "session-opened",
  "session-ended",
  "run-opened",
  "run-ended",
  "intent",
  "issued",
  "egress",
  "fence-raised",
];

export interface RunSpan extends Pick<Back, "heed"> {
  readonly since: Instant;
  /** The templates whose runs are wanted; of others nothing is kept. */
  readonly templates: ReadonlySet<string>;
}

export interface RunsSeen {
  readonly runs: readonly RunSeen[];
  readonly contained: Contained;
}

/** What the ledger tells of each run that began within the span. */
export async function recordedRuns(call: AuditClient, { since, templates, heed }: RunSpan): Promise<RunsSeen> {
  const gathered = new Gathered(templates);
  for await (const entry of entriesBack(call, { kinds, since, ...(heed && { heed }) })) gathered.add(entry);
  for (const session of gathered.sessions()) {
    const entry = await newestAbout(call, session, ["session-opened"]);
    if (entry !== undefined) gathered.add(entry);
  }
  return gathered.seen();
}

/** Parts of a run, which come newest first: its end, what it reached, when it was issued what; then its opening, then its session's. */
interface Parts {
  readonly credentials: { readonly name: string; readonly provider: string; readonly issuedAt: Instant | undefined }[];
  readonly egress: Reached[];
  ended: Ended | undefined;
}

type Opened = Omit<RunSeen, "asker">;

class Gathered {
  readonly #templates: ReadonlySet<string>;
  readonly #parts = new Map<string, Parts>();
  readonly #issued = new Map<string, Instant>();
  readonly #opened = new Map<string, Opened[]>();
  readonly #runs: RunSeen[] = [];
  readonly #scopes = new Set<string>();
  readonly #contained = new Set<string>();
  readonly #readers: Readonly<Record<string, (entry: Recorded) => void>> = {
    "run-ended": (entry) => this.#end(entry),
    egress: (entry) => this.#reach(entry),
    issued: (entry) => this.#issue(entry),
    intent: (entry) => this.#intend(entry),
    "run-opened": (entry) => this.#open(entry),
    "session-opened": (entry) => this.#identify(entry),
    "session-ended": (entry) => this.#endSession(entry),
    "fence-raised": (entry) => this.#close(entry),
  };

  constructor(templates: ReadonlySet<string>) {
    this.#templates = templates;
  }

  add(entry: Recorded): void {
    this.#readers[entry.kind]?.(entry);
  }

  /** Those whose opening has not come yet. */
  sessions(): readonly string[] {
    return [...this.#opened.keys()];
  }

  /** What still waits for a session is of one whose entry cannot be had. */
  seen(): RunsSeen {
    const without = [...this.#opened.values()].flat().map((run): RunSeen => ({ ...run, asker: undefined }));
    return { runs: [...this.#runs, ...without], contained: { scopes: this.#scopes, sessions: this.#contained } };
  }

  #of(run: string): Parts {
    const parts = this.#parts.get(run) ?? { credentials: [], egress: [], ended: undefined };
    this.#parts.set(run, parts);
    return parts;
  }

  #end(entry: Recorded): void {
    const event = eventOf(ended, entry);
    if (event === undefined) return;
    const { outcome, exitCode, peakMemory } = event;
    this.#of(event.run).ended = {
      at: entry.time,
      outcome,
      exitCode: exitCode ?? undefined,
      peakMemory: peakMemory ?? undefined,
    };
  }

  #reach(entry: Recorded): void {
    const event = eventOf(egress, entry);
    if (event === undefined) return;
    const { run, ...reached } = event;
    this.#of(run).egress.push(reached);
  }

  #issue(entry: Recorded): void {
    const event = eventOf(issued, entry);
    if (event !== undefined) this.#issued.set(event.lease, entry.time);
  }

  #intend(entry: Recorded): void {
    const event = eventOf(intent, entry);
    if (event === undefined) return;
    const { lease, run, credential, provider } = event;
    this.#of(run).credentials.push({ name: credential, provider, issuedAt: this.#issued.get(lease) });
    this.#issued.delete(lease);
  }

  #open(entry: Recorded): void {
    const event = eventOf(opened, entry);
    if (event === undefined) return;
    const parts = this.#of(event.run);
    this.#parts.delete(event.run);
    if (!this.#templates.has(event.template)) return;
    const run = { ...event, ...parts, step: event.step ?? undefined, opened: entry.time };
    const waiting = this.#opened.get(event.session);
    if (waiting === undefined) this.#opened.set(event.session, [run]);
    else waiting.push(run);
  }

  #identify(entry: Recorded): void {
    const session = eventOf(sessionOpened, entry)?.session ?? "";
    const asker = askerIn(entry);
    for (const run of this.#opened.get(session) ?? []) this.#runs.push({ ...run, asker });
    this.#opened.delete(session);
  }

  #endSession(entry: Recorded): void {
    const event = eventOf(sessionEnded, entry);
    if (event?.why === "contained") this.#contained.add(event.session);
  }

  #close(entry: Recorded): void {
    const event = eventOf(fence, entry);
    if (event?.closed === true) this.#scopes.add(event.scope);
  }
}

/** The claims in which the issuers that have such a thing say what started a job. */
const eventClaims = ["event_name", "pipeline_source"] as const;

function askerIn(entry: Recorded): Asker | undefined {
  const identity = identityIn(entry);
  if (identity === undefined) return undefined;
  const { issuer, workload, job, trust, claims } = identity;
  const event = eventClaims.map((claim) => claims[claim]).find((value) => typeof value === "string");
  return { issuer, workload, job, trust, event };
}
