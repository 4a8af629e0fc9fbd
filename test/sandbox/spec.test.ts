import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { seccompProfile } from "../../src/sandbox/seccomp.ts";
import { type SpecFacts, specOf } from "../../src/sandbox/spec.ts";

const facts: SpecFacts = {
  root: "/home/root",
  shown: [
    { source: "/home/shown/usr", at: "/usr" },
    { source: "/home/shown/etc-ssl", at: "/etc/ssl" },
  ],
  init: "/home/shown/tini",
  credentials: "/home/jobs/j1/credentials",
  workspace: "/home/trees/j1/workspace",
  ids: { first: 1_879_048_192, workspaceOwner: undefined },
  cgroup: "/mayfly-1-2-3/j1/c",
  seccomp: seccompProfile("x64"),
  limits: { core: 1, openFiles: 65_536, memory: 2 ** 31, scratch: 2 ** 29 },
  environment: { CI: "true", PATH: "/usr/bin" },
  command: ["npm", "test"],
};

/** Our isolation as a runtime reads it. A change here is a change of the sandbox: read it as such, then run with `-u`. */
describe("the page of our isolation", () => {
  it.each(["x64", "arm64"] as const)("is the golden one on %s", async (architecture) => {
    const spec = JSON.stringify(specOf({ ...facts, seccomp: seccompProfile(architecture) }), undefined, 2);
    await expect(`${spec}\n`).toMatchFileSnapshot(`../golden/sandbox-${architecture}.json`);
  });

  it("gives the job's user the workspace owner's id where mounts cannot be mapped, and that id alone", () => {
    const spec = specOf({ ...facts, ids: { first: 100_000, workspaceOwner: { uid: 1001, gid: 1002 } } });
    expect(spec).toMatchObject({
      linux: {
        uidMappings: [
          { containerID: 0, hostID: 100_000, size: 1000 },
          { containerID: 1000, hostID: 1001, size: 1 },
          { containerID: 1001, hostID: 101_001, size: 64_535 },
        ],
        gidMappings: [{ hostID: 100_000 }, { hostID: 1002, size: 1 }, { hostID: 101_001 }],
      },
    });
  });

  it.each([2 ** 24, 2 ** 27, 2 ** 31, 2 ** 36])(
    "keeps all memory file systems together below a memory limit of %i",
    (memory) => {
      const text = JSON.stringify(specOf({ ...facts, limits: { ...facts.limits, memory, scratch: 2 ** 34 } }));
      const sizes = [...text.matchAll(/"size=([0-9]+)(k?)"/g)].map(
        ([, size, unit]) => Number(size) * (unit === "k" ? 1024 : 1),
      );
      expect(sizes.length).toBe(5);
      const withoutDev = sizes.filter((size) => size !== 65_536 * 1024);
      expect(withoutDev.reduce((sum, size) => sum + size, 0)).toBeLessThan(memory);
    },
  );

  it("is the same list of calls on both machines, and lists no call twice", () => {
    const names = seccompProfile("x64").syscalls.flatMap((rule) => (rule.args === undefined ? rule.names : []));
    expect(new Set(names).size).toBe(names.length);
    expect(seccompProfile("arm64").syscalls).toEqual(seccompProfile("x64").syscalls);
  });

  it.each(["unshare", "mount", "ptrace", "bpf", "keyctl", "io_uring_setup", "userfaultfd", "setns", "clone3", "openat2"])(
    "does not allow %s",
    (name) => {
      const allowing = seccompProfile("x64").syscalls.filter(
        (rule) => rule.action === "SCMP_ACT_ALLOW" && rule.names.includes(name),
      );
      expect(allowing).toEqual([]);
    },
  );

  it("names only system calls that a kernel has", ({ skip }) => {
    const headers = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
    if (!existsSync(headers)) skip("this host cannot run this check: it has no kernel headers");
    const header = readFileSync(headers, "utf8");
    const known = new Set([...header.matchAll(/__NR_([a-z0-9_]+)/g)].map(([, name]) => name));
    const newer = ["fchmodat2", "cachestat", "mseal", "futex_wake", "futex_wait", "futex_requeue"];
    const unknown = seccompProfile("x64")
      .syscalls.flatMap((rule) => rule.names)
      .filter((name) => !known.has(name) && !newer.includes(name));
    expect(unknown).toEqual([]);
  });
});
