import { BrokerError } from "../errors.ts";

/** Something in the templates that does not load. */
export interface Problem {
  readonly file: string;
  /** From 1; 0 where the problem is the file itself. */
  readonly line: number;
  /** `who.repository_id`; empty where it is the whole file. */
  readonly key: string;
  readonly message: string;
  /** What to write instead. */
  readonly fix: string | undefined;
}

/** `deploy.yaml:7: who.repository_id: a number; write it in quotes: "519283746"` */
export function problemText(problem: Problem): string {
  const place = problem.line === 0 ? problem.file : `${problem.file}:${problem.line}`;
  return (
    [place, problem.key, problem.message].filter((part) => part !== "").join(": ") +
    (problem.fix === undefined ? "" : `; ${problem.fix}`)
  );
}

/** All of them at once. The templates' text is the operator's own, and `policy-invalid` is only ever said to operators. */
export function policyInvalid(problems: readonly Problem[]): BrokerError {
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return new BrokerError("policy-invalid", `${count} in the templates:\n${problems.map(problemText).join("\n")}`, {
    hint: "`mayfly check` lists them without starting a broker",
  });
}
