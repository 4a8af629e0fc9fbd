import { describe, expect, test } from "vitest";
import { bytesText, roomyBytes, roomyDuration, spanText } from "../../../src/policy/suggest/figures.ts";
import {
  type Contained,
  longestRun,
  longestUse,
  peakMemory,
  type RunSeen,
  usageOf,
} from "../../../src/policy/suggest/usage.ts";

const minute = 60_000;
const noon = Date.UTC(2026, 5, 1, 12);

export function aRun(parts: Partial<RunSeen> = {}): RunSeen {
  return {
    run: "run-1",
    session: "ses-1",
    template: "deploy",
    step: "ship",
    opened: noon,
    ended: { at: noon + 3 * minute, outcome: "exited", exitCode: 0, peakMemory: 100 * 2 ** 20 },
    asker: { issuer: "github", workload: "github:1", job: "github:1:1", trust: "protected", event: "push" },
    credentials: [{ name: "db", provider: "vault-main", issuedAt: noon + minute }],
    egress: [],
    ...parts,
  };
}

const asker = { issuer: "github", workload: "github:1", job: "github:1:1", trust: "protected", event: "push" } as const;
const ended = { at: noon + minute, outcome: "exited", exitCode: 0, peakMemory: undefined } as const;
const nothing: Contained = { scopes: new Set(), sessions: new Set() };
const closed = (...scopes: readonly string[]): Contained => ({ scopes: new Set(scopes), sessions: new Set() });

describe("a run counts as evidence", () => {
  const rows: readonly (readonly [string, RunSeen, Contained, string | undefined])[] = [
    ["that ended well", aRun(), nothing, undefined],
    ["of a branch", aRun({ asker: { ...asker, trust: "branch" } }), nothing, undefined],
    ["though somebody else was contained", aRun(), closed("workload:github:2", "template:other"), undefined],
    ["not of a pull request", aRun({ asker: { ...asker, trust: "pull_request" } }), nothing, "untrusted"],
    ["not of a fork", aRun({ asker: { ...asker, trust: "fork" } }), nothing, "untrusted"],
    ["not of whom nothing is known", aRun({ asker: { ...asker, trust: "unknown" } }), nothing, "untrusted"],
    ["not without its claims", aRun({ asker: undefined }), nothing, "without claims"],
    ["not while it runs", aRun({ ended: undefined }), nothing, "unended"],
    ["not if it failed", aRun({ ended: { ...ended, exitCode: 1 } }), nothing, "failed"],
    ["not if it was cut short", aRun({ ended: { ...ended, outcome: "timeout", exitCode: 137 } }), nothing, "failed"],
    ["not if nobody saw its end", aRun({ ended: { ...ended, outcome: "lost", exitCode: undefined } }), nothing, "failed"],
    ["not if its session was contained", aRun(), { scopes: new Set(), sessions: new Set(["ses-1"]) }, "contained"],
    ...[
      "all",
      "issuer:github",
      "workload:github:1",
      "job:github:1:1",
      "session:ses-1",
      "template:deploy",
      "provider:vault-main",
    ].map((scope) => [`not if ${scope} was contained`, aRun(), closed(scope), "contained"] as const),
    ["not if it was untrusted and contained", aRun({ asker: { ...asker, trust: "fork" } }), closed("all"), "contained"],
  ];
  test.each(rows)("%s", (_, run, contained, why) => {
    const usage = usageOf([run], contained);
    expect(usage.seen).toBe(1);
    expect([...usage.leftOut]).toEqual(why === undefined ? [] : [[why, 1]]);
    expect(usage.counted).toEqual(why === undefined ? [run] : []);
    expect([...usage.used.steps, ...usage.used.credentials]).toEqual(["ship", "db"]);
  });
});

describe("the most that was used", () => {
  const runs = [
    aRun({ run: "run-1" }),
    aRun({ run: "run-2", ended: { ...ended, at: noon + 5 * minute, peakMemory: 7 } }),
    aRun({
      run: "run-3",
      credentials: [{ name: "db", provider: "vault-main", issuedAt: undefined }],
      ended: { ...ended, at: noon + 9 * minute },
    }),
  ];

  test("of a credential's life is counted from its issuing, where it was issued", () => {
    expect(longestUse(runs, "db")).toEqual({ runs: 2, run: "run-2", most: 4 * minute });
    expect(longestUse(runs, "other")).toBeUndefined();
  });

  test("of a run's length and memory, of those that say", () => {
    expect(longestRun(runs)).toEqual({ runs: 3, run: "run-3", most: 9 * minute });
    expect(peakMemory(runs)).toEqual({ runs: 2, run: "run-1", most: 100 * 2 ** 20 });
  });
});

describe("a figure with its margin", () => {
  test.each([
    [1, minute * 2],
    [minute, 2 * minute],
    [192_000, 5 * minute],
    [10 * minute, 15 * minute],
    [17 * 60 * minute, 26 * 60 * minute],
  ])("of %d ms is %d ms", (used, roomy) => {
    expect(roomyDuration(used)).toBe(roomy);
  });

  test.each([
    [1, "128MiB"],
    [100 * 2 ** 20, "256MiB"],
    [2 ** 30, "1536MiB"],
    [13 * 2 ** 30, "20GiB"],
  ])("of %d bytes is %s", (used, roomy) => {
    expect(bytesText(roomyBytes(used))).toBe(roomy);
  });

  test.each([
    [1, "1s"],
    [192_000, "3m12s"],
    [60_000, "1m00s"],
    [3_900_000, "1h05m"],
  ])("%d ms is said as %s", (span, text) => {
    expect(spanText(span)).toBe(text);
  });
});
