import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadConfig, settings } from "../src/config.ts";
import { BrokerError } from "../src/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "mayfly-config-"));
const smallest = `version: 1
issuers: { github: { preset: github, url: "https://token.actions.githubusercontent.com", audience: "https://mayfly.example" } }
providers: { broker: { type: local } }
`;

function load(text: string, env: Readonly<Record<string, string>> = {}): ReturnType<typeof loadConfig> {
  const path = join(folder, "mayfly.yaml");
  writeFileSync(path, text);
  return loadConfig(path, settings(env));
}

function problem(text: string): BrokerError {
  try {
    load(text);
  } catch (error) {
    if (error instanceof BrokerError) return error;
    throw error;
  }
  throw new Error("it loaded");
}

describe("a configuration that loads", () => {
  test("needs an issuer and providers; everything else has a default", () => {
    expect(load(smallest)).toMatchObject({
      user: "mayfly",
      run: "/run/mayfly",
      state: "/var/lib/mayfly",
      templates: "/etc/mayfly/templates",
      sockets: {
        group: "mayfly",
        broker: { group: "mayfly-runners" },
        audit: { group: "mayfly-auditors" },
        control: { group: "mayfly-responders" },
      },
      sessions: { longest: 6 * 3_600_000, bound_to: "runner" },
      leases: { patience: 15_000, sweep: 2_000 },
    });
  });

  test("names a socket's group alone, or who else may use it", () => {
    const { sockets } = load(
      `${smallest}sockets: { broker: 1001, audit: { allow_groups: [adm, 7] }, control: { group: ops, allow_uids: [0] } }\n`,
    );
    expect(sockets).toEqual({
      group: "mayfly",
      broker: { group: 1001 },
      audit: { group: "mayfly-auditors", allow_groups: ["adm", 7] },
      control: { group: "ops", allow_uids: [0] },
    });
  });

  test("is moved by the environment, which wins over the file", () => {
    const moved = load(`${smallest}run: /srv/a\n`, {
      MAYFLY_RUN: "/srv/b",
      MAYFLY_STATE: "/srv/c",
      MAYFLY_TEMPLATES: "/srv/d",
    });
    expect(moved).toMatchObject({ run: "/srv/b", state: "/srv/c", templates: "/srv/d" });
  });

  test("is what deploy/ ships", () => {
    expect(load(readFileSync("deploy/mayfly.yaml", "utf8")).providers).toHaveProperty("vault-main");
  });
});

describe("a configuration that does not load says where and why", () => {
  test.each([
    ["an unknown key", `${smallest}colour: red\n`, /colour/],
    ["a key twice", `${smallest}version: 1\n`, /unique/],
    ["an alias", smallest.replace("{ broker: { type: local } }", "{ a: &x { type: local }, b: *x }"), /alias/],
    ["a tag", `${smallest}user: !!js/function x\n`, /tag/],
    ["another version", smallest.replace("version: 1", "version: 2"), /version/],
    ["no issuer", smallest.replace(/issuers: .*/, "issuers: {}"), /issuers/],
    ["a relative folder", `${smallest}state: var\n`, /state: write an absolute path/],
    ["a duration without a unit", `${smallest}sessions: { longest: 6 }\n`, /sessions\.longest/],
    ["an identity over plain http", `${smallest}identity: { url: "http://mayfly.example" }\n`, /identity\.url/],
    ["a misspelt list of users", `${smallest}sockets: { broker: { allow_uid: [7] } }\n`, /sockets\.broker: .*allow_uid/],
    [
      "a list of users that names nobody",
      `${smallest}sockets: { broker: { allow_uids: [] } }\n`,
      /sockets\.broker\.allow_uids/,
    ],
    ["a session bound to nothing", `${smallest}sessions: { bound_to: nobody }\n`, /sessions\.bound_to/],
    ["two documents", `${smallest}---\n${smallest}`, /document/],
    ["what is not YAML", "a: [", /mayfly\.yaml/],
    ["nothing", "", /mayfly\.yaml/],
  ])("%s", (_, text, says) => {
    const { code, message, hint } = problem(text);
    expect(code).toBe("config-invalid");
    expect(message).toMatch(says);
    expect(message).not.toContain("\n");
    expect(hint).toBeDefined();
  });

  test("a file that is not there", () => {
    expect(() => loadConfig(join(folder, "none.yaml"), settings({}))).toThrow(/none\.yaml cannot be read/);
  });
});

describe("a failpoint", () => {
  test.each([
    ["names a point of the flow and a folder", "minted:/tmp/x", { point: "minted", folder: "/tmp/x" }],
    ["is none where the point is unknown", "nowhere:/tmp/x", undefined],
    ["is none without a folder", "minted", undefined],
  ])("%s", (_, written, expected) => {
    expect(settings({ MAYFLY_FAILPOINT: written }).failpoint).toEqual(expected);
  });
});
