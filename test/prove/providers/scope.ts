import type { LeaseEnd } from "../../../src/lease/lease.ts";
import type { Material } from "../../../src/material.ts";
import { secretsOf } from "../../../src/material.ts";
import { Secret } from "../../../src/secret.ts";
import { systemClock } from "../../../src/time.ts";
import { type House, openHouse } from "./house.ts";
import { type Part, percentile, type Stand } from "./part.ts";

const bar = 5_000;

/** Each credential does what was granted, none of its neighbours, and nothing once its job is over; or its remaining life is on record. */
export function scope(): Part {
  const figures: Record<string, number | string> = {};
  const sum = { granted: 0, failed: 0, neighbours: 0, done: 0, recorded: 0, unrecorded: 0, late: 0 };
  const spans: number[] = [];
  const slow: string[] = [];
  return {
    async try(stand, { size, note }) {
      const { works, done } = await actsOf(stand);
      sum[works ? "granted" : "failed"] += 1;
      sum.neighbours += stand.neighbours.length;
      sum.done += done.length;
      for (const name of done) note(`${stand.name}: a credential ${name}`);
      if (!works) note(`${stand.name}: the control failed: it never ${stand.granted[0]}`);
      const ended = await endsOf(stand, size === "full" ? 30 : 6);
      sum.recorded += ended.recorded;
      sum.unrecorded += ended.unrecorded;
      const { remembers } = stand;
      if (remembers === undefined) spans.push(...ended.spans);
      else slow.push(`${stand.name} ${percentile(ended.spans, 0.99)} ms (p99): ${remembers.why}`);
      if (percentile(ended.spans, 0.99) > (remembers?.milliseconds ?? bar)) sum.late += 1;
      figures[`end of ${stand.name}`] = ended.words;
      note(
        `${stand.name}: ${stand.neighbours.length - done.length} of ${stand.neighbours.length} neighbours refused, ${ended.words}`,
      );
    },
    found() {
      const [p50, p99] = [percentile(spans, 0.5), percentile(spans, 0.99)];
      const but = slow.length === 0 ? "" : ` (but ${slow.join("; ")})`;
      return {
        claim: `${sum.granted} of ${sum.granted + sum.failed} granted actions work (control), ${sum.neighbours} neighbouring actions tried, ${sum.done} done; ${spans.length} revocable credentials refused upstream ${p50} ms (p50) and ${p99} ms (p99) after their job${but}, ${sum.recorded} others with their remaining life on record`,
        held: sum.failed + sum.done + sum.late + sum.unrecorded === 0 && sum.granted > 0,
        figures: { ...figures, ...sum, p50, p99 },
      };
    },
  };
}

async function actsOf(stand: Stand): Promise<{ readonly works: boolean; readonly done: readonly string[] }> {
  await using house = await openHouse(stand);
  await using leases = await house.issue();
  const [lease] = leases.all;
  stand.outside.add(lease?.lease ?? "");
  if (lease === undefined) throw new Error("nothing was minted");
  const works = await accepts(stand.granted[1], lease.material);
  const done: string[] = [];
  for (const [name, act] of stand.neighbours) if (await accepts(act, lease.material)) done.push(name);
  return { works, done };
}

interface Ended {
  readonly spans: readonly number[];
  readonly recorded: number;
  readonly unrecorded: number;
  readonly words: string;
}

/** From the end of the job until the upstream refuses; each is tried before, so that it is known to have worked. */
async function endsOf(stand: Stand, amount: number): Promise<Ended> {
  await using house = await openHouse(stand);
  const spans: number[] = [];
  const lives: number[] = [];
  let unrecorded = 0;
  await Promise.all(
    Array.from({ length: amount }, async () => {
      const { stolen, end: endIt } = await jobOf(house, stand);
      const began = performance.now();
      const end = await endIt();
      if (end?.end === "revoked") {
        while (await accepts(stand.granted[1], stolen)) await systemClock.sleep(20);
        spans.push(performance.now() - began);
      } else if (end?.expiresAt !== undefined) lives.push((end.expiresAt - Date.now()) / 1_000);
      else unrecorded += 1;
    }),
  );
  const open = new Set((await house.ledger.openLeases()).map(({ expiresAt }) => expiresAt));
  if (lives.length > 0 && open.has(null)) unrecorded += 1;
  const words =
    spans.length > 0
      ? `refused after ${percentile(spans, 0.5)} ms (p50), ${percentile(spans, 0.99)} ms (p99)`
      : `${Math.round(Math.max(...lives))} s of life left, on record`;
  return { spans, recorded: lives.length, unrecorded, words };
}

/** A job whose credential was copied by a thief: ending it overwrites our copy. */
async function jobOf(
  house: House,
  stand: Stand,
): Promise<{ readonly stolen: Material; readonly end: () => Promise<LeaseEnd | undefined> }> {
  const leases = await house.issue();
  const [lease] = leases.all;
  if (lease === undefined) throw new Error("nothing was minted");
  stand.outside.add(lease.lease);
  const stolen = copyOf(lease.material);
  if (!(await accepts(stand.granted[1], stolen))) throw new Error(`${stand.name} gave nothing that works`);
  return { stolen, end: async () => (await leases.end(bar))[0] };
}

async function accepts(act: (material: Material) => Promise<boolean>, material: Material): Promise<boolean> {
  return act(material).catch(() => false);
}

function copyOf(material: Material): Material {
  const own = new Map(secretsOf(material).map((secret) => [secret, Secret.of(secret.use((bytes) => bytes.toString("utf8")))]));
  const copied = (value: unknown): unknown => {
    if (value instanceof Secret) return own.get(value) ?? value;
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, copied(one)]));
  };
  return copied(material) as Material;
}
