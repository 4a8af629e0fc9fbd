import type { Difference } from "../policy/replay/replay.ts";
import { footing } from "../policy/suggest/suggest.ts";
import { fewestRuns, type Point, runsText } from "../policy/suggest/suggestion.ts";
import type { Usage } from "../policy/suggest/usage.ts";
import type { Instant } from "../time.ts";

export interface Suggested {
  readonly name: string;
  readonly file: string;
  readonly since: Instant;
  readonly span: string;
  readonly usage: Usage;
  readonly points: readonly Point[];
  /** Empty where nothing could be narrower. */
  readonly diff: string;
  /** How the counted runs come out with the narrower template; undefined where there is none. */
  readonly kept: { readonly runs: number; readonly lost: readonly Difference[]; readonly changedSince: number } | undefined;
}

/** The evidence, then the diff: patch(1) and `git apply` pass over what stands before it. */
export function suggestedLines(suggested: Suggested): readonly string[] {
  const { diff, points, usage } = suggested;
  const few = usage.counted.length < fewestRuns;
  return [
    ...seenLines(suggested),
    ...(few ? [`too few to suggest anything: at least ${fewestRuns} runs must count`] : []),
    ...points.map(pointLine),
    ...(few ? [] : footing.map((line) => `note: ${line}`)),
    ...keptLines(suggested),
    ...(diff === "" ? (few ? [] : [`nothing to change in ${suggested.file}`]) : ["", ...diff.trimEnd().split("\n")]),
  ];
}

export function suggestedJson({ name, file, since, usage, points, diff, kept }: Suggested): unknown {
  return {
    template: name,
    file,
    since: new Date(since).toISOString(),
    seen: usage.seen,
    counted: usage.counted.length,
    leftOut: Object.fromEntries(usage.leftOut),
    enough: usage.counted.length >= fewestRuns,
    points: points.map(({ key, evidence, before = null, after = null }) => ({ key, evidence, before, after })),
    notes: footing,
    diff,
    kept: kept ?? null,
  };
}

function seenLines({ name, file, span, usage: { seen, counted, leftOut } }: Suggested): readonly string[] {
  const others = [...leftOut].map(([why, count]) => `${count} ${why}`);
  return [
    `template ${name} (${file}): ${runsText(seen)} in the last ${span}, of which ${counted.length} count as evidence`,
    ...(others.length === 0 ? [] : [`left out: ${others.join(", ")}`]),
  ];
}

function pointLine({ key, evidence, before, after }: Point): string {
  const step = before === undefined || after === undefined ? "" : `${before} -> ${after}  `;
  return `  ${key}: ${step}(${evidence})`;
}

function keptLines({ kept }: Suggested): readonly string[] {
  if (kept === undefined) return [];
  const { runs, lost, changedSince } = kept;
  return [
    lost.length === 0
      ? `the narrower template compiles, and was decided again for all ${runsText(runs)}: each is granted as before`
      : `NOT FOR USE: with the narrower template ${lost.length} things would come out otherwise than narrower:`,
    ...lost.map(({ kind, what, count, example }) => `  ${kind}: ${what}, ${runsText(count)}, such as ${example.id}`),
    ...(changedSince === 0
      ? []
      : [`${runsText(changedSince)} that counted would be denied by today's templates already: these have changed since`]),
  ];
}
