import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { rules } from "../../../src/policy/lint/rules.ts";
import { problemText } from "../../../src/policy/problem.ts";
import { checked, example, goodTemplates } from "./site.ts";

const said = (files: readonly string[]) => checked(files).map((problem) => `[${problem.rule}] ${problemText(problem)}`);

describe("every rule has an example", () => {
  it("of its name, and no example is another's", () => {
    expect(readdirSync(`${import.meta.dirname}/examples`).toSorted()).toEqual(rules.map(({ name }) => name).toSorted());
    expect(rules.length).toBeGreaterThanOrEqual(30);
  });

  it.each(rules.map(({ name, level }) => [name, level] as const))(
    "%s: the bad one is found by it and by nothing else",
    (name, level) => {
      const problems = checked(example(name, "bad"));
      expect(new Set(problems.map(({ rule }) => rule)), said(example(name, "bad")).join("\n")).toEqual(new Set([name]));
      for (const problem of problems) {
        expect(problem).toMatchObject({
          level,
          file: "bad.yaml",
          message: expect.stringMatching(/^[^A-Z].*[^.]$|^\w/),
          fix: expect.any(String),
        });
        expect(problem.line).toBeGreaterThan(0);
      }
    },
  );

  it.each(rules.map(({ name }) => [name]))("%s: in the good one there is nothing to find", (name) => {
    expect(existsSync(example(name, "good")[0] ?? "")).toBe(true);
    expect(said(example(name, "good"))).toEqual([]);
  });
});

describe("good templates", () => {
  it("are twenty at least", () => {
    expect(goodTemplates.length).toBeGreaterThanOrEqual(20);
  });

  it.each(goodTemplates.map((file) => [file.slice(file.lastIndexOf("/") + 1), file] as const))(
    "%s: nothing is found in it",
    (_, file) => {
      const base = goodTemplates.filter((other) => other.endsWith("/base-library.yaml"));
      const child = goodTemplates.filter((other) => other.endsWith("/child-of-base.yaml"));
      expect(said([...new Set([file, ...base, ...child])])).toEqual([]);
    },
  );

  it("all of them together: nothing is found either", () => {
    expect(said(goodTemplates)).toEqual([]);
  });
});
