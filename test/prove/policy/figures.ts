import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Ask } from "../../../src/policy/decide.ts";
import { accepts, readPattern } from "../../../src/policy/pattern.ts";
import { pick, type Random } from "../identity/chance.ts";
import { identityWith } from "./identities.ts";
import { type Found, type Trial, Wrong } from "./part.ts";
import type { SitePolicy } from "./subject.ts";

const templates = 1_000;
const bars = { loadMilliseconds: 1_000, decideMilliseconds: 0.2, patternMilliseconds: 1 } as const;
const tries = { small: 5, full: 15 } as const;

/**
 * A bar of time is for a machine that does nothing else. On one that does, every measure can only come out too long, so each is taken several
 * times and the best decides; the median is told beside it. A load is the work of one thread, so where others kept that thread waiting, the
 * processor time that it used is what an idle machine would have taken at most: the lesser of both is held against the bar.
 */
export async function figures(trial: Trial): Promise<Found> {
  const wrong = new Wrong(trial);
  const { loads, policy } = await measuredLoads(trial);
  const decisions = measuredDecisions(policy, trial);
  const patterns = measuredPatterns(trial, wrong);
  const [wall, processor] = [loads.map((one) => one.wall), loads.map((one) => one.processor)];
  const [load, decide, match] = [Math.min(best(wall), best(processor)), best(decisions), best(patterns)];
  if (load > bars.loadMilliseconds) wrong.add("over the bar", () => `${templates} templates in ${load.toFixed(0)} ms`);
  if (decide > bars.decideMilliseconds) wrong.add("over the bar", () => `a decision in ${decide.toFixed(3)} ms (p99)`);
  if (match > bars.patternMilliseconds) wrong.add("over the bar", () => `a pattern in ${match.toFixed(3)} ms`);
  const measured = `best of ${tries[trial.size]}`;
  return {
    claim: `${templates} templates load in ${best(wall).toFixed(0)} ms and ${best(processor).toFixed(0)} ms of processor (${measured}, medians ${median(wall).toFixed(0)} and ${median(processor).toFixed(0)}), decide in ${(decide * 1_000).toFixed(0)} us p99 (${measured}, median ${(median(decisions) * 1_000).toFixed(0)}), the worst pattern takes ${(match * 1_000).toFixed(0)} us on 8 KiB (${measured}, median ${(median(patterns) * 1_000).toFixed(0)})`,
    held: wrong.count() === 0,
    figures: {
      loadMilliseconds: rounded(best(wall)),
      loadMedianMilliseconds: rounded(median(wall)),
      loadFirstMilliseconds: rounded(wall[0] ?? 0),
      loadProcessorMilliseconds: rounded(best(processor)),
      decideP99Milliseconds: rounded(decide),
      decideP99MedianMilliseconds: rounded(median(decisions)),
      worstPatternMilliseconds: rounded(match),
      worstPatternMedianMilliseconds: rounded(median(patterns)),
    },
  };
}

function best(all: readonly number[]): number {
  return Math.min(...all);
}

function median(all: readonly number[]): number {
  return all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0;
}

function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

/** Milliseconds. */
interface Load {
  readonly wall: number;
  readonly processor: number;
}

interface Loads {
  readonly loads: readonly Load[];
  readonly policy: SitePolicy;
}

