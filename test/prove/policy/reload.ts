import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Host, startUpstreams, until } from "../../flow/world.ts";
import { socketOf } from "../identity/brokers.ts";
import type { Answer } from "./observer.ts";
import { Observer } from "./observers.ts";
import { type Found, inWords, type Trial, Wrong } from "./part.ts";

const requests = { small: 200, full: 1_000 } as const;
/** Beneath what the door lets one user observe, and be denied, within a minute. */
const perUser = 50;
const deniedPerUser = 30;
const firstUser = 61_500;

const version = (ttl: string, ref: string): string => `# yaml-language-server: $schema=../docs/schema/template.schema.json
version: 1
template: flip
owner: team-shop
who: { issuer: ci, repository_id: "519283746", trust: protected, ref: "{each.ref}" }
for_each:
  always: { ref: refs/heads/main, api: reports }
  sometimes: { ref: ${ref}, api: builds }
credentials:
  api: { provider: local, kind: jwt, audience: "https://{each.api}.test", ttl: ${ttl} }
sandbox: { timeout: 5m }
accept: { each-alike: "both are asked for by their names" }
`;

/** One file that is two templates, in two versions: what each of them answers, by template. */
const versions = [
  { text: version("5m", "refs/heads/main"), "flip/always": "granted 300", "flip/sometimes": "granted 300" },
  { text: version("7m", "refs/heads/dev"), "flip/always": "granted 420", "flip/sometimes": "claim-mismatch" },
] as const;

type Template = "flip/always" | "flip/sometimes";

/** A broker whose templates flip between two versions while it decides: each answer is that of one version, the one that the ledger names. */
export async function reload(trial: Trial): Promise<Found> {
  const wrong = new Wrong(trial);
  await using stack = new AsyncDisposableStack();
  const upstreams = stack.use(await startUpstreams());
  const host = stack.use(await Host.unknown(upstreams, { flip: versions[0].text }, () => ({})));
  const digests = await bothDigests(host);
  const bySignal = await wave(trial, host, {
    stack,
    count: requests[trial.size],
    pace: 0,
    from: firstUser,
    flip: bySignals(host),
  });
  const paced = await wave(trial, host, { stack, count: perUser, pace: 40, from: firstUser + 50, flip: bySignals(host) });
  const byChange = await wave(trial, host, { stack, count: perUser, pace: 80, from: firstUser + 60, flip: byChanges(host) });
  const entries = await recorded(host);
  const used = new Set<string>();
  const answers = [bySignal, paced, byChange].flatMap((waved) => waved.answers);
  for (const answer of answers) {
    const digest = verify(trial.subject.heard(answer, [...digests.keys()]), { entries, digests, wrong });
    if (digest !== undefined) used.add(digest);
  }
  const flips = entries.filter(({ kind }) => kind === "policy").length;
  if (used.size < versions.length) wrong.add("only one version decided", () => [...used].join());
  if (bySignal.atOnce < requests[trial.size] / 2) wrong.add("too few in flight", () => String(bySignal.atOnce));
  if (flips < 6) wrong.add("too few changes", () => String(flips));
  const mixed = wrong.count(
    "no version of ours",
    "another version's answer",
    "before its version was in force",
    "not on record",
  );
  return {
    claim: `${inWords(answers.length)} requests, ${inWords(bySignal.atOnce)} of them in flight at once, while templates changed ${flips - 1} times: ${mixed} not of the one version that the ledger names`,
    held: wrong.count() === 0,
    figures: { reloadRequests: answers.length, reloadAtOnce: bySignal.atOnce, reloadFlips: flips - 1, reloadMixed: mixed },
  };
}

/** A whole file in place of a whole file, with no moment in which there is none. */
function put(host: Host, which: 0 | 1): void {
  const folder = join(host.folder, "templates");
  writeFileSync(join(folder, ".flip.new"), versions[which].text, { mode: 0o644 });
  renameSync(join(folder, ".flip.new"), join(folder, "flip.yaml"));
}

function hangUp(host: Host): void {
  process.kill(host.broker.pid, "SIGHUP");
}

interface Status {
  readonly policy: { readonly digest: string };
}

async function digestNow(host: Host): Promise<string> {
  return (await host.audit<Status>(["status", "--full"])).policy.digest;
}

/** Which version each digest is, asked while nothing else happens. */
async function bothDigests(host: Host): Promise<ReadonlyMap<string, (typeof versions)[number]>> {
  const first = await digestNow(host);
  put(host, 1);
  hangUp(host);
  await until(async () => (await digestNow(host)) !== first, 10_000);
  const second = await digestNow(host);
  return new Map<string, (typeof versions)[number]>([
    [first, versions[0]],
    [second, versions[1]],
  ]);
}

type Flip = (over: AbortSignal) => Promise<void>;

