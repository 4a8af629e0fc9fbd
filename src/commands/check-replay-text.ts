import type { ChangeKind } from "../policy/replay/change.ts";
import { changeKinds } from "../policy/replay/change.ts";
import type { Difference, ReplayReport } from "../policy/replay/replay.ts";
import type { Instant } from "../time.ts";
import { numbered } from "./output.ts";
import type { Tally } from "./requests.ts";

export interface Replayed {
  readonly span: string;
  readonly since: Instant;
  readonly policy: string;
  readonly tally: Tally;
  /** Why a stored policy does not compile any more, by its digest. */
  readonly failed: ReadonlyMap<string, string>;
  readonly report: ReplayReport;
}

const heads: Readonly<Record<ChangeKind, string>> = {
  "newly-allowed": "NEWLY ALLOWED",
  widened: "WIDENED",
  lengthened: "LENGTHENED",
  "other-command": "OTHER COMMAND",
  "newly-denied": "NEWLY DENIED",
  "other-template": "another template",
  "cannot-tell": "CANNOT TELL",
  narrowed: "narrowed",
};

/** For a person: what a reviewer must not miss first, then what was compared and what could not be. */
export function replayLines(replayed: Replayed): readonly string[] {
  const { report } = replayed;
  const sections = changeKinds.flatMap((kind) => {
    const found = report.differences.filter((difference) => difference.kind === kind);
    return found.length === 0 ? [] : [`${heads[kind]}:`, ...found.flatMap(differenceLines)];
  });
  return [...sections, ...summary(replayed)];
}

/** Requests of which nobody can say what becomes of them: those that were decided again in vain, and those that could not be. */
export function untold({ report, tally }: Pick<Replayed, "report" | "tally">): number {
  return report.cannotTell + tally.withoutClaims;
}

/** Undefined where everything could be told. */
export function untoldText(replayed: Replayed): string | undefined {
  const count = untold(replayed);
  if (count === 0) return undefined;
  return `${numbered(count, "request")} of the last ${replayed.span} cannot be compared, so this does not show that nothing would change`;
}

const longestShown = 160;

function differenceLines({ workload, template, step, what, count, example }: Difference): readonly string[] {
  const { id, time, before, after } = example;
  const words = [before, after].flatMap((text) => (text === undefined ? [] : [clipped(text)]));
  const of = [workload, ...(template === "" ? [] : [`template ${template}`]), ...(step === undefined ? [] : [`step ${step}`])];
  return [
    `  ${numbered(count, "request")} of ${of.join(", ")}: ${clipped(what)}`,
    `      such as ${id} of ${new Date(time).toISOString()}${words.length === 0 ? "" : `: ${words.join(" -> ")}`}`,
  ];
}

function clipped(text: string): string {
  return text.length > longestShown ? `${text.slice(0, longestShown)}…` : text;
}

function summary({ span, policy, report, failed, tally }: Replayed): readonly string[] {
  const { requests, unchanged, onlyRecorded, unknown, refused, otherwise } = report;
  const others = Object.entries(refused).map(([code, count]) => `${count} ${code}`);
  return [
    `${numbered(requests, "recorded request")} of the last ${span}, decided again by policy ${policy}: ${unchanged} unchanged`,
    ...said(onlyRecorded, "compared by their recorded outcome alone, since their own policy does not compile any more"),
    ...[...failed].map(([digest, why]) => `    policy ${digest.slice(0, 12)}: ${clipped(why)}`),
    ...said(unknown, "not compared: neither their policy nor what it said of them can be had"),
    ...(others.length === 0
      ? []
      : [`  refused for other reasons than templates, which alone were compared: ${others.join(", ")}`]),
    ...said(
      otherwise.count,
      "decided otherwise by their own policy today than was recorded (a change of mayfly.yaml, or a last word)",
    ),
    ...otherwise.examples.map(({ id, recorded, today }) => `    ${id}: recorded as ${recorded}; today ${today}`),
    ...said(tally.withoutClaims, "not compared: their claims are not on record"),
    ...said(tally.strangers + tally.counted, "denials without a verified identity, or of a flood: these are no requests"),
  ];
}

function said(count: number, what: string): readonly string[] {
  return count === 0 ? [] : [`  ${count} ${what}`];
}