/** From a real folder, cold files warm in the page cache, as a reload reads them. */
async function measuredLoads({ subject, size }: Trial): Promise<Loads> {
  const folder = mkdtempSync(join(tmpdir(), "mayfly-prove-templates-"));
  try {
    for (let nth = 0; nth < templates; nth++) {
      const team = `team-${nth % 20}`;
      mkdirSync(join(folder, team), { recursive: true });
      writeFileSync(join(folder, team, `t${nth}.yaml`), templateOf(nth, team), { mode: 0o644 });
    }
    const loads: Load[] = [];
    let policy: SitePolicy | undefined;
    for (let times = 0; times < tries[size]; times++) {
      const [began, used] = [performance.now(), process.cpuUsage()];
      policy = await subject.load(folder);
      const { user, system } = process.cpuUsage(used);
      loads.push({ wall: performance.now() - began, processor: (user + system) / 1_000 });
    }
    if (policy?.templates.size !== templates) throw new Error(`${policy?.templates.size} templates were loaded`);
    return { loads, policy };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** As a company has them: each for a repository of its own, four of ten with more to them. */
function templateOf(nth: number, team: string): string {
  const more = nth % 5 < 2;
  return `# yaml-language-server: $schema=../../docs/schema/template.schema.json
version: 1
template: ${team}/t${nth}
owner: ${team}
who:
  issuer: ci
  repository_id: "${519_000_000 + nth}"
  trust: protected
  ref: "refs/heads/${more ? "release/*" : "main"}"
${more ? '  not: { event_name: [schedule, workflow_run] }\n  any: [{ environment: production }, { event_name: push, actor_id: ["1001", "1002"] }]\nwhen: { days: mon-sun, hours: "00:00-24:00", zone: Europe/Berlin }\n' : ""}credentials:
  db: { provider: vault-main, path: database/creds/shop-${nth}, ttl: 10m }
  api: { provider: broker, kind: jwt, audience: "https://api-${nth}.example.com", ttl: 5m }
steps:
  migrate: { run: [npm, run, migrate], credentials: [db], network: ["db.example.com:5432"], workspace: read-only }
  ship: { run: [./ship.sh], credentials: [api], network: [api.example.com], workspace: read-only }
sandbox: { memory: 1GiB, timeout: 20m, env: { pass: [CI, "GITHUB_RUN_*"] } }
`;
}

const asks = 20_000;

/** The 99th percentile over a mixture of grants and denials, warm, each decision timed by itself. */
function measuredDecisions(policy: SitePolicy, { subject, random, size }: Trial): readonly number[] {
  const made = Array.from({ length: asks }, () => askOf(random));
  const granted = made.filter((ask) => subject.decide(policy, ask).kind === "granted").length;
  if (granted < asks / 10 || granted > asks * 0.9)
    throw new Error(`${granted} of ${asks} asks are granted, which is no mixture`);
  return Array.from({ length: tries[size] }, () => {
    const times = made.map((ask) => {
      const began = performance.now();
      subject.decide(policy, ask);
      return performance.now() - began;
    });
    return times.toSorted((a, b) => a - b)[Math.floor(asks * 0.99)] ?? 0;
  });
}

function askOf(random: Random): Ask {
  const nth = Math.floor(random() * templates * 1.1);
  const identity = identityWith(
    {
      repository_id: String(519_000_000 + nth),
      ref: pick(random, ["refs/heads/main", "refs/heads/release/7", "refs/heads/main-evil"]),
      event_name: pick(random, ["push", "push", "schedule"]),
      environment: pick(random, ["production", "production", "staging"]),
      ref_type: "branch",
      run_id: "77",
      run_attempt: "1",
      job_workflow_ref: "octo/shop/.github/workflows/release.yml@refs/heads/main",
    },
    { trust: pick(random, ["protected", "protected", "branch"] as const) },
  );
  const template = random() < 0.5 ? undefined : `team-${nth % 20}/t${nth}`;
  return {
    identity,
    template,
    step: pick(random, ["migrate", "ship"]),
    command: [],
    now: Date.UTC(2026, 10, 23) + Math.floor(random() * 864e5),
  };
}

const longest = 8_192;

/** Patterns that make a careless matcher try every way, each with the value that makes it try hardest, as long as globs and values can be. */
function hardest(): readonly (readonly [string, string])[] {
  const longestGlob = 256;
  const full = (piece: string, end: string, most: number): string =>
    piece.repeat(Math.floor((most - end.length) / piece.length)) + end;
  const pairs = [
    ["*a", "b", "a", "c"],
    ["a*", "b", "a", ""],
    ["a*", "", "a", ""],
    ["aa*", "b", "a", ""],
    ["*ab", "*c", "ab", ""],
    ["*/", "x", "a/", "y"],
    ["*:", "**", ":", ""],
    ["a/", "**", "a/", ""],
    ["-x*", "", "-x", ""],
    ["*é", "", "é", ""],
    ["*\uD83D\uDE00", "x", "\uD83D\uDE00", ""],
    ["*\u0301", "x", "\u0301", ""],
  ] as const;
  const repeated = pairs.map(
    ([piece, end, value, last]) => [full(piece, end, longestGlob), full(value, last, longest)] as const,
  );
  const blocks = [1, 4, 60, 120].map((size) => [`*${"a".repeat(size)}*${"a".repeat(size)}b*`, full("a", "", longest)] as const);
  const plain = ["*", "**", "*a", "*/b", "a*b", "**/"].map((glob) => [glob, full("/", "", longest)] as const);
  return [
    ...repeated,
    ...blocks,
    ...plain,
    ["a".repeat(longest), full("a", "", longest)],
    [`${"a".repeat(250)}*`, full("a", "", longest)],
  ];
}

/** For each try, the pattern that took longest of all. Where one is not taken by the language, nobody can write it. */
function measuredPatterns({ random, size }: Trial, wrong: Wrong): readonly number[] {
  const alphabet = [..."aab*/:."];
  const made = Array.from({ length: 300 }, (): readonly [string, string] => [
    Array.from({ length: 1 + Math.floor(random() * 250) }, () => pick(random, alphabet)).join(""),
    Array.from({ length: longest }, () => pick(random, ["a", "a", "b", "/", ":", "."])).join(""),
  ]);
  const read = [...hardest(), ...made].flatMap(([text, value]) => {
    const pattern = readPattern(text);
    return pattern.kind === "pattern" ? [{ pattern: pattern.pattern, value }] : [];
  });
  if (read.length < 50) wrong.add("too few patterns", () => String(read.length));
  const measures = Array.from({ length: tries[size] + 2 }, () =>
    read.map(({ pattern, value }) => {
      const began = performance.now();
      accepts(pattern, value);
      return performance.now() - began;
    }),
  );
  // The first turns warm it; what another program took from one measure does not count against the pattern, so each pattern's own best does.
  const warm = measures.slice(2);
  const worst = Math.max(...read.map((_, nth) => Math.min(...warm.map((turn) => turn[nth] ?? 0))));
  return [worst, ...warm.map((turn) => Math.max(...turn))];
}
