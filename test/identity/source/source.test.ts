import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { BrokerError } from "../../../src/errors.ts";
import { presetNames } from "../../../src/identity/presets/presets.ts";
import type { Surroundings } from "../../../src/identity/source/finders.ts";
import { findToken, sourceOf } from "../../../src/identity/source/source.ts";
import { systems } from "../../../src/identity/source/system.ts";
import { audience, endpoint, found, jwt, refusal, type Search } from "./job.ts";

let folder: string;
let bin: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-source-"));
  bin = join(folder, "bin");
});
beforeEach(async () => {
  await rm(bin, { recursive: true, force: true });
  await mkdir(bin);
});
afterAll(() => rm(folder, { recursive: true }));

/** A program of the CI system's, really run: it writes down its arguments and prints what it is told. */
async function program(name: string, prints: string, exit = 0): Promise<() => Promise<readonly string[]>> {
  const path = join(bin, name);
  await writeFile(join(bin, `${name}.out`), prints);
  await writeFile(
    path,
    `#!/bin/sh\nfor a in "$@"; do printf '%s\\n' "$a"; done > '${path}.args'\n/bin/cat '${path}.out'\nexit ${exit}\n`,
  );
  await chmod(path, 0o755);
  return async () => (await readFile(`${path}.args`, "utf8")).trimEnd().split("\n");
}

describe("--token auto finds the token that the job was given", () => {
  const mounted = { "/var/run/secrets/mayfly/token": `${jwt}\n` };
  it.each<[string, Search]>([
    ["at GitLab", { environment: { GITLAB_CI: "true", MAYFLY_ID_TOKEN: jwt } }],
    ["at GitLab, in a custom executor", { environment: { CUSTOM_ENV_GITLAB_CI: "true", CUSTOM_ENV_MAYFLY_ID_TOKEN: jwt } }],
    [
      "at GitLab, whose runner is a pod",
      { environment: { GITLAB_CI: "true", KUBERNETES_SERVICE_HOST: "10.0.0.1", MAYFLY_ID_TOKEN: jwt }, files: mounted },
    ],
    ["at Jenkins", { environment: { JENKINS_URL: "https://ci.example/", MAYFLY_ID_TOKEN: jwt } }],
    ["at Bitbucket", { environment: { BITBUCKET_BUILD_NUMBER: "1", BITBUCKET_STEP_OIDC_TOKEN: jwt } }],
    ["at HCP Terraform", { environment: { TFC_RUN_ID: "run-1", TFC_WORKLOAD_IDENTITY_TOKEN: jwt } }],
    [
      "at HCP Terraform, by the tag for us",
      {
        environment: {
          TFC_RUN_ID: "run-1",
          TFC_WORKLOAD_IDENTITY_TOKEN: "for somebody else",
          TFC_WORKLOAD_IDENTITY_TOKEN_MAYFLY: jwt,
        },
      },
    ],
    ["in a Nomad task's environment", { environment: { NOMAD_ALLOC_ID: "a", NOMAD_TOKEN_mayfly: jwt } }],
    [
      "in a Nomad task's file, which is renewed",
      {
        environment: { NOMAD_ALLOC_ID: "a", NOMAD_SECRETS_DIR: "/s", NOMAD_TOKEN_mayfly: "stale" },
        files: { "/s/nomad_mayfly.jwt": jwt },
      },
    ],
    ["in Kubernetes", { environment: { KUBERNETES_SERVICE_HOST: "10.0.0.1" }, files: mounted }],
    ["where only the file says that it is Kubernetes", { files: mounted }],
  ])("%s, without asking whom it should be for", async (_, search) => {
    expect(await found(search)).toEqual({ token: jwt, asked: [] });
  });
});

