import { readFileSync } from "node:fs";
import { rules } from "../../../src/policy/lint/rules.ts";
import type { Problem } from "../../../src/policy/problem.ts";
import { example, goodTemplates } from "../../policy/lint/site.ts";
import { type Found, type Trial, Wrong } from "./part.ts";
import { flaws, sound } from "./planted.ts";

/** Each rule's example, flaws planted by somebody else, and good templates in which there is nothing to find. */
export function lint(trial: Trial): Found {
  const wrong = new Wrong(trial);
  for (const { name } of rules) {
    const [bad, good] = [found(trial, example(name, "bad")), found(trial, example(name, "good"))];
    if (!bad.some(({ rule }) => rule === name)) wrong.add("examples not flagged", () => name);
    if (good.length > 0) wrong.add("false flags", () => `${name}'s good example: ${good[0]?.rule}: ${good[0]?.message}`);
  }
  plantedFlaws(trial, wrong);
  const goods = [...goodTemplates.map((file) => [file]), goodTemplates];
  for (const files of goods) {
    const [first] = found(trial, [
      ...new Set([...files, ...goodTemplates.filter((file) => /(?:base-library|child-of-base)\.yaml$/.test(file))]),
    ]);
    if (first !== undefined)
      wrong.add(
        "false flags",
        () => `${files.length === 1 ? files[0] : "all of them together"}: ${first.rule}: ${first.message}`,
      );
  }
  if (rules.length < 30 || goodTemplates.length < 20)
    wrong.add("too few", () => `${rules.length} rules, ${goodTemplates.length} good templates`);
  const [missed, false_] = [wrong.count("planted flaws not flagged", "planted flaws in force"), wrong.count("false flags")];
  return {
    claim: `${rules.length - wrong.count("examples not flagged")} of ${rules.length} lint rules flag their example, ${flaws.length - missed} of ${flaws.length} planted flaws flagged, ${false_} false flags on ${goodTemplates.length + rules.length + 1} good templates`,
    held: wrong.count() === 0,
    figures: {
      lintRules: rules.length,
      plantedFlaws: flaws.length,
      plantedFlawsMissed: missed,
      goodTemplates: goodTemplates.length + rules.length + 1,
      falseFlags: false_,
    },
  };
}

function found({ subject }: Trial, files: readonly string[]): readonly Problem[] {
  return subject.check(
    files.map((file) => ({ file: file.slice(file.lastIndexOf("/") + 1), text: readFileSync(file, "utf8") })),
  );
}

function plantedFlaws({ subject }: Trial, wrong: Wrong): void {
  const [first] = subject.check([{ file: "planted.yaml", text: sound }]);
  if (first !== undefined) wrong.add("false flags", () => `the sound template: ${first.rule}: ${first.message}`);
  for (const { name, outcome, text, beside } of flaws) {
    const sources = [{ file: "planted.yaml", text }, ...(beside === undefined ? [] : [{ file: "beside.yaml", text: beside }])];
    const problems = subject.check(sources);
    if (problems.length === 0) wrong.add("planted flaws not flagged", () => name);
    else if (outcome === "refused" && problems.every(({ level }) => level === "advice"))
      wrong.add("planted flaws in force", () => `${name}: only ${problems[0]?.rule}`);
  }
}
