import { execFileSync } from "node:child_process";
import { globSync, mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { basename } from "node:path";
import { pathToFileURL } from "node:url";

/**
 * One thing that is measured. All contenders do the same work in the same run, by turns, so that what the machine does to
 * one it does to all; what counts is their ratio.
 */
export interface Race {
  readonly name: string;
  /** From where to where is measured. */
  readonly boundary: string;
  /** Ours first. */
  readonly contenders: readonly Contender[];
}

export interface Contender {
  readonly name: string;
  /** Does its work once; gives how much it did, in bytes or pieces. */
  readonly run: () => number | Promise<number>;
}

/** What is no race by CPU time, and has measured itself. */
export interface Measured {
  readonly name: string;
  readonly boundary: string;
  readonly figures: Readonly<Record<string, number>>;
  /** For a person. */
  readonly lines: readonly string[];
}

type Benched = readonly (Race | Measured)[];
export type Bench = () => Benched | Promise<Benched>;

const rounds = 5;
const names = globSync("bench/*.ts")
  .map((file) => basename(file, ".ts"))
  .filter((name) => name !== "bench")
  .sort();
const [wanted] = process.argv.slice(2);
if (wanted !== undefined && !names.includes(wanted)) {
  console.error(`usage: npm run bench [-- NAME]\nnames: ${names.join(", ")}`);
  process.exit(2);
}

for (const name of wanted === undefined ? names : [wanted]) {
  const { bench } = (await import(pathToFileURL(`bench/${name}.ts`).href)) as { bench: Bench };
  const results: object[] = [];
  for (const race of await bench()) results.push({ name: race.name, boundary: race.boundary, ...(await resultOf(race)) });
  const about = {
    at: new Date().toISOString(),
    commit: commit(),
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    node: process.version,
  };
  mkdirSync("bench/results", { recursive: true });
  writeFileSync(`bench/results/bench-${name}.json`, `${JSON.stringify({ bench: name, ...about, rounds, results }, null, 2)}\n`);
}

async function resultOf(race: Race | Measured): Promise<object> {
  if ("contenders" in race) return run(race);
  console.log([`${race.name} (${race.boundary})`, ...race.lines.map((line) => `  ${line}`)].join("\n"));
  return { figures: race.figures };
}

/** The median of each contender's rates by CPU time, after one round that only warms up; and ours as a multiple of each. */
async function run({ name, boundary, contenders }: Race): Promise<object> {
  const rates = new Map<Contender, number[]>(contenders.map((contender) => [contender, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const [contender, measured] of rates)
      if (round === 0) await contender.run();
      else measured.push(await rate(contender));
  }
  const medians = [...rates].map(([contender, measured]) => ({ name: contender.name, perSecond: median(measured) }));
  const ours = medians[0]?.perSecond ?? 0;
  console.log(`${name} (${boundary})`);
  for (const one of medians.slice(1)) console.log(`  ${times(ours / one.perSecond)} ${one.name}`);
  return { perSecond: medians, ratios: Object.fromEntries(medians.slice(1).map((one) => [one.name, ours / one.perSecond])) };
}

async function rate(contender: Contender): Promise<number> {
  const before = process.cpuUsage();
  const amount = await contender.run();
  const { user, system } = process.cpuUsage(before);
  return (amount * 1_000_000) / (user + system);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function times(ratio: number): string {
  return `${ratio >= 10 ? Math.round(ratio) : ratio.toPrecision(2)} x`.padStart(8);
}

function commit(): string {
  return execFileSync("git", ["describe", "--always", "--dirty=+changes", "--abbrev=12"], { encoding: "utf8" }).trim();
}