describe("--token auto runs the CI system's own program", () => {
  it("at Buildkite", async () => {
    const args = await program("buildkite-agent", `${jwt}\n`);
    expect((await found({ environment: { BUILDKITE: "true" }, path: bin })).token).toBe(jwt);
    expect(await args()).toEqual(["oidc", "request-token", "--claim", "organization_id,pipeline_id", "--audience", audience]);
  });

  it("at CircleCI, which makes a token for our audience", async () => {
    const args = await program("circleci", `${jwt}\n`);
    expect(
      (await found({ environment: { CIRCLECI: "true", CIRCLE_OIDC_TOKEN_V2: "for the organisation" }, path: bin })).token,
    ).toBe(jwt);
    expect(await args()).toEqual(["run", "oidc", "get", "--claims", `{"aud":"${audience}"}`]);
  });

  it("at CircleCI without that program takes nothing: what is there was made for the organisation", async () => {
    const environment = { CIRCLECI: "true", CIRCLE_OIDC_TOKEN: jwt, CIRCLE_OIDC_TOKEN_V2: jwt };
    expect((await refusal({ environment, path: bin })).message).toContain("circleci is not on PATH");
  });

  it.each(["unix:///run/spire/agent.sock", "unix:/run/spire/agent.sock"])("for SPIFFE, at %s", async (socket) => {
    const other = "eyJvdGhlciI6MX0.eyJhIjoyfQ.c2ln";
    const args = await program(
      "spire-agent",
      `token(spiffe://example.org/job):\n\t${jwt}\ntoken(spiffe://example.org/other):\n\t${other}\nbundle(spiffe://example.org):\n\t{"keys":[]}\n`,
    );
    expect((await found({ environment: { SPIFFE_ENDPOINT_SOCKET: socket }, path: bin })).token).toBe(jwt);
    expect(await args()).toEqual(["api", "fetch", "jwt", "-audience", audience, "-socketPath", "/run/spire/agent.sock"]);
  });

  it.each<[string, string, Readonly<Record<string, string>>]>([
    ["buildkite-agent", "Buildkite", { BUILDKITE: "true" }],
    ["circleci", "CircleCI", { CIRCLECI: "true" }],
    ["spire-agent", "SPIFFE", { SPIFFE_ENDPOINT_SOCKET: "unix:///s" }],
  ])("and says when %s fails, or is not there", async (name, title, environment) => {
    expect((await refusal({ environment, path: bin })).message).toBe(
      `this looks like ${title}, but there is no identity token: ${name} is not on PATH`,
    );
    await program(name, "x", 3);
    expect((await refusal({ environment, path: bin })).message).toContain(`${name} exited with 3`);
  });

  it("and takes nothing from a SPIRE that prints no token, or a socket that is none", async () => {
    await program("spire-agent", 'bundle(spiffe://example.org):\n\t{"keys":[]}\n');
    expect((await refusal({ environment: { SPIFFE_ENDPOINT_SOCKET: "unix:///s" }, path: bin })).message).toContain(
      "printed no token",
    );
    expect((await refusal({ environment: { SPIFFE_ENDPOINT_SOCKET: "tcp://10.0.0.1:80" }, path: bin })).message).toContain(
      "is not the path of a Unix socket",
    );
  });
});

