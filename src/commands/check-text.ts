import { rules, themes } from "../policy/lint/rules.ts";
import { type Level, type Problem, problemText } from "../policy/problem.ts";
import { type Line, numbered } from "./output.ts";

/** What `check` exits with where it could look, and what it saw is not good; as diff(1) says that two things differ. */
export const wanting = 1;

const levels = ["error", "risk", "advice"] as const satisfies readonly Level[];

/** One line each, in the order of the files and their lines, with an empty line between two files. */
export function problemLines(problems: readonly Problem[]): readonly Line[] {
  const sorted = problems.toSorted((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1));
  return sorted.flatMap((problem, index) => {
    const { level, rule, file } = problem;
    const line = { text: problemText(problem), tag: `[${level}: ${rule}]`, colour: colours[level] };
    return index > 0 && sorted[index - 1]?.file !== file ? ["", line] : [line];
  });
}

/** `1 error, 2 risks, 3 advice` */
export function countsOf(problems: readonly Problem[]): string {
  return levels
    .map((level) => ({ level, count: problems.filter((problem) => problem.level === level).length }))
    .filter(({ count }) => count > 0)
    .map(({ level, count }) => (level === "advice" ? `${count} advice` : numbered(count, level)))
    .join(", ");
}

/** Every rule by its theme, for people. */
export function ruleLines(): readonly string[] {
  const width = Math.max(...rules.map(({ name }) => name.length));
  return themes.flatMap(({ title, rules: of }, index) => [
    ...(index === 0 ? [] : [""]),
    title,
    ...of.map(({ name, level, says }) => `  ${name.padEnd(width)}  ${level.padEnd(6)}  ${says}`),
  ]);
}

export function rulesAsData(): unknown {
  return themes.flatMap(({ title, rules: of }) =>
    of.map(({ name, level, says, fix }) => ({ rule: name, level, theme: title, says, fix })),
  );
}

const colours = { error: "31", risk: "33", advice: "36" } as const satisfies Readonly<Record<Level, string>>;
