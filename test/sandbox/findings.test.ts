import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, it } from "vitest";
import { callers, probeHost } from "../../src/commands/doctor.ts";
import { coreDumps, hostFindings, runtimeFinding } from "../../src/sandbox/findings.ts";
import { withoutNoswap } from "../../src/sandbox/memory.ts";
import { systemClock } from "../../src/time.ts";
import { whyNotHere } from "./fixture.ts";

describe("what doctor says", () => {
  it.each<[string, string, string]>([
    ["runc", "1.1.5+ds1", "lacking"],
    ["runc", "1.2.7", "lacking"],
    ["runc", "1.2.8", "good"],
    ["runc", "1.3.2", "lacking"],
    ["runc", "1.3.3", "good"],
    ["runc", "1.4.0", "good"],
    ["runc", "1.5.1", "good"],
    ["runc", "2.0.0", "good"],
    ["runc", "1.0.3", "lacking"],
    ["crun", "1.8.1", "lacking"],
    ["crun", "1.23.1", "lacking"],
    ["crun", "1.24", "good"],
    ["crun", "1.25.1", "good"],
    ["youki", "0.5.5", "good"],
  ])("of %s %s is %s", (name, version, state) => {
    const finding = runtimeFinding({ name, version, path: `/usr/bin/${name}` });
    expect(finding).toMatchObject({ state, found: expect.stringContaining(version) });
    expect(finding.remedy === null).toBe(state === "good");
  });

  it.each<[string, string, bigint, string]>([
    ["a file name", "core", 0n, "good"],
    ["a handler, and a limit of one", "|/usr/share/apport/apport %p", 1n, "good"],
    ["a handler, and a limit of zero", "|/usr/share/apport/apport %p", 0n, "bad"],
  ])("of core dumps to %s", (_, pattern, limit, state) => {
    expect(coreDumps(pattern, limit).state).toBe(state);
  });

  it.each<[string, string | undefined, string, RegExp]>([
    ["whose control group is read", "/system.slice/runner.service", "6.12.9-amd64", /^good: .*runner\.service$/],
    ["of a kernel that does not name them", undefined, "6.4.16", /^lacking: Linux 6\.4\.16 .* \(SO_PEERPIDFD\)$/],
    ["of an older one", undefined, "5.15.0-119-generic", /^lacking: .*SO_PEERPIDFD/],
    ["of a kernel that does, in a group that says nothing", undefined, "6.5.0", /^lacking: .*cannot be read, or says nothing$/],
  ])("of callers %s", (_, cgroup, kernel, said) => {
    const { state, found, remedy } = callers(cgroup, kernel);
    expect(`${state}: ${found}`).toMatch(said);
    expect(remedy ?? "`sessions.bound_to: user`").toContain("`sessions.bound_to: user`");
  });

  it.each<[string, string, string]>([
    ["no swap device", "Filename Type Size Used Priority\n", "no-swap-device"],
    ["a swap device", "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n", "swappable"],
  ])("of memory without noswap, with %s", (_, swaps, expected) => {
    expect(withoutNoswap("0::/none/such/group\n", swaps)).toBe(expected);
  });

  it("is the same set of facts each time", () => {
    expect(hostFindings().map(({ name }) => name)).toEqual([
      "node",
      "kernel",
      "init",
      "user namespaces",
      "core dumps",
      "/dev/null",
    ]);
  });

  const reason = whyNotHere("crun");
  describe("once it has tried", () => {
    beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
    const entry = fileURLToPath(new URL("./sandboxd-entry.ts", import.meta.url));

    it("names the runtime that ran a job, and nothing is bad here", async () => {
      const findings = await probeHost({ program: [process.execPath, entry], config: undefined, clock: systemClock });
      expect(findings.map(({ name }) => name)).toEqual(
        expect.arrayContaining(["callers", "runtime", "limits", "secret memory", "workspace ids", "seccomp"]),
      );
      expect(findings.filter(({ state }) => state === "bad")).toEqual([]);
    });

    it("says so where sandboxd cannot start", async () => {
      const findings = await probeHost({ program: [process.execPath, entry], config: "/none/such.yaml", clock: systemClock });
      expect(findings.at(-1)).toMatchObject({ name: "sandboxd", state: "bad" });
    });

    it("leaves no folder behind", () => {
      expect(spawnSync("sh", ["-c", "ls -d /tmp/mayfly-doctor-* 2>/dev/null"], { encoding: "utf8" }).stdout).toBe("");
    });
  });
});