describe("a token that is not there", () => {
  interface Absence {
    readonly at: string;
    readonly environment: Readonly<Record<string, string>>;
    readonly why: string;
    readonly lines: string;
  }
  const absences: readonly Absence[] = [
    {
      at: "GitHub Actions",
      environment: { GITHUB_ACTIONS: "true" },
      why: "ACTIONS_ID_TOKEN_REQUEST_URL is not set",
      lines: "permissions:\n    id-token: write",
    },
    {
      at: "Forgejo Actions",
      environment: { FORGEJO_ACTIONS: "true", GITHUB_ACTIONS: "true" },
      why: "GITHUB_SERVER_URL is not set",
      lines: "enable-openid-connect: true",
    },
    {
      at: "GitLab CI",
      environment: { GITLAB_CI: "true" },
      why: "MAYFLY_ID_TOKEN and CUSTOM_ENV_MAYFLY_ID_TOKEN are not set",
      lines: 'id_tokens:\n    MAYFLY_ID_TOKEN:\n      aud: "https://broker.example"',
    },
    {
      at: "GitLab CI",
      environment: { GITLAB_CI: "true", MAYFLY_ID_TOKEN: "" },
      why: "are not set",
      lines: "id_tokens:",
    },
    { at: "GitLab CI", environment: { GITLAB_CI: "true", MAYFLY_ID_TOKEN: " " }, why: "it is empty", lines: "id_tokens:" },
    {
      at: "Buildkite",
      environment: { BUILDKITE: "true" },
      why: "buildkite-agent is not on PATH",
      lines: "buildkite-agent oidc request-token --claim organization_id,pipeline_id --audience https://broker.example",
    },
    {
      at: "CircleCI",
      environment: { CIRCLECI: "true" },
      why: "circleci is not on PATH",
      lines: `circleci run oidc get --claims '{"aud":"https://broker.example"}'`,
    },
    {
      at: "Bitbucket Pipelines",
      environment: { BITBUCKET_BUILD_NUMBER: "7" },
      why: "BITBUCKET_STEP_OIDC_TOKEN is not set",
      lines: 'oidc:\n    audiences:\n      - "https://broker.example"',
    },
    {
      at: "Azure DevOps",
      environment: { TF_BUILD: "True" },
      why: "SYSTEM_OIDCREQUESTURI is not set",
      lines: "SYSTEM_ACCESSTOKEN: $(System.AccessToken)",
    },
    {
      at: "Azure DevOps, with a service connection",
      environment: { TF_BUILD: "True", MAYFLY_SERVICE_CONNECTION: "c" },
      why: "SYSTEM_OIDCREQUESTURI is not set",
      lines: "MAYFLY_SERVICE_CONNECTION: 00000000-0000-0000-0000-000000000000",
    },
    {
      at: "HCP Terraform",
      environment: { TFC_RUN_ID: "run-1" },
      why: "are not set",
      lines: "TFC_WORKLOAD_IDENTITY_AUDIENCE_MAYFLY = https://broker.example",
    },
    {
      at: "Jenkins",
      environment: { JENKINS_URL: "https://ci.example/" },
      why: "MAYFLY_ID_TOKEN is not set",
      lines: "string(credentialsId: 'mayfly', variable: 'MAYFLY_ID_TOKEN')",
    },
    {
      at: "Nomad",
      environment: { NOMAD_ALLOC_ID: "a", NOMAD_SECRETS_DIR: "/nowhere" },
      why: "/nowhere/nomad_mayfly.jwt cannot be read",
      lines: 'aud  = ["https://broker.example"]',
    },
    {
      at: "SPIFFE",
      environment: { SPIFFE_ENDPOINT_SOCKET: "unix:///s" },
      why: "spire-agent is not on PATH",
      lines: "spire-agent api fetch jwt -audience https://broker.example",
    },
    {
      at: "Kubernetes",
      environment: { KUBERNETES_SERVICE_HOST: "10.0.0.1" },
      why: "/var/run/secrets/mayfly/token cannot be read",
      lines: 'audience: "https://broker.example"',
    },
  ];
  it.each(absences)("at $at, since $why: the lines to paste", async ({ at, environment, why, lines }) => {
    const error = await refusal({ environment });
    expect(error.code).toBe("token-missing");
    expect(error.message).toContain(`this looks like ${at}, but there is no identity token: `);
    expect(error.message).toContain(why);
    expect(error.hint).toContain(lines);
  });

  it("nowhere names every system that can be named", async () => {
    const error = await refusal({});
    expect(error).toMatchObject({ code: "token-missing", message: "no CI system was recognised" });
    for (const system of systems) expect(error.hint).toContain(system);
  });

  it.each(systems)("with --token %s says what to add there, wherever we are", async (flag) => {
    await using dead = await endpoint((request) => request.socket.destroy());
    const at = { "http://metadata.google.internal": dead.url };
    const error = await refusal({ flag, environment: { GITLAB_CI: "true" }, at });
    expect([error.code, error.hint?.length ?? 0]).toEqual(["token-missing", expect.any(Number)]);
    expect(error.hint).toMatch(/^(add|put|this must|make|run) /);
  });

  it("is not looked for elsewhere when its audience cannot be learned: that is the error", async () => {
    const down = new BrokerError("broker-unreachable");
    const around: Surroundings = {
      environment: { GITLAB_CI: "true" },
      fetch: () => Promise.reject(new Error("no network")),
      spawn: () => Promise.reject(new Error("no programs")),
      readFile: () => Promise.reject(new Error("no files")),
    };
    const wish = { from: sourceOf("auto", String), audience: () => Promise.reject(down) };
    await expect(findToken(wish, around, AbortSignal.timeout(1_000))).rejects.toBe(down);
    const noQuestion = findToken({ ...wish, from: sourceOf("github", String) }, around, AbortSignal.timeout(1_000));
    await expect(noQuestion).rejects.toMatchObject({ code: "token-missing" });
  });
});

describe("--token FILE", () => {
  it("is read wherever we are, and nobody is asked", async () => {
    const file = join(folder, "token");
    await writeFile(file, ` ${jwt}\n`);
    expect(await found({ environment: { GITLAB_CI: "true" }, flag: file })).toEqual({ token: jwt, asked: [] });
  });

  it("may be called like a system, with its folder in front", () => {
    expect(sourceOf("./github", (path) => path)).toEqual({ kind: "file", path: "./github" });
    expect(sourceOf("github", (path) => path)).toEqual({ kind: "system", system: "github" });
  });

  it.each<[string, Readonly<Record<string, string>>, string]>([
    ["that is not there", {}, "/t cannot be read"],
    ["that is empty", { "/t": "\n" }, "/t is empty"],
  ])("%s says so", async (_, files, message) => {
    expect(await refusal({ flag: "/t", files })).toMatchObject({ code: "token-missing", message });
  });
});

describe("the systems", () => {
  it("are presets of mayfly.yaml, by the same names", () => {
    expect(systems.filter((system) => !presetNames.some((name) => name === system))).toEqual([]);
  });
});
