import { describe, expect, it } from "vitest";
import { sandboxConfigSchema } from "../../src/sandbox/config.ts";
import { isolationRoom } from "../../src/sandbox/isolation-room.ts";

const config = sandboxConfigSchema.parse({ memory: "16GiB", cpus: 8, pids: 4096, timeout: "2h" });
const room = isolationRoom(config);
const digest = `sha256:${"ab".repeat(32)}`;
const node = `registry.example.com/ci/node@${digest}`;
const why = "an old kernel on the edge hosts";

describe("bounds of a folder's sandboxes", () => {
  const within: readonly (readonly [string, unknown, unknown])[] = [
    ["nothing is bounded", {}, { memory: "64GiB", env: { pass: ["A*"] }, image: node, tolerate: { "pids-limit": why } }],
    ["every limit is at its bound", { memory: "2GiB", cpus: 2, pids: 512, timeout: "30m" }, {}],
    ["a beginning covers a name", { env: { pass: ["GITHUB_*"] } }, { env: { pass: ["GITHUB_SHA"] } }],
    ["a beginning covers a longer one", { env: { pass: ["GITHUB_*"] } }, { env: { pass: ["GITHUB_RUN_*", "GITHUB_*"] } }],
    ["nothing is passed", { env: { pass: [] } }, { env: { pass: [] } }],
    ["the host's toolchain is named", { images: ["host", "registry.example.com/ci/*"] }, {}],
    ["a star covers an image's last segment", { images: ["registry.example.com/ci/*"] }, { image: node }],
    ["a star covers the end of a segment", { images: ["registry.example.com/ci/no*"] }, { image: node }],
    ["the image is named without a digest", { images: ["registry.example.com/ci/node"] }, { image: node }],
    ["the image is named with its digest", { images: [node] }, { image: node }],
    ["the runtimes are among those named", { runtimes: ["crun", "runsc"] }, { runtimes: ["crun"] }],
    ["what is tolerated is named", { tolerate: ["pids-limit"] }, { tolerate: { "pids-limit": why } }],
  ];
  it.each(within)("are kept where %s", (_, bounds, written) => {
    expect(room.bounds.parse(bounds).beyond(room.schema.parse(written))).toEqual([]);
  });

  const beyond: readonly (readonly [string, unknown, unknown, string, string])[] = [
    ["more memory", { memory: "1GiB" }, {}, "memory", "2GiB is more than 1GiB"],
    ["more cores", { cpus: 1.5 }, {}, "cpus", "2 is more than 1.5"],
    ["more processes", { pids: 500 }, {}, "pids", "512 is more than 500"],
    ["more time", { timeout: "90s" }, { timeout: "91s" }, "timeout", "91s is more than 90s"],
    [
      "a name that is not covered",
      { env: { pass: ["GITHUB_*"] } },
      {},
      "env.pass",
      "CI is not among what may be passed: GITHUB_*",
    ],
    [
      "a wider beginning",
      { env: { pass: ["GITHUB_*"] } },
      { env: { pass: ["GIT*"] } },
      "env.pass",
      "GIT* is not among what may be passed: GITHUB_*",
    ],
    [
      "a beginning where one name is covered",
      { env: { pass: ["CI"] } },
      { env: { pass: ["CI*"] } },
      "env.pass",
      "CI* is not among what may be passed: CI",
    ],
    [
      "the host's toolchain, not named",
      { images: ["registry.example.com/ci/*"] },
      {},
      "image",
      "the host's own toolchain is not allowed, name an image: registry.example.com/ci/*",
    ],
    ["an image where the host's alone is", { images: ["host"] }, { image: node }, "image", `${node} is not allowed: host`],
    [
      "an image of another registry",
      { images: ["registry.example.com/ci/*"] },
      { image: `registry.example.com.evil.example/ci/node@${digest}` },
      "image",
      `registry.example.com.evil.example/ci/node@${digest} is not allowed: registry.example.com/ci/*`,
    ],
    [
      "an image deeper than the star",
      { images: ["registry.example.com/ci/*"] },
      { image: `registry.example.com/ci/team/node@${digest}` },
      "image",
      `registry.example.com/ci/team/node@${digest} is not allowed: registry.example.com/ci/*`,
    ],
    [
      "an image whose name only begins so",
      { images: ["registry.example.com/ci/node"] },
      { image: `registry.example.com/ci/node-evil@${digest}` },
      "image",
      `registry.example.com/ci/node-evil@${digest} is not allowed: registry.example.com/ci/node`,
    ],
    [
      "an image of another digest",
      { images: [node] },
      { image: node.replace("ab", "ac") },
      "image",
      `${node.replace("ab", "ac")} is not allowed: ${node}`,
    ],
    ["another runtime", { runtimes: ["crun"] }, { runtimes: ["crun", "runc"] }, "runtimes", "runc is not among crun"],
    ["no runtime named", { runtimes: ["crun"] }, {}, "runtimes", "left out, any may run it; name some of crun"],
    [
      "a tolerance",
      { tolerate: [] },
      { tolerate: { "cpu-limit": why } },
      "tolerate.cpu-limit",
      "cpu-limit may not be tolerated",
    ],
  ];
  it.each(beyond)("are broken by %s", (_, bounds, written, ...[key, message]) => {
    expect(room.bounds.parse(bounds).beyond(room.schema.parse(written))).toEqual([{ key, message }]);
  });

  it("name everything that is beyond them", () => {
    const bounds = room.bounds.parse({
      memory: "1GiB",
      cpus: 1,
      env: { pass: [] },
      images: [node],
      runtimes: ["crun"],
      tolerate: [],
    });
    const found = bounds.beyond(room.schema.parse({ tolerate: { "pids-limit": why } }));
    expect(found.map(({ key }) => key)).toEqual(["memory", "cpus", "env.pass", "image", "runtimes", "tolerate.pids-limit"]);
  });

  it.each<[string, unknown, string]>([
    ["a limit without a unit", { memory: 1024 }, "has no unit"],
    ["a star within an image", { images: ["registry.example.com/*/node"] }, "write host, an image with its registry"],
    ["two stars", { images: ["registry.example.com/**"] }, "write host, an image with its registry"],
    ["a star for the registry", { images: ["*"] }, "write host, an image with its registry"],
    ["a registry that only begins so", { images: ["registry.example*"] }, "write host, an image with its registry"],
    ["no image at all", { images: [] }, "name what is left"],
    ["a tolerance that is not on the list", { tolerate: ["seccomp"] }, "Invalid option"],
    ["reasons for a tolerance", { tolerate: { "pids-limit": why } }, "expected array"],
    ["a line that nobody knows", { network: [] }, "Unrecognized key"],
  ])("do not load with %s", (_, written, message) => {
    const { success, error } = room.bounds.safeParse(written);
    expect(success).toBe(false);
    expect(String(error)).toContain(message);
  });
});

