import { rules, themes } from "../policy/lint/rules.ts";
import { type Level, type Problem, problemText } from "../policy/problem.ts";
import type { Io } from "./io.ts";

const levels = ["error", "risk", "advice"] as const satisfies readonly Level[];

/** One line each, in the order of the files and their lines, with an empty line between two files. */
export function problemLines(io: Io, problems: readonly Problem[]): string {
  const sorted = problems.toSorted((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1));
  return sorted
    .map((problem, index) => {
      const apart = index > 0 && sorted[index - 1]?.file !== problem.file ? "\n" : "";
      return `${apart}${problemText(problem)} ${painted(io, problem.level, `[${problem.level}: ${problem.rule}]`)}`;
    })
    .join("\n");
}

/** `1 error, 2 risks, 3 advice` */
export function countsOf(problems: readonly Problem[]): string {
  return levels
    .map((level) => ({ level, count: problems.filter((problem) => problem.level === level).length }))
    .filter(({ count }) => count > 0)
    .map(({ level, count }) => `${count} ${level}${count === 1 || level === "advice" ? "" : "s"}`)
    .join(", ");
}

/** Every rule by its theme, for people. */
export function ruleLines(): string {
  const width = Math.max(...rules.map(({ name }) => name.length));
  return themes
    .map(({ title, rules: of }) =>
      [title, ...of.map(({ name, level, says }) => `  ${name.padEnd(width)}  ${level.padEnd(6)}  ${says}`)].join("\n"),
    )
    .join("\n\n");
}

export function rulesAsData(): unknown {
  return themes.flatMap(({ title, rules: of }) =>
    of.map(({ name, level, says, fix }) => ({ rule: name, level, theme: title, says, fix })),
  );
}

const colours: Readonly<Record<Level, string>> = { error: "31", risk: "33", advice: "36" };

/** Only where a person looks (https://no-color.org). */
function painted(io: Io, level: Level, text: string): string {
  const coloured = io.stdout.isTTY === true && (io.env["NO_COLOR"] ?? "") === "";
  return coloured ? `\u001B[${colours[level]}m${text}\u001B[0m` : text;
}
