import { describe, expect, it } from "vitest";
import { detectSystem } from "../../../src/identity/source/system.ts";
import { answering, endpoint, found, jwt, refusal, type Search } from "./job.ts";

describe("--token auto asks the endpoint that the job was given", () => {
  const github = (url: string, server = url) => ({
    GITHUB_ACTIONS: "true",
    GITHUB_SERVER_URL: server,
    ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/token?api-version=2`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: "request-token",
  });

  it("at GitHub, with the job's request token and for our audience", async () => {
    await using server = await endpoint(answering(200, JSON.stringify({ count: 1, value: jwt })));
    expect(await found({ environment: github(server.url) })).toEqual({ token: jwt, asked: ["github"] });
    expect(server.heard).toMatchObject([
      {
        method: "GET",
        path: "/token?api-version=2&audience=https%3A%2F%2Fbroker.example",
        headers: { authorization: "Bearer request-token" },
      },
    ]);
  });

  it.each<[string, string, string]>([
    ["at github.com", "https://pipelines.actions.githubusercontent.com", "https://github.com"],
    ["at ghe.com", "https://token.actions.octocorp.ghe.com", "https://octocorp.ghe.com"],
    ["at an Enterprise Server", "https://ghes.example", "https://ghes.example"],
    [
      "at an Enterprise Server with hosts of its own for each service",
      "https://vstoken.actions.ghes.example",
      "https://ghes.example",
    ],
  ])("%s", async (_, asked, server) => {
    await using here = await endpoint(answering(200, JSON.stringify({ value: jwt })));
    expect((await found({ environment: github(asked, server), at: { [asked]: here.url } })).token).toBe(jwt);
  });

  const forgejo = (url: string) => ({ ...github(url), FORGEJO_ACTIONS: "true" });

  it.each<[string, (url: string) => Readonly<Record<string, string>>]>([
    ["which says so twice", (url) => ({ FORGEJO_SERVER_URL: url })],
    ["which says so in other letters", (url) => ({ FORGEJO_SERVER_URL: `${url}/` })],
    ["which says so as GitHub does", () => ({})],
  ])("at Forgejo, whose runner says that it is GitHub too, %s", async (_, more) => {
    await using server = await endpoint(answering(200, JSON.stringify({ value: jwt })));
    const environment = { ...forgejo(server.url), ...more(server.url) };
    expect(await found({ environment })).toEqual({ token: jwt, asked: ["forgejo"] });
  });

  /** FORGEJO_* can be set at GitHub, by any step that writes to `$GITHUB_ENV`. */
  it.each<[string, (evil: string) => Readonly<Record<string, string>>, string]>([
    [
      "evil's address with evil's server",
      (evil) => ({ GITHUB_SERVER_URL: "https://ghes.example", FORGEJO_SERVER_URL: evil, ACTIONS_ID_TOKEN_REQUEST_URL: evil }),
      "FORGEJO_SERVER_URL and GITHUB_SERVER_URL are different servers, so neither was asked",
    ],
    [
      "evil's address at github.com",
      (evil) => ({ GITHUB_SERVER_URL: "https://github.com", FORGEJO_SERVER_URL: evil, ACTIONS_ID_TOKEN_REQUEST_URL: evil }),
      "GITHUB_SERVER_URL is not a Forgejo server",
    ],
    [
      "evil's address at ghe.com",
      (evil) => ({ GITHUB_SERVER_URL: "https://octocorp.ghe.com", ACTIONS_ID_TOKEN_REQUEST_URL: evil }),
      "GITHUB_SERVER_URL is not a Forgejo server",
    ],
    [
      "evil's address, only Forgejo's server being said",
      (evil) => ({ GITHUB_SERVER_URL: "", FORGEJO_SERVER_URL: evil, ACTIONS_ID_TOKEN_REQUEST_URL: evil }),
      "GITHUB_SERVER_URL is not set",
    ],
    [
      "evil's address at another server",
      (evil) => ({ GITHUB_SERVER_URL: "https://forgejo.example", ACTIONS_ID_TOKEN_REQUEST_URL: evil }),
      "is not the CI system's own",
    ],
    [
      "a host below the server's, which may be somebody's pages",
      () => ({ GITHUB_SERVER_URL: "https://forgejo.example", ACTIONS_ID_TOKEN_REQUEST_URL: "https://evil.forgejo.example" }),
      "is not the CI system's own",
    ],
    [
      "a whole server of plain http that is not nearby",
      () => ({ GITHUB_SERVER_URL: "http://forgejo.example", ACTIONS_ID_TOKEN_REQUEST_URL: "http://forgejo.example/a?b=c" }),
      "is reached by plain http, so it was not asked",
    ],
    [
      "an endpoint that nobody can recognise, since certificates are not looked at",
      (evil) => ({
        GITHUB_SERVER_URL: evil,
        ACTIONS_ID_TOKEN_REQUEST_URL: evil,
        NODE_TLS_REJECT_UNAUTHORIZED: "0",
      }),
      "NODE_TLS_REJECT_UNAUTHORIZED=0 is set",
    ],
  ])("and as Forgejo, %s is not asked", async (_, changes, why) => {
    await using evil = await endpoint(answering(200, JSON.stringify({ value: jwt })));
    const error = await refusal({ environment: { ...forgejo(evil.url), ...changes(evil.url) } });
    expect([error.code, evil.heard.length]).toEqual(["token-missing", 0]);
    expect(error.message).toContain(why);
  });

  const azureHost = "https://dev.azure.com";
  const azure = {
    TF_BUILD: "True",
    SYSTEM_OIDCREQUESTURI: `${azureHost}/org/project/_apis/oidctoken`,
    SYSTEM_ACCESSTOKEN: "access-token",
  };

  it.each<[string, Search, string, string]>([
    ["for the pipeline, where no service connection is named", {}, "azure-devops", ""],
    [
      "for the pipeline, where a task of Azure's own command line has left its connection",
      { environment: { AZURESUBSCRIPTION_SERVICE_CONNECTION_ID: "connection-1" } },
      "azure-devops",
      "",
    ],
    [
      "for a service connection that we are told of",
      { environment: { MAYFLY_SERVICE_CONNECTION: "connection-1" } },
      "azure-devops-entra",
      "&serviceConnectionId=connection-1",
    ],
    [
      "for the connection of Azure's own tasks, where that is asked for",
      { environment: { AZURESUBSCRIPTION_SERVICE_CONNECTION_ID: "connection-1" }, flag: "azure-devops-entra" },
      "azure-devops-entra",
      "&serviceConnectionId=connection-1",
    ],
  ])("at Azure DevOps, %s", async (_, search, system, query) => {
    await using server = await endpoint(answering(200, JSON.stringify({ oidcToken: jwt })));
    const environment = { ...azure, ...search.environment };
    expect((await found({ ...search, environment, at: { [azureHost]: server.url } })).token).toBe(jwt);
    expect(detectSystem(environment, false)).toBe(search.flag === undefined ? system : "azure-devops");
    expect(server.heard).toMatchObject([
      {
        method: "POST",
        path: `/org/project/_apis/oidctoken?api-version=7.1${query}`,
        headers: { authorization: "Bearer access-token", "x-tfs-fedauthredirect": "Suppress" },
      },
    ]);
  });

  it("at Azure DevOps, by an organisation's older name", async () => {
    await using server = await endpoint(answering(200, JSON.stringify({ oidcToken: jwt })));
    const environment = { ...azure, SYSTEM_OIDCREQUESTURI: "https://org.visualstudio.com/project/_apis/oidctoken" };
    expect((await found({ environment, at: { "https://org.visualstudio.com": server.url } })).token).toBe(jwt);
  });

  /** A logging command can set every one of these variables. */
  it.each([
    "{evil}",
    "https://dev.azure.com.evil.test",
    "https://evildev.azure.com",
    "https://dev.azure.com:8443",
    "http://dev.azure.com",
    "https://a.b.visualstudio.com",
    "https://visualstudio.com.evil.test",
  ])("and at Azure DevOps, %s is not asked, whatever says that it is the server", async (asked) => {
    await using evil = await endpoint(answering(200, JSON.stringify({ oidcToken: jwt })));
    const url = asked.replace("{evil}", evil.url);
    const server = { SYSTEM_COLLECTIONURI: url, SYSTEM_TEAMFOUNDATIONCOLLECTIONURI: url };
    const error = await refusal({ environment: { ...azure, ...server, SYSTEM_OIDCREQUESTURI: url }, at: { [url]: evil.url } });
    expect(error.message).toContain("is not the CI system's own, so it was not asked");
    expect(evil.heard).toEqual([]);
  });

  it("of Google's metadata service, but only when Google is named", async () => {
    await using server = await endpoint(answering(200, jwt));
    const at = { "http://metadata.google.internal": server.url };
    expect((await found({ flag: "google", at })).token).toBe(jwt);
    expect(server.heard).toMatchObject([
      {
        path: "/computeMetadata/v1/instance/service-accounts/default/identity?audience=https%3A%2F%2Fbroker.example&format=full",
        headers: { "metadata-flavor": "Google" },
      },
    ]);
    expect(await refusal({ at })).toMatchObject({ message: "no CI system was recognised" });
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
    for (const environment of [github(server.url), azure])
      expect((await refusal({ environment, at: { [azureHost]: server.url } })).message).toContain(
        "its endpoint cannot be reached, or sends elsewhere",
      );
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
    ["another host of a tenant of ghe.com", "https://token.actions.evil.ghe.com/?a=b", "https://octocorp.ghe.com"],
    ["another port of GitHub's own host", "https://pipelines.actions.githubusercontent.com:8443/?a=b", "https://github.com"],
    [
      "a host below an Enterprise Server's, which may be somebody's pages",
      "https://pages.ghes.example/?a=b",
      "https://ghes.example",
    ],
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
  });
});
