import type { LeaseRecord } from "../../../src/ledger/ledger.ts";
import { systemClock } from "../../../src/time.ts";
import type { Fault } from "../../servers/fault-proxy.ts";
import { type House, openHouse } from "./house.ts";
import type { Living, Part, Stand, Trial } from "./part.ts";

const concurrency = 50;
const patience = 45_000;

const faults: readonly Fault[] = [
  { kind: "reset" },
  { kind: "drop-answer" },
  { kind: "garble" },
  { kind: "delay", milliseconds: 300 },
  { kind: "black-hole" },
  { kind: "answer", status: 200, body: "<html>hello</html>" },
  { kind: "answer", status: 500, body: '{"errors":["boom"]}' },
];

interface Tally {
  minted: number;
  notMinted: number;
  struck: number;
  /** Alive upstream while the ledger holds it for over, or never heard of it. */
  unrecorded: number;
  forgotten: number;
  /** By the ledger, alive until a moment that it knows. */
  waitedOut: number;
}

/** Fifty at once through the real minting, while the upstream is cut, delayed and garbled; then the ledger beside the upstream's own list. */
export function storm(): Part {
  const all: Tally = { minted: 0, notMinted: 0, struck: 0, unrecorded: 0, forgotten: 0, waitedOut: 0 };
  const figures: Record<string, number | string> = {};
  let stands = 0;
  return {
    async try(stand, trial) {
      stands += 1;
      const tally = await stormOver(stand, trial);
      for (const key of Object.keys(all) as (keyof Tally)[]) all[key] += tally[key];
      figures[`storm ${stand.name}`] = JSON.stringify(tally);
      trial.note(`${stand.name}: storm ${JSON.stringify(tally)}`);
    },
    found: () => ({
      claim: `${stands} providers under concurrency ${concurrency}, cut, delayed and garbled: ${all.minted + all.notMinted} leases begun, ${all.minted} minted (control), ${all.struck} requests struck by name beside what toxiproxy did; ${all.unrecorded} unrecorded, ${all.forgotten} forgotten after the sweeper`,
      held: all.unrecorded === 0 && all.forgotten === 0 && all.minted > 0 && all.struck > 0 && stands > 0,
      figures: { ...figures, ...all },
    }),
  };
}

async function stormOver(stand: Stand, trial: Trial): Promise<Tally> {
  await using house = await openHouse(stand);
  const wanted = Math.min(stand.most ?? Number.POSITIVE_INFINITY, trial.size === "full" ? 300 : 60);
  const sweeper = house.sweep();
  const counts = await jobs(house, wanted, { stand, trial });
  const unrecorded = await unknownTo(house, stand);
  await calm(house, stand);
  const forgotten = [...(await unknownTo(house, stand)), ...(await overdue(house, stand))];
  await sweeper[Symbol.asyncDispose]();
  for (const what of [...unrecorded, ...forgotten].slice(0, 3)) trial.note(`${stand.name}: ${what}`);
  const open = await house.ledger.openLeases();
  return { ...counts, unrecorded: unrecorded.length, forgotten: forgotten.length, waitedOut: open.length };
}

async function jobs(
  house: House,
  wanted: number,
  { stand, trial }: { readonly stand: Stand; readonly trial: Trial },
): Promise<Pick<Tally, "minted" | "notMinted" | "struck">> {
  const { way } = stand;
  const before = way?.faults.struck ?? 0;
  if (way !== undefined) await trial.toxic.poison(way.toxicPort);
  let left = wanted;
  const counts = { minted: 0, notMinted: 0 };
  const work = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      arm(stand, trial);
      counts[(await live(house, trial)) ? "minted" : "notMinted"] += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  if (way === undefined) return { ...counts, struck: 0 };
  way.faults.heal();
  await trial.toxic.heal();
  return { ...counts, struck: way.faults.struck - before };
}

/** A third of the mints meet a fault somewhere on their way. */
function arm({ way }: Stand, { random }: Trial): void {
  const fault = faults[Math.floor(random() * faults.length * 3)];
  if (fault !== undefined) way?.faults.next(fault);
}

/** A job: it ends by itself, or its broker dies and the sweeper finds what was left. */
async function live(house: House, { random }: Trial): Promise<boolean> {
  const dies = random() < 0.3;
  try {
    const leases = await house.issue();
    if (!dies) await leases.end(2_000);
    for (const { lease } of leases.all) house.held.delete(lease);
    return true;
  } catch {
    return false;
  }
}

const isOpen = ({ state }: LeaseRecord): boolean => !["failed", "revoked", "expired", "exposed"].includes(state);

/** What lives upstream although the ledger says that it cannot, or does not know it. */
async function unknownTo(house: House, stand: Stand): Promise<readonly string[]> {
  const before = await house.records();
  const living = await livingOf(before, stand);
  const records = new Map(before.map((record) => [record.lease, record]));
  return living.flatMap(({ what, lease }) => {
    const record = lease === undefined ? undefined : records.get(lease);
    if (lease === undefined || (record !== undefined && isOpen(record))) return [];
    return [`${what} lives upstream, and the ledger says ${record?.state ?? "nothing"} of ${lease}`];
  });
}

async function livingOf(records: readonly LeaseRecord[], stand: Stand): Promise<readonly Living[]> {
  const living = await stand.living([...records.map(({ lease }) => lease), ...stand.outside]);
  return living.filter(({ lease }) => lease === undefined || !stand.outside.has(lease));
}

/** Until nothing is left to do but to wait for an expiry. */
async function calm(house: House, stand: Stand): Promise<void> {
  const until = Date.now() + patience;
  while (Date.now() < until && (await overdue(house, stand)).length > 0) await systemClock.sleep(200);
}

/** What could be ended, and is not; and what upstream lives on without a name while no lease is left that it could belong to. */
async function overdue(house: House, stand: Stand): Promise<readonly string[]> {
  const open = await house.ledger.openLeases();
  const soon = await house.ledger.dueLeases({ by: Date.now() + soonest, longestPause: soonest });
  const next = new Set(soon.map(({ lease }) => lease));
  const due = open
    .filter((record) => next.has(record.lease) || !isWaitedFor(record, stand))
    .map(({ lease, state }) => `${lease} is still ${state}`);
  if (due.length > 0 || stand.provider.ends(stand.options) !== "revoke") return due;
  const waited = new Set(open.map(({ lease }) => lease));
  const living = await livingOf(await house.records(), stand);
  return living.filter(({ lease }) => lease === undefined || !waited.has(lease)).map(({ what }) => `${what} is forgotten`);
}

/** Beyond the sweeper's longest pause: whoever is not due by then waits for an expiry. */
const soonest = 16_000;

/** It ends by itself at a moment that the ledger knows, and nobody can end it before. */
function isWaitedFor({ ending, state, latestExpiry }: LeaseRecord, { name, provider, options }: Stand): boolean {
  if (latestExpiry < Date.now()) return false;
  if (provider.revocation === "none" || ending === "expires") return true;
  // GitHub keeps no list that could be asked for a token whose answer was lost.
  return state === "unknown" && (name === "github" || provider.ends(options) !== "revoke");
}
