import { defineConfig } from "vitest/config";

/** Their tests change nothing that the next file would see, so one process and one copy of the source serves all of these files. */
const pure = ["test/identity/**/*.test.ts", "test/masking/**/*.test.ts", "test/policy/{*,!(opa)/**/*}.test.ts"];

export default defineConfig({
  test: {
    globalSetup: ["test/this-run.ts"],
    pool: "forks",
    // One more than a small machine has processors: many tests only wait.
    maxWorkers: 3,
    // Real servers and sandboxes start in tests and hooks; a pure test that takes this long is broken anyway.
    testTimeout: 20_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    reporters: ["default", "./test/reporter.ts"],
    // A test that is alone in its file by `.only` would make all others pass by silence.
    allowOnly: false,
    passWithNoTests: false,
    projects: [
      { extends: true, test: { name: "pure", include: pure, isolate: false } },
      {
        extends: true,
        test: {
          name: "whole",
          include: ["test/**/*.test.ts"],
          exclude: pure,
          setupFiles: ["test/compiled-threads.ts"],
        },
      },
    ],
  },
});
