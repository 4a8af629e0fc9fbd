import type { Trust } from "../../identity/identity.ts";
import type { Duration, Instant } from "../../time.ts";

/** A run as the ledger tells of it, from its opening to its end. */
export interface RunSeen {
  readonly run: string;
  readonly session: string;
  readonly template: string;
  readonly step: string | undefined;
  readonly opened: Instant;
  /** Undefined where it still runs. */
  readonly ended: Ended | undefined;
  /** Undefined where its claims are not on record. */
  readonly asker: Asker | undefined;
  readonly credentials: readonly {
    readonly name: string;
    readonly provider: string;
    /** Undefined where its provider gave none. */
    readonly issuedAt: Instant | undefined;
  }[];
  readonly egress: readonly Reached[];
}

export interface Ended {
  readonly at: Instant;
  readonly outcome: string;
  readonly exitCode: number | undefined;
  /** Bytes; undefined where the host did not say. */
  readonly peakMemory: number | undefined;
}

export interface Asker {
  readonly issuer: string;
  readonly workload: string;
  readonly job: string;
  readonly trust: Trust;
  /** What started the CI job, where its issuer says that. */
  readonly event: string | undefined;
}

export interface Reached {
  readonly host: string;
  readonly port: number;
  /** Whether its template lists it; what it does not was only watched. */
  readonly allowed: boolean;
}

/** What access was taken away from, and which sessions ended by it. */
export interface Contained {
  readonly scopes: ReadonlySet<string>;
  readonly sessions: ReadonlySet<string>;
}

/** Why a run that was seen is no evidence of what a template needs. */
export type LeftOut = "contained" | "untrusted" | "failed" | "unended" | "without claims";

export interface Usage {
  readonly seen: number;
  readonly leftOut: ReadonlyMap<LeftOut, number>;
  /** The runs that count as evidence. */
  readonly counted: readonly RunSeen[];
  /** Of any run that was seen, whether it counts or not. */
  readonly used: { readonly steps: ReadonlySet<string>; readonly credentials: ReadonlySet<string> };
}

export function usageOf(runs: readonly RunSeen[], contained: Contained): Usage {
  const sorted = runs.map((run) => ({ run, why: leftOut(run, contained) }));
  const out = sorted.flatMap(({ why }) => (why === undefined ? [] : [why]));
  return {
    seen: runs.length,
    leftOut: tallied(out),
    counted: sorted.flatMap(({ run, why }) => (why === undefined ? [run] : [])),
    used: {
      steps: new Set(runs.flatMap(({ step }) => step ?? [])),
      credentials: new Set(runs.flatMap(({ credentials }) => credentials.map(({ name }) => name))),
    },
  };
}

/**
 * An attacker's run must not shape a template, nor may one that was cut short: it would look as if little were needed. Anything but
 * `protected` and `branch` is somebody's whom the CI system does not vouch for.
 */
function leftOut(run: RunSeen, contained: Contained): LeftOut | undefined {
  const { asker, ended } = run;
  if (asker === undefined) return "without claims";
  if (contained.sessions.has(run.session) || scopesOf(run, asker).some((scope) => contained.scopes.has(scope)))
    return "contained";
  if (asker.trust !== "protected" && asker.trust !== "branch") return "untrusted";
  if (ended === undefined) return "unended";
  return ended.outcome === "exited" && ended.exitCode === 0 ? undefined : "failed";
}

/** Everything by which containment may reach a run. */
function scopesOf({ session, template, credentials }: RunSeen, { issuer, workload, job }: Asker): readonly string[] {
  const providers = credentials.map(({ provider }) => `provider:${provider}`);
  const owners = [`issuer:${issuer}`, `workload:${workload}`, `job:${job}`, `session:${session}`];
  return ["all", ...owners, `template:${template}`, ...providers];
}

export function tallied<T>(values: readonly T[]): ReadonlyMap<T, number> {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

/** The most of something that any of so many runs used. */
export interface Most {
  readonly runs: number;
  readonly most: number;
  readonly run: string;
}

/** How long a credential was needed: from its issuing to the end of its run. */
export function longestUse(runs: readonly RunSeen[], credential: string): Most | undefined {
  return mostOf(runs, ({ credentials, ended }) => {
    const issuedAt = credentials.find(({ name }) => name === credential)?.issuedAt;
    return issuedAt === undefined || ended === undefined ? undefined : ended.at - issuedAt;
  });
}

export function longestRun(runs: readonly RunSeen[]): Most | undefined {
  return mostOf(runs, ({ opened, ended }): Duration | undefined => (ended === undefined ? undefined : ended.at - opened));
}

export function peakMemory(runs: readonly RunSeen[]): Most | undefined {
  return mostOf(runs, ({ ended }) => ended?.peakMemory);
}

function mostOf(runs: readonly RunSeen[], figure: (run: RunSeen) => number | undefined): Most | undefined {
  const figures = runs.flatMap((run) => {
    const most = figure(run);
    return most === undefined ? [] : [{ run: run.run, most }];
  });
  const [first, ...rest] = figures;
  if (first === undefined) return undefined;
  const top = rest.reduce((a, b) => (b.most > a.most ? b : a), first);
  return { runs: figures.length, ...top };
}
