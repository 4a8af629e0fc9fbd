import { readFileSync } from "node:fs";
import { relative } from "node:path";
import type { Reporter, SerializedError, TestCase, TestModule, TestSuite, Vitest } from "vitest/node";

/** A skip that may happen although servers are required, because some hosts cannot run the thing at all. */
interface AllowedSkip {
  /** What the test's reason begins with. */
  readonly reason: string;
  readonly because: string;
}

/**
 * Closes the run with one plain line, `N passed, N failed, N skipped`, and names every skip with its reason. What did not
 * run proves nothing: where `MAYFLY_REQUIRE_SERVERS=1`, a skip that `test/allowed-skips.json` does not know is a failure.
 */
export default class ClosingLine implements Reporter {
  #filtered = false;

  onInit(vitest: Vitest): void {
    this.#filtered = vitest.config.testNamePattern !== undefined;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const skips = tests.filter((test) => test.result().state === "skipped");
    const unexpected = process.env["MAYFLY_REQUIRE_SERVERS"] === "1" ? skips.filter((test) => !isAllowed(test)) : [];
    const expected = skips.filter((test) => !unexpected.includes(test));
    if (!this.#filtered) for (const skip of expected) say(`skipped: ${place(skip)}: ${reasonOf(skip)}`);
    for (const skip of unexpected) say(`failed: ${place(skip)}: skipped, but MAYFLY_REQUIRE_SERVERS=1 allows no such skip`);

    const passed = tests.filter((test) => test.result().state === "passed").length;
    const failed = tests.filter((test) => test.result().state === "failed").length + brokenSetups(modules) + unhandled.length;
    if (failed + unexpected.length > 0) process.exitCode = 1;
    say(`${passed} passed, ${failed + unexpected.length} failed, ${expected.length} skipped`);
  }
}

/** Files and suites that broke outside of any test: their tests never ran, so they count as one failure each. */
function brokenSetups(modules: readonly TestModule[]): number {
  const places = modules.flatMap((module): (TestModule | TestSuite)[] => [module, ...module.children.allSuites()]);
  return places.filter((place) => place.errors().length > 0).length;
}

function reasonOf(test: TestCase): string {
  const result = test.result();
  return (result.state === "skipped" && result.note) || "no reason given";
}

function isAllowed(test: TestCase): boolean {
  return allowedSkips().some((allowed) => reasonOf(test).startsWith(allowed.reason));
}

function allowedSkips(): readonly AllowedSkip[] {
  return JSON.parse(readFileSync(new URL("allowed-skips.json", import.meta.url), "utf8")) as readonly AllowedSkip[];
}

function place(test: TestCase): string {
  return `${relative(process.cwd(), test.module.moduleId)} > ${test.fullName}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
