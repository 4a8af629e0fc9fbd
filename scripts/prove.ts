import { execFileSync } from "node:child_process";
import { globSync, mkdirSync, writeFileSync } from "node:fs";
import { arch, cpus, release, totalmem } from "node:os";
import { basename } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

/** What a proof is given. `random` is seeded: the same seed tries the same things. */
export interface ProofRequest {
  readonly size: "small" | "full";
  readonly seed: number;
  readonly random: () => number;
  /** The fault to build in, by a name that the proof knows: a proof that never failed proves nothing. */
  readonly sabotage: string | undefined;
  /** A line of progress, for a person. */
  readonly note: (line: string) => void;
}

export interface Verdict {
  /** One sentence with its counts, controls included. */
  readonly claim: string;
  readonly held: boolean;
  readonly figures: Readonly<Record<string, number | string>>;
}

export type Prove = (request: ProofRequest) => Verdict | Promise<Verdict>;

const usage = "npm run prove -- ROOM [--size small|full] [--seed N] [--sabotage NAME]";
const rooms = globSync("test/prove/*.ts")
  .map((file) => basename(file, ".ts"))
  .sort();

const { values, positionals } = asked();
const [room] = positionals;
const { size, sabotage } = values;
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
if (values.help === true) sayUsage(0);
if (room === undefined || !rooms.includes(room) || (size !== "small" && size !== "full") || Number.isNaN(seed)) sayUsage(2);

const { prove } = (await import(pathToFileURL(`test/prove/${room}.ts`).href)) as { prove: Prove };
const started = performance.now();
const note = (line: string) => console.error(`  ${line}`);
const verdict = await prove({ size, seed, random: seeded(seed), sabotage, note });
const seconds = Math.round((performance.now() - started) / 100) / 10;
// A sabotaged run must not stand as a result.
if (sabotage === undefined) keep({ room, size, seed, seconds, ...verdict });
console.log(`seed ${seed}, ${size}, ${seconds} s${sabotage === undefined ? "" : `, sabotaged by ${sabotage}`}`);
console.log(`${room}: ${verdict.held ? "" : "DOES NOT HOLD: "}${verdict.claim}`);
process.exitCode = verdict.held ? 0 : 1;

function asked() {
  const text = { type: "string" } as const;
  const options = { size: { ...text, default: "small" }, seed: text, sabotage: text, help: { type: "boolean" } } as const;
  try {
    return parseArgs({ allowPositionals: true, options });
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return sayUsage(2);
  }
}

function sayUsage(exit: number): never {
  console[exit === 0 ? "log" : "error"](`usage: ${usage}\nrooms: ${rooms.join(", ")}`);
  process.exit(exit);
}

function keep(result: object): void {
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memory: totalmem(),
    kernel: release(),
    arch: arch(),
    node: process.version,
  };
  mkdirSync("bench/results", { recursive: true });
  writeFileSync(
    `bench/results/${room}.json`,
    `${JSON.stringify({ ...result, at: new Date().toISOString(), commit: commit(), machine }, null, 2)}\n`,
  );
}

/** With a mark where the tree differs from it: such a figure belongs to no commit. */
function commit(): string {
  const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8" }).trim();
  return (
    git("rev-parse", "--short=12", "HEAD") +
    (git("status", "--porcelain", "--", "src", "providers", "test") === "" ? "" : "+changes")
  );
}

/** mulberry32: small, fast and good enough to choose test input. */
function seeded(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