describe("one isolation beside another", () => {
  const base = room.schema.parse({ image: node, runtimes: ["crun", "runc"], tolerate: { "pids-limit": why } });

  it.each<[string, unknown]>([
    ["the same", {}],
    [
      "less of everything",
      { memory: "1GiB", cpus: 1, pids: 64, timeout: "1m", env: { pass: [] }, runtimes: ["runc"], tolerate: {} },
    ],
    ["another reason for what is tolerated", { tolerate: { "pids-limit": "the same hosts, two years later" } }],
  ])("stays within it with %s", (_, written) => {
    const whole = { image: node, runtimes: ["crun", "runc"], tolerate: { "pids-limit": why }, ...(written as object) };
    expect(room.exceeds(room.schema.parse(whole), base)).toEqual([]);
  });

  it.each<[string, unknown, string]>([
    ["more memory", { memory: "3GiB" }, "memory"],
    ["more of the environment", { env: { pass: ["CI", "HOME"] } }, "env.pass"],
    ["another image", { image: node.replace("node", "ruby") }, "image"],
    ["no image", { image: undefined }, "image"],
    ["one more runtime", { runtimes: ["runsc"] }, "runtimes"],
    ["any runtime", { runtimes: undefined }, "runtimes"],
    ["one more tolerance", { tolerate: { "memory-limit": why } }, "tolerate.memory-limit"],
  ])("exceeds it with %s", (_, written, key) => {
    const whole = { image: node, runtimes: ["crun"], ...(written as object) };
    expect(room.exceeds(room.schema.parse(whole), base).map((excess) => excess.key)).toEqual([key]);
  });

  it("exceeds the host's toolchain with an image", () => {
    expect(room.exceeds(room.schema.parse({ image: node }), room.schema.parse({}))).toEqual([
      { key: "image", message: "it is not the host's own toolchain" },
    ]);
  });
});

describe("an isolation whose limits are only observed", () => {
  it("has what mayfly.yaml gives at most, and is the same otherwise", () => {
    const isolation = room.schema.parse({ image: node, env: { pass: ["CI"] } });
    expect(room.unlimited(isolation)).toEqual({ ...isolation, memory: 2 ** 34, cpus: 8, pids: 4096, timeout: 7_200_000 });
  });
});

describe("what the rules look at", () => {
  it("names what is passed, and what of it no job ever sees", () => {
    const pass = ["CI", "GITHUB_*", "GITHUB_TOKEN", "actions_runtime_token", "ACTIONS_ID_TOKEN_REQUEST_*", "ACTIONS_*"];
    expect(room.facts(room.schema.parse({ image: node, env: { pass }, tolerate: { "pids-limit": why } }))).toEqual({
      timeout: 1_800_000,
      image: node,
      passes: pass,
      dropped: ["GITHUB_TOKEN", "actions_runtime_token", "ACTIONS_ID_TOKEN_REQUEST_*"],
      tolerates: ["pids-limit"],
    });
  });
});
