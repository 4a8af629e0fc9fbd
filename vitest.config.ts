import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    // Real servers and sandboxes start in tests and hooks; a pure test that takes this long is broken anyway.
    testTimeout: 20_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    reporters: ["default", "./test/reporter.ts"],
    // A test that is alone in its file by `.only` would make all others pass by silence.
    allowOnly: false,
    passWithNoTests: false,
  },
});