/** As fast as the broker takes them. */
function bySignals(host: Host): Flip {
  return async (over) => {
    for (let which: 0 | 1 = 0; !over.aborted; which = which === 0 ? 1 : 0) {
      put(host, which);
      hangUp(host);
      await sleep(60);
    }
  };
}

/** Nobody tells the broker: it looks by itself, and reads what stood still from one look to the next. */
function byChanges(host: Host): Flip {
  return async (over) => {
    for (let which: 0 | 1 = 0; !over.aborted; which = which === 0 ? 1 : 0) {
      put(host, which);
      await sleep(2_500, undefined, { signal: over }).catch(() => undefined);
    }
  };
}

interface Waving {
  readonly stack: AsyncDisposableStack;
  readonly count: number;
  readonly pace: number;
  readonly from: number;
  readonly flip: Flip;
}

interface Waved {
  readonly answers: readonly Answer[];
  /** The most requests that waited for their answers at one moment. */
  readonly atOnce: number;
}

async function wave(trial: Trial, host: Host, { stack, count, pace, from, flip }: Waving): Promise<Waved> {
  const observers = Array.from({ length: count / perUser }, (_, nth) => stack.use(new Observer(from + nth)));
  const token = await host.token();
  const over = new AbortController();
  const templates = Array.from(
    { length: perUser },
    (_, nth): Template => (nth % 3 === 0 && nth / 3 < deniedPerUser ? "flip/sometimes" : "flip/always"),
  );
  const order = { socket: socketOf(host), token, templates, connections: 4, pace };
  // They have started once they answer.
  for (const observer of observers) await observer.obey({ ...order, templates: [] });
  const flipping = flip(over.signal);
  const answers = (await Promise.all(observers.map((observer) => observer.obey(order)))).flat();
  over.abort();
  await flipping;
  trial.note(
    `reload: ${answers.length} answers, ${Math.max(...answers.map(({ asked, answered }) => answered - asked))} ms at most`,
  );
  return { answers, atOnce: mostAtOnce(answers) };
}

function mostAtOnce(answers: readonly Answer[]): number {
  const changes = answers.flatMap(({ asked, answered }) => [
    { at: asked, by: 1 },
    { at: answered, by: -1 },
  ]);
  let [now, most] = [0, 0];
  for (const { by } of changes.toSorted((a, b) => a.at - b.at || b.by - a.by)) {
    now += by;
    most = Math.max(most, now);
  }
  return most;
}

interface Recorded {
  readonly index: number;
  readonly kind: string;
  readonly event: Readonly<Record<string, unknown>>;
}

interface Page {
  readonly entries: readonly {
    readonly index: string;
    readonly kind: string;
    readonly event: Readonly<Record<string, unknown>>;
  }[];
}

/** Every entry that says what was decided, and by what. */
async function recorded(host: Host): Promise<readonly Recorded[]> {
  const entries: Recorded[] = [];
  for (let from = 0; ; ) {
    const page = await host.audit<Page>([
      "audit",
      "list",
      "--kind",
      "observed",
      "denied",
      "policy",
      "--limit",
      "500",
      "--from",
      String(from),
    ]);
    entries.push(...page.entries.map(({ index, kind, event }) => ({ index: Number(index), kind, event })));
    const last = entries.at(-1);
    if (page.entries.length < 500 || last === undefined) return entries;
    from = last.index + 1;
  }
}

interface Known {
  readonly entries: readonly Recorded[];
  readonly digests: ReadonlyMap<string, (typeof versions)[number]>;
  readonly wrong: Wrong;
}

/** The digest of the version that decided; what is wrong with it is counted. */
function verify(
  { answer, digest: told }: { readonly answer: Answer; readonly digest: string | undefined },
  { entries, digests, wrong }: Known,
): string | undefined {
  const entry = entries.find(
    ({ event }) => answer.id !== "" && (event["observation"] === answer.id || event["denial"] === answer.id),
  );
  const digest = String(told ?? entry?.event["policy"]);
  const flaw = flawOf(answer, digest, { entry, entries, answers: digests.get(digest) });
  const recordedAs = (): string => JSON.stringify(entry?.event)?.slice(0, 300);
  if (flaw !== undefined) wrong.add(flaw, () => `${answer.template} was ${answer.outcome}, recorded ${recordedAs()}`);
  return flaw === undefined ? digest : undefined;
}

interface OnRecord {
  readonly entry: Recorded | undefined;
  readonly entries: readonly Recorded[];
  readonly answers: (typeof versions)[number] | undefined;
}

function flawOf(answer: Answer, digest: string, { entry, entries, answers }: OnRecord): string | undefined {
  if (entry === undefined) return "not on record";
  if (answers === undefined) return "no version of ours";
  const isBefore = ({ kind, index, event }: Recorded): boolean =>
    kind === "policy" && event["policy"] === digest && index < entry.index;
  if (!entries.some(isBefore)) return "before its version was in force";
  return answers[answer.template as Template] === answer.outcome ? undefined : "another version's answer";
}
