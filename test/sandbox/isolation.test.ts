import { describe, expect, it } from "vitest";
import { sandboxConfigSchema } from "../../src/sandbox/config.ts";
import { isolationSchema } from "../../src/sandbox/isolation.ts";

const digest = `sha256:${"0".repeat(64)}`;

describe("a template's sandbox part", () => {
  it("left out, is two gibibytes, two cores, half an hour, and CI alone", () => {
    expect(isolationSchema.parse(undefined)).toEqual({
      memory: 2 ** 31,
      cpus: 2,
      pids: 512,
      timeout: 1_800_000,
      environment: { pass: ["CI"] },
      tolerate: {},
      image: undefined,
      runtimes: undefined,
    });
  });

  it("is read as written", () => {
    const written = {
      env: { pass: ["CI", "GITHUB_*"] },
      memory: "512MiB",
      cpus: 0.5,
      pids: 64,
      timeout: "90s",
      tolerate: { "pids-limit": "an old kernel on the edge hosts" },
      image: `registry.example.com:5000/ci/node_20@${digest}`,
      runtimes: ["crun", "runsc"],
    };
    expect(isolationSchema.parse(written)).toEqual({
      memory: 2 ** 29,
      cpus: 0.5,
      pids: 64,
      timeout: 90_000,
      environment: { pass: ["CI", "GITHUB_*"] },
      tolerate: { "pids-limit": "an old kernel on the edge hosts" },
      image: `registry.example.com:5000/ci/node_20@${digest}`,
      runtimes: ["crun", "runsc"],
    });
  });

  it.each<[string, unknown, string]>([
    ["an image by a short digest", { image: "registry.example.com/node@sha256:0" }, "by its registry and its digest"],
    ["an image by its tag", { image: "registry.example.com/node:20" }, "by its registry and its digest"],
    ["an image by tag and digest", { image: `registry.example.com/node:20@${digest}` }, "by its registry and its digest"],
    ["an image without a registry", { image: `node@${digest}` }, "by its registry and its digest"],
    ["an image with a way up", { image: `registry.example.com/../node@${digest}` }, "by its registry and its digest"],
    ["an image in capitals", { image: `registry.example.com/Node@${digest}` }, "by its registry and its digest"],
    ["an image with a line break", { image: `registry.example.com/node@${digest}\n` }, "by its registry and its digest"],
    ["a runtime by its path", { runtimes: ["/usr/bin/crun"] }, "name a runtime"],
    ["no runtime", { runtimes: [] }, "name at least one runtime"],
    ["memory without a unit", { memory: 1024 }, "1024 has no unit"],
    ["memory in a unit of ten", { memory: "2GB" }, "a whole number and a unit"],
    ["no memory", { memory: "0MiB" }, "a whole number and a unit"],
    ["time without a unit", { timeout: "30" }, "a whole number and a unit"],
    ["no cores", { cpus: 0 }, "Too small"],
    ["half a process", { pids: 20.5 }, "expected int"],
    ["a star within a name", { env: { pass: ["A*B"] } }, "name a variable"],
    ["a name with a blank", { env: { pass: ["A B"] } }, "name a variable"],
    ["a tolerance that is not on the list", { tolerate: { seccomp: "because we like it" } }, "Unrecognized key"],
    ["a tolerance without a reason", { tolerate: { "pids-limit": "" } }, "say why"],
    ["a line that nobody knows", { network: [] }, "Unrecognized key"],
  ])("does not load with %s", (_, written, message) => {
    const { success, error } = isolationSchema.safeParse(written);
    expect(success).toBe(false);
    expect(String(error)).toContain(message);
  });
});

describe("mayfly.yaml's sandbox part", () => {
  it("left out, admits no workspace at all", () => {
    expect(sandboxConfigSchema.parse(undefined)).toMatchObject({
      runtime: "auto",
      workspaces: [],
      jobs: 8,
      uids: { first: 0x7000_0000 },
    });
  });

  it.each<[string, unknown]>([
    ["a relative root", { workspaces: ["work"] }],
    ["the root of everything", { workspaces: ["/"] }],
    ["a root with dots", { workspaces: ["/srv/../etc"] }],
    ["a root with a slash at its end", { workspaces: ["/srv/"] }],
    ["a runtime that nobody knows", { runtime: "docker" }],
    ["the host's own users as jobs' ids", { uids: { first: 1000 } }],
    ["ids that wrap around", { uids: { first: 2 ** 32 - 1 } }],
    ["no job", { jobs: 0 }],
  ])("does not load with %s", (_, written) => {
    expect(sandboxConfigSchema.safeParse(written).success).toBe(false);
  });

  it.each<[string, unknown]>([
    ["a runtime by its path", { runtime: "/opt/bin/crun" }],
    ["two roots", { workspaces: ["/srv/runner/_work", "/builds"] }],
  ])("loads with %s", (_, written) => {
    expect(sandboxConfigSchema.safeParse(written).success).toBe(true);
  });
});
