import type { Verdict } from "../policy/cases/verdict.ts";
import { traceLines } from "../policy/explain.ts";
import { type Problem, problemText } from "../policy/problem.ts";
import type { Io } from "./io.ts";
import { numbered, print, printJson, say } from "./output.ts";

/** What came of a folder's tests. */
export interface TestRun {
  readonly verdicts: readonly Verdict[];
  readonly problems: readonly Problem[];
  /** Templates that no test expects to be granted, by name. */
  readonly untested: readonly string[];
}

/** One line for each thing that is not as expected, then the lines of `who` that show why; the summary comes last. */
export function reportTests(io: Io, run: TestRun, json: boolean): void {
  const { verdicts, problems, untested } = run;
  const failed = verdicts.filter(({ differences }) => differences.length > 0);
  const counts = { tests: verdicts.length, passed: verdicts.length - failed.length, failed: failed.length };
  if (json) {
    const ok = failed.length === 0 && problems.length === 0 && verdicts.length > 0;
    printJson(io, { ok, ...counts, untested, problems, results: verdicts.map(resultOf) });
    return;
  }
  print(io, ...problems.map(problemText));
  print(io, ...failed.flatMap(failureLines));
  print(io, `${numbered(counts.tests, "test")}, ${counts.passed} passed, ${counts.failed} failed`);
  if (untested.length > 0) print(io, `no test expects a grant of ${untested.join(", ")}`);
  if (verdicts.length === 0 && problems.length === 0)
    say(io, "hint: write NAME.test.yaml beside NAME.yaml; `mayfly init` makes both");
}

function resultOf({ test, differences, trace }: Verdict): unknown {
  const { file, line, it } = test;
  return { file, line, it, passed: differences.length === 0, differences, trace: differences.length === 0 ? [] : trace };
}

/** What the lines of `who` explain. */
const ofWho: readonly string[] = ["granted", "denied", "claim"];

function failureLines({ test, differences, trace }: Verdict): readonly string[] {
  const { file, line, it } = test;
  const lines = differences.map(
    ({ key, expected, found }) => `${file}:${line}: ${it}: ${key}: expected ${expected}, found ${found}`,
  );
  const traces = differences.some(({ key }) => ofWho.includes(key)) ? trace.flatMap(traceLines) : [];
  return [...lines, ...traces.map((one) => `  ${one}`)];
}
