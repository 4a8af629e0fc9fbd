import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { BrokerError } from "../../../src/errors.ts";
import { presetNames } from "../../../src/identity/presets/presets.ts";
import type { Surroundings } from "../../../src/identity/source/finders.ts";
import { findToken, sourceOf } from "../../../src/identity/source/source.ts";
import { systems } from "../../../src/identity/source/system.ts";

const audience = "https://broker.example";
const jwt = "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln";

interface Heard {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly headers: IncomingMessage["headers"];
}

/** A CI system's token endpoint, on loopback. */
interface Endpoint extends AsyncDisposable {
  readonly url: string;
  readonly heard: Heard[];
}

async function endpoint(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Endpoint> {
  const heard: Heard[] = [];
  const server: Server = createServer((request, response) => {
    heard.push({ method: request.method, path: request.url, headers: request.headers });
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    heard,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const answering = (status: number, body: string) => (_: IncomingMessage, response: ServerResponse) =>
  response.writeHead(status).end(body);

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

interface Search {
  readonly environment?: Readonly<Record<string, string>>;
  readonly flag?: string;
  /** Where Google's metadata service is, for a machine that is not Google's. */
  readonly metadata?: string;
  /** The files that are there; others are really looked for. */
  readonly files?: Readonly<Record<string, string>>;
}

let askedAudience: string[] = [];

async function found({ environment = {}, flag = "auto", metadata, files = {} }: Search): Promise<string> {
  askedAudience = [];
  const around: Surroundings = {
    environment,
    fetch: async (url, options) =>
      fetch(metadata === undefined ? url : url.replace("http://metadata.google.internal", metadata), {
        ...options,
        headers: { ...options.headers },
      }),
    spawn: async ([name = "", ...args], signal) =>
      (await promisify(execFile)(name, args, { signal, env: { PATH: bin } })).stdout,
    readFile: async (path) => files[path] ?? readFile(path, "utf8"),
  };
  const from = sourceOf(flag, (path) => path);
  const wish = {
    from,
    audience: (system: string) => {
      askedAudience.push(system);
      return Promise.resolve(audience);
    },
  };
  return (await findToken(wish, around, AbortSignal.timeout(5_000))).use(String);
}

async function refusal(search: Search): Promise<BrokerError> {
  const error: unknown = await found(search).then(
    () => new Error("a token was found"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof BrokerError) return error;
  throw error;
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
    expect([await found(search), askedAudience]).toEqual([jwt, []]);
  });
});

describe("--token auto asks the endpoint that the job was given", () => {
  const github = (url: string, server = url) => ({
    GITHUB_ACTIONS: "true",
    GITHUB_SERVER_URL: server,
    ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/token?api-version=2`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: "request-token",
  });

  it("at GitHub, with the job's request token and for our audience", async () => {
    await using server = await endpoint(answering(200, JSON.stringify({ count: 1, value: jwt })));
    expect(await found({ environment: github(server.url) })).toBe(jwt);
    expect(server.heard).toMatchObject([
      {
        method: "GET",
        path: "/token?api-version=2&audience=https%3A%2F%2Fbroker.example",
        headers: { authorization: "Bearer request-token" },
      },
    ]);
    expect(askedAudience).toEqual(["github"]);
  });

  it("at Forgejo, whose runner says that it is GitHub too", async () => {
    await using server = await endpoint(answering(200, JSON.stringify({ value: jwt })));
    const environment = {
      ...github(server.url, "https://github.com"),
      FORGEJO_ACTIONS: "true",
      FORGEJO_SERVER_URL: server.url,
    };
    expect(await found({ environment })).toBe(jwt);
    expect(askedAudience).toEqual(["forgejo"]);
  });

  const azure = (url: string) => ({
    TF_BUILD: "True",
    SYSTEM_COLLECTIONURI: `${url}/org/`,
    SYSTEM_OIDCREQUESTURI: `${url}/org/project/_apis/oidctoken`,
    SYSTEM_ACCESSTOKEN: "access-token",
    MAYFLY_SERVICE_CONNECTION: "connection-1",
  });

  it.each<[string, Readonly<Record<string, string>>]>([
    ["by our own variable", {}],
    [
      "by that of Azure's own tasks",
      { MAYFLY_SERVICE_CONNECTION: "", AZURESUBSCRIPTION_SERVICE_CONNECTION_ID: "connection-1" },
    ],
  ])("at Azure DevOps, for a service connection named %s", async (_, changes) => {
    await using server = await endpoint(answering(200, JSON.stringify({ oidcToken: jwt })));
    expect(await found({ environment: { ...azure(server.url), ...changes } })).toBe(jwt);
    expect(server.heard).toMatchObject([
      {
        method: "POST",
        path: "/org/project/_apis/oidctoken?api-version=7.1&serviceConnectionId=connection-1",
        headers: { authorization: "Bearer access-token", "x-tfs-fedauthredirect": "Suppress" },
      },
    ]);
  });

  it("of Google's metadata service, but only when Google is named", async () => {
    await using server = await endpoint(answering(200, jwt));
    expect(await found({ flag: "google", metadata: server.url })).toBe(jwt);
    expect(server.heard).toMatchObject([
      {
        path: "/computeMetadata/v1/instance/service-accounts/default/identity?audience=https%3A%2F%2Fbroker.example&format=full",
        headers: { "metadata-flavor": "Google" },
      },
    ]);
    expect(await refusal({ metadata: server.url })).toMatchObject({ message: "no CI system was recognised" });
    expect(server.heard).toHaveLength(1);
  });

  it.each<[string, number, string, string]>([
    ["refuses", 403, "{}", "its endpoint answered with status 403"],
    ["says something else", 200, "[]", "its endpoint answered without a token"],
    ["says no JSON", 200, "<html>", "its endpoint answered without a token"],
    ["says a token that is none", 200, '{"value":7}', "its endpoint answered without a token"],
  ])("and an endpoint that %s gives none", async (_, status, body, why) => {
    await using server = await endpoint(answering(status, body));
    const error = await refusal({ environment: github(server.url) });
    expect(error).toMatchObject({
      code: "token-missing",
      message: `this looks like GitHub Actions, but there is no identity token: ${why}`,
      hint: expect.stringContaining("id-token: write"),
    });
  });

  it.each([301, 302, 307, 308])("and a redirect with status %i is no answer: the request token stays here", async (status) => {
    await using elsewhere = await endpoint(answering(200, JSON.stringify({ value: jwt })));
    await using server = await endpoint((_, response) => response.writeHead(status, { location: elsewhere.url }).end());
    for (const environment of [github(server.url), azure(server.url)])
      expect((await refusal({ environment })).message).toContain("its endpoint cannot be reached, or sends elsewhere");
    expect([server.heard.length, elsewhere.heard.length]).toEqual([2, 0]);
  });

  /** What a job can be made to ask by one variable that a stranger has set in it. */
  const strangers: readonly (readonly [string, string, string])[] = [
    ["another host", "{elsewhere}/token?a=b", "{server}"],
    ["another host, the server being github.com", "{elsewhere}/token?a=b", "https://github.com"],
    ["another port of the same host", "{elsewhere}/token?a=b", "{server}"],
    ["the server's name as the user's", "http://127.0.0.1@{elsewhere-host}/?a=b", "{server}"],
    ["a host that ends like GitHub's", "https://evilactions.githubusercontent.com/?a=b", "https://github.com"],
    ["a host that begins like GitHub's", "https://actions.githubusercontent.com.evil.test/?a=b", "https://github.com"],
    ["GitHub's own host, unencrypted", "http://pipelines.actions.githubusercontent.com/?a=b", "https://github.com"],
    ["the server's own host, unencrypted", "http://ghes.example/_services/token?a=b", "https://ghes.example"],
    ["a file", "file:///etc/passwd?a=b", "{server}"],
    ["what is no URL", "//127.0.0.1", "{server}"],
    ["a server that is not said", "{elsewhere}/token?a=b", ""],
  ];
  it.each(strangers)("and %s is not asked", async (_, asked, server) => {
    await using own = await endpoint(answering(200, JSON.stringify({ value: jwt })));
    await using elsewhere = await endpoint(answering(200, JSON.stringify({ value: jwt })));
    const filled = (text: string) =>
      text
        .replace("{server}", own.url)
        .replace("{elsewhere}", elsewhere.url)
        .replace("{elsewhere-host}", new URL(elsewhere.url).host);
    const environment = {
      ...github(own.url),
      ACTIONS_ID_TOKEN_REQUEST_URL: filled(asked),
      GITHUB_SERVER_URL: filled(server),
    };
    const error = await refusal({ environment });
    expect(error.message).toContain("the address to ask");
    expect([own.heard.length, elsewhere.heard.length]).toEqual([0, 0]);
    const azureError = await refusal({
      environment: { ...azure(own.url), SYSTEM_OIDCREQUESTURI: filled(asked), SYSTEM_COLLECTIONURI: filled(server) },
    });
    expect([azureError.code, own.heard.length, elsewhere.heard.length]).toEqual(["token-missing", 0, 0]);
  });
});

describe("--token auto runs the CI system's own program", () => {
  it("at Buildkite", async () => {
    const args = await program("buildkite-agent", `${jwt}\n`);
    expect(await found({ environment: { BUILDKITE: "true" } })).toBe(jwt);
    expect(await args()).toEqual(["oidc", "request-token", "--audience", audience]);
  });

  it("at CircleCI, which makes a token for our audience", async () => {
    const args = await program("circleci", `${jwt}\n`);
    expect(await found({ environment: { CIRCLECI: "true", CIRCLE_OIDC_TOKEN_V2: "for the organisation" } })).toBe(jwt);
    expect(await args()).toEqual(["run", "oidc", "get", "--claims", `{"aud":"${audience}"}`]);
  });

  it.each<[string, Readonly<Record<string, string>>]>([
    ["the second form before the first", { CIRCLE_OIDC_TOKEN: "first", CIRCLE_OIDC_TOKEN_V2: jwt }],
    ["the first where there is no second", { CIRCLE_OIDC_TOKEN: jwt }],
  ])("at CircleCI without that program takes what is there: %s", async (_, environment) => {
    expect(await found({ environment: { CIRCLECI: "true", ...environment } })).toBe(jwt);
  });

  it.each(["unix:///run/spire/agent.sock", "unix:/run/spire/agent.sock"])("for SPIFFE, at %s", async (socket) => {
    const other = "eyJvdGhlciI6MX0.eyJhIjoyfQ.c2ln";
    const args = await program(
      "spire-agent",
      `token(spiffe://example.org/job):\n\t${jwt}\ntoken(spiffe://example.org/other):\n\t${other}\nbundle(spiffe://example.org):\n\t{"keys":[]}\n`,
    );
    expect(await found({ environment: { SPIFFE_ENDPOINT_SOCKET: socket } })).toBe(jwt);
    expect(await args()).toEqual(["api", "fetch", "jwt", "-audience", audience, "-socketPath", "/run/spire/agent.sock"]);
  });

  it.each<[string, string, Readonly<Record<string, string>>]>([
    ["buildkite-agent", "Buildkite", { BUILDKITE: "true" }],
    ["circleci", "CircleCI", { CIRCLECI: "true" }],
    ["spire-agent", "SPIFFE", { SPIFFE_ENDPOINT_SOCKET: "unix:///s" }],
  ])("and says when %s fails, or is not there", async (name, title, environment) => {
    expect((await refusal({ environment })).message).toBe(
      `this looks like ${title}, but there is no identity token: ${name} is not on PATH`,
    );
    await program(name, "x", 3);
    expect((await refusal({ environment })).message).toContain(`${name} exited with 3`);
  });

  it("and takes nothing from a SPIRE that prints no token, or a socket that is none", async () => {
    await program("spire-agent", 'bundle(spiffe://example.org):\n\t{"keys":[]}\n');
    expect((await refusal({ environment: { SPIFFE_ENDPOINT_SOCKET: "unix:///s" } })).message).toContain("printed no token");
    expect((await refusal({ environment: { SPIFFE_ENDPOINT_SOCKET: "tcp://10.0.0.1:80" } })).message).toContain(
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
      why: "ACTIONS_ID_TOKEN_REQUEST_URL is not set",
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
      lines: "buildkite-agent oidc request-token --audience https://broker.example",
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
      why: "MAYFLY_SERVICE_CONNECTION and AZURESUBSCRIPTION_SERVICE_CONNECTION_ID are not set",
      lines: "SYSTEM_ACCESSTOKEN: $(System.AccessToken)",
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
    const error = await refusal({ flag, environment: { GITLAB_CI: "true" }, metadata: dead.url });
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
    expect(await found({ environment: { GITLAB_CI: "true" }, flag: file })).toBe(jwt);
    expect(askedAudience).toEqual([]);
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
