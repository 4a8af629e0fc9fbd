import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import { findToken, type Surroundings } from "../../src/identity/source.ts";

const never = new AbortController().signal;
const nowhere = () => Promise.reject(new Error("ENOENT"));

function around(changes: Partial<Surroundings>): Surroundings {
  return {
    environment: {},
    fetch: () => Promise.reject(new Error("no network")),
    spawn: nowhere,
    readFile: nowhere,
    ...changes,
  };
}

async function found(changes: Partial<Surroundings>, from = "auto"): Promise<string> {
  const token = await findToken({ from, audience: "https://broker.example" }, around(changes), never);
  return token.use(String);
}

async function refusal(changes: Partial<Surroundings>, from = "auto"): Promise<BrokerError> {
  const error: unknown = await found(changes, from).catch((thrown: unknown) => thrown);
  if (error instanceof BrokerError) return error;
  throw new Error(`no refusal: ${String(error)}`);
}

const file =
  (path: string, text: string): Surroundings["readFile"] =>
  (asked) =>
    asked === path ? Promise.resolve(text) : nowhere();

describe("--token auto finds the token", () => {
  it("at GitHub, asking for our audience with the job's own request token", async () => {
    let seen = "";
    const server = createServer((request, response) => {
      seen = `${request.method} ${request.url} ${request.headers.authorization}`;
      response.end('{"count":1,"value":"a.b.c"}');
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const environment = {
      GITHUB_ACTIONS: "true",
      ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token?api-version=2`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "request-token",
    };
    expect(await found({ environment, fetch })).toBe("a.b.c");
    expect(seen).toBe("GET /token?api-version=2&audience=https%3A%2F%2Fbroker.example Bearer request-token");
    server.close();
  });

  it.each<[string, Partial<Surroundings>]>([
    ["at GitLab", { environment: { GITLAB_CI: "true", MAYFLY_ID_TOKEN: "a.b.c" } }],
    ["at GitLab, in a custom executor", { environment: { CUSTOM_ENV_GITLAB_CI: "true", CUSTOM_ENV_MAYFLY_ID_TOKEN: "a.b.c" } }],
    [
      "at GitLab, whose runner is a pod",
      { environment: { GITLAB_CI: "true", KUBERNETES_SERVICE_HOST: "10.0.0.1", MAYFLY_ID_TOKEN: "a.b.c" } },
    ],
    [
      "in Kubernetes",
      { environment: { KUBERNETES_SERVICE_HOST: "10.0.0.1" }, readFile: file("/var/run/secrets/mayfly/token", "a.b.c\n") },
    ],
    ["where only the file says that it is Kubernetes", { readFile: file("/var/run/secrets/mayfly/token", "a.b.c") }],
  ])("%s", async (_, changes) => {
    expect(await found(changes)).toBe("a.b.c");
  });

  it("at Buildkite, by its agent", async () => {
    let ran: readonly string[] = [];
    const spawn: Surroundings["spawn"] = (command) => {
      ran = command;
      return Promise.resolve("a.b.c\n");
    };
    expect(await found({ environment: { BUILDKITE: "true" }, spawn })).toBe("a.b.c");
    expect(ran).toEqual(["buildkite-agent", "oidc", "request-token", "--audience", "https://broker.example"]);
  });

  it("in the file that is named, wherever it is", async () => {
    expect(await found({ environment: { GITLAB_CI: "true" }, readFile: file("/t", " a.b.c\n") }, "/t")).toBe("a.b.c");
  });
});

describe("a token that is not there", () => {
  const github = {
    GITHUB_ACTIONS: "true",
    ACTIONS_ID_TOKEN_REQUEST_URL: "http://127.0.0.1:1/x?y",
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: "t",
  };
  const answering =
    (status: number, text: string): Surroundings["fetch"] =>
    () =>
      Promise.resolve({ status, text: () => Promise.resolve(text) });

  it.each<[string, Partial<Surroundings>, string, string]>([
    ["nowhere", {}, "no CI system was recognised", "--token FILE"],
    ["GitHub without the permission", { environment: { GITHUB_ACTIONS: "true" } }, "GitHub Actions", "id-token: write"],
    ["GitHub that cannot be reached", { environment: github }, "GitHub Actions", "id-token: write"],
    ["GitHub that refuses", { environment: github, fetch: answering(403, "{}") }, "GitHub Actions", "id-token: write"],
    [
      "GitHub that says something else",
      { environment: github, fetch: answering(200, "[]") },
      "GitHub Actions",
      "id-token: write",
    ],
    [
      "GitLab without the variable",
      { environment: { GITLAB_CI: "true" } },
      "GitLab CI",
      "MAYFLY_ID_TOKEN:\n      aud: https://broker.example",
    ],
    ["GitLab with an empty one", { environment: { GITLAB_CI: "true", MAYFLY_ID_TOKEN: "" } }, "GitLab CI", "id_tokens:"],
    [
      "Buildkite without its agent",
      { environment: { BUILDKITE: "true" } },
      "Buildkite",
      "buildkite-agent oidc request-token --audience https://broker.example",
    ],
    [
      "Kubernetes without the volume",
      { environment: { KUBERNETES_SERVICE_HOST: "10.0.0.1" } },
      "Kubernetes",
      "audience: https://broker.example",
    ],
  ])("%s: the hint is what to add", async (_, changes, system, hint) => {
    const error = await refusal(changes);
    expect(error.code).toBe("token-missing");
    expect(error.message).toContain(system);
    expect(error.hint).toContain(hint);
  });

  it.each<[string, Partial<Surroundings>, string]>([
    ["a file that is not there", {}, "/t cannot be read"],
    ["an empty file", { readFile: file("/t", "\n") }, "/t is empty"],
  ])("%s", async (_, changes, message) => {
    expect(await refusal(changes, "/t")).toMatchObject({ code: "token-missing", message });
  });
});
