import { describe, expect, test } from "vitest";
import { numbered, print, printJson, say, sayFailure, table } from "../../src/commands/output.ts";
import { BrokerError } from "../../src/errors.ts";
import { problemText } from "../../src/policy/problem.ts";
import { aShell } from "./shell.ts";

const hostile = "x\n::error file=a::\u001B[31mgone\u202E";
const tamed = "x\\u{a}::error file=a::\\u{1b}[31mgone\\u{202e}";

describe("what a command prints", () => {
  test("is one line for each line, whatever a job or a file is called", () => {
    const { io, stdout, stderr } = aShell();
    print(io, `run of ${hostile}`, "next");
    say(io, hostile);
    expect([stdout.text(), stderr.text()]).toEqual([`run of ${tamed}\nnext\n`, `${tamed}\n`]);
  });

  const commands: readonly (readonly [string, string])[] = [
    ["::error::x", "\\u{3a}:error::x"],
    ["  ::add-mask::x", "  \\u{3a}:add-mask::x"],
    ["a ##[error]x", "a \\u{23}#[error]x"],
    ["a ##vso[task.setvariable variable=x]y", "a \\u{23}#vso[task.setvariable variable=x]y"],
    ["acme::shop, ## heading", "acme::shop, ## heading"],
  ];
  test.each(commands)("is no command to the CI system whose log it is in: %s", (line, shown) => {
    const { io, stdout } = aShell();
    print(io, line);
    expect(stdout.text()).toBe(`${shown}\n`);
  });

  test("has our own colours on a terminal alone, and nobody else's", () => {
    const line = { text: hostile, tag: "[error: x]", colour: "31" } as const;
    const [terminal, pipe] = [aShell({ terminal: true }), aShell()];
    print(terminal.io, line);
    print(pipe.io, line);
    expect(terminal.stdout.text()).toBe(`${tamed} \u001B[31m[error: x]\u001B[0m\n`);
    expect(pipe.stdout.text()).toBe(`${tamed} [error: x]\n`);
  });

  test("as JSON is exactly what it is", () => {
    const { io, stdout } = aShell();
    printJson(io, { name: hostile });
    expect(JSON.parse(stdout.text())).toEqual({ name: hostile });
  });

  test("as a table is as wide as what is seen of it", () => {
    expect(table(["NAME", "STATE"], [["a\nb", "live"]])).toEqual(["NAME     STATE", "a\\u{a}b  live"]);
  });

  test("of an error keeps its own lines", () => {
    const { io, stderr } = aShell();
    sayFailure(io, new BrokerError("usage", "two problems:\na: b\u001B[2J", { hint: "look" }));
    expect(stderr.text()).toBe("mayfly: two problems:\na: b\\u{1b}[2J\nhint: look\n");
  });
});

test("a problem is one line, whatever its file and key are called", () => {
  const problem = {
    rule: "invalid",
    level: "error",
    file: hostile,
    line: 3,
    key: "a\nb",
    message: "m",
    fix: "f\u0007",
  } as const;
  expect(problemText(problem)).toBe(`${tamed}:3: a\\u{a}b: m; f\\u{7}`);
});

test.each([
  [0, "0 tests"],
  [1, "1 test"],
  [2, "2 tests"],
])("%d is said as %s", (count, text) => {
  expect(numbered(count, "test")).toBe(text);
});
