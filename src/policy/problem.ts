import { BrokerError } from "../errors.ts";
import { printable } from "../printable.ts";

/**
 * What is wrong with a template. `error`: never loads. `risk`: loads only where the template accepts it by the rule's name, with a
 * reason. `advice`: loads; `mayfly check` says it, and fails on it with `--strict`.
 */
export type Level = "error" | "risk" | "advice";

/** Something in the templates that does not load, or should not be so. */
export interface Problem {
  /** A rule of `lint/rules.ts`, or `invalid` for what is not the language at all. */
  readonly rule: string;
  readonly level: Level;
  readonly file: string;
  /** From 1; 0 where the problem is the file itself. */
  readonly line: number;
  /** `who.repository_id`; empty where it is the whole file. */
  readonly key: string;
  readonly message: string;
  /** What to write instead. */
  readonly fix: string | undefined;
}

/** `deploy.yaml:7: who.repository_id: a number; write it in quotes: "519283746"`. One line, whatever a file, a key or a value is called. */
export function problemText(problem: Problem): string {
  const place = problem.line === 0 ? problem.file : `${problem.file}:${problem.line}`;
  const text = [place, problem.key, problem.message].filter((part) => part !== "").join(": ");
  return printable(problem.fix === undefined ? text : `${text}; ${problem.fix}`);
}

/**
 * All that keeps the templates from loading, at once. Their text is the operator's own, and `policy-invalid` is only ever said to operators.
 */
export function policyInvalid(found: readonly Problem[]): BrokerError {
  const problems = found.filter(({ level }) => level !== "advice");
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return new BrokerError("policy-invalid", `${count} in the templates:\n${problems.map(problemText).join("\n")}`, {
    hint: "`mayfly check` lists them without starting a broker",
  });
}
